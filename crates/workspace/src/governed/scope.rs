//! What a judge has to know, looked up within a scope: what lies outside is not
//! found, and is not named as one of several either.

use operation::OpError;
use workspace_api::ceiling::{Claim, Facts, Named};
use workspace_api::id::{WorkspaceId, WorkspaceName, WorkspaceRef};

use super::Governed;
use crate::keeper::Lifetime;
use crate::store::{Details, StoreError};

impl Governed {
    /// The facts for a claim. A workspace that is meant is named by its id from
    /// then on.
    pub(super) fn known(&self, claim: &mut Claim<'_>) -> Result<Facts, OpError> {
        let mut facts = Facts::default();
        if let Claim::Making(_) = claim {
            facts.count = self.count()?;
        }
        if let Claim::Workspace(meant) = claim
            && let Some((id, details)) = self.find(meant)?
        {
            **meant = id.into();
            facts.named = Some(Named {
                labels: details.labels,
                network: details.network,
                secrets: details.secrets,
            });
        }
        Ok(facts)
    }

    /// The one workspace of the scope that is meant: one that exists, or else one
    /// that was deleted.
    fn find(&self, meant: &WorkspaceRef) -> Result<Option<(WorkspaceId, Details)>, OpError> {
        let scope = &self.ceiling.scope;
        let store = &self.engine.store;
        let is_meant = |id: WorkspaceId, name: Option<&WorkspaceName>, details: &Details| {
            scope.includes(&details.labels)
                && match meant {
                    WorkspaceRef::Name(wanted) => name == Some(wanted),
                    WorkspaceRef::Id(beginning) => id.to_string().starts_with(beginning),
                }
        };
        let live = store.list()?.into_iter();
        let live = live.filter(|found| is_meant(found.id, found.name.as_ref(), &found.details));
        let mut found: Vec<_> = live.map(|found| (found.id, found.details)).collect();
        if found.is_empty() {
            let gone = store.tombstones(None)?.into_iter();
            let gone = gone.filter(|found| is_meant(found.id, found.name.as_ref(), &found.details));
            found = gone.map(|found| (found.id, found.details)).collect();
            if matches!(meant, WorkspaceRef::Name(_)) {
                // A name means the last one that had it.
                found.truncate(1);
            }
        }
        match found.len() {
            0 | 1 => Ok(found.pop()),
            _ => {
                let candidates = found.into_iter().map(|(id, _)| id).collect();
                Err(StoreError::Ambiguous(meant.clone(), candidates).into())
            }
        }
    }

    /// How many workspaces of the scope there are.
    fn count(&self) -> Result<u32, OpError> {
        let found = self.engine.store.list()?.into_iter().filter(|record| {
            self.ceiling.scope.includes(&record.details.labels)
                && record.lifetime == Lifetime::UntilDeleted
        });
        Ok(u32::try_from(found.count()).unwrap_or(u32::MAX))
    }
}
