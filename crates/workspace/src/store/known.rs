//! Workspaces that something is on record of, whether they exist or not.

use workspace_api::id::{WorkspaceId, WorkspaceName, WorkspaceRef};
use workspace_api::state::WorkspaceState;

use super::{Store, StoreError};

/// A workspace that exists or did.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) id: WorkspaceId,
    pub(crate) name: Option<WorkspaceName>,
    pub(crate) state: WorkspaceState,
}

impl Store {
    /// The one workspace that `reference` means: one that exists, or else one
    /// that was deleted. A name means the last one that had it.
    pub(crate) fn find_known(&self, reference: &WorkspaceRef) -> Result<Known, StoreError> {
        match self.find(reference) {
            Ok(record) => {
                return Ok(Known { id: record.id, name: record.name, state: record.state });
            }
            Err(StoreError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
        let mut found = self.tombstones(None)?;
        match reference {
            WorkspaceRef::Name(name) => {
                found.retain(|tombstone| tombstone.name.as_ref() == Some(name));
                found.truncate(1);
            }
            WorkspaceRef::Id(beginning) => {
                found.retain(|tombstone| tombstone.id.to_string().starts_with(beginning));
            }
        }
        match found.len() {
            0 => Err(StoreError::NotFound(reference.clone())),
            1 => {
                let tombstone = found.remove(0);
                let state = WorkspaceState::Deleted;
                Ok(Known { id: tombstone.id, name: tombstone.name, state })
            }
            _ => {
                let candidates = found.into_iter().map(|tombstone| tombstone.id).collect();
                Err(StoreError::Ambiguous(reference.clone(), candidates))
            }
        }
    }
}
