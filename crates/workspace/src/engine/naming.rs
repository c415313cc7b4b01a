//! What workspaces are called, and finding them by it.

use operation::{Call, ErrorKind, Handler, NoEvents, OpError};
use workspace_api::label::{LABELS_MAX, Label, LabelKey};
use workspace_api::workspace::{List, Tombstone, Update, Workspace, Workspaces};

use super::Engine;
use super::terms::shown;
use crate::store::{self, Details};

impl Handler<List> for Engine {
    async fn handle(&self, list: List, _: &mut Call<NoEvents>) -> Result<Workspaces, OpError> {
        if list.deleted && !list.state.is_empty() {
            return Err(OpError::plain(
                ErrorKind::InvalidRequest,
                "deleted workspaces are in no other state",
            ));
        }
        let labelled =
            |details: &Details| list.label.iter().all(|label| label.matches(&details.labels));
        let wanted = list.environment.as_ref();
        if list.deleted {
            let found = self.store.tombstones(list.name.as_ref())?.into_iter().filter(|found| {
                labelled(&found.details)
                    && wanted.is_none_or(|e| found.environment.as_ref() == Some(e))
            });
            return Ok(Workspaces { workspaces: Vec::new(), deleted: found.map(told).collect() });
        }
        let found = self.store.list_like(list.name.as_ref())?.into_iter().filter(|found| {
            labelled(&found.details)
                && wanted.is_none_or(|e| found.environment == *e)
                && (list.state.is_empty() || list.state.contains(&found.state))
        });
        let workspaces = found.map(|record| self.describe(record)).collect();
        Ok(Workspaces { workspaces, deleted: Vec::new() })
    }
}

impl Handler<Update> for Engine {
    async fn handle(&self, update: Update, _: &mut Call<NoEvents>) -> Result<Workspace, OpError> {
        let record = self.store.find(&update.workspace)?;
        let changed = self.store.update(record.id, update.name, |details| {
            relabel(details, &update.label, &update.remove_label)
        })??;
        Ok(self.describe(changed))
    }
}

/// Sets and removes labels; does neither if there would be too many.
pub(super) fn relabel(
    details: &mut Details,
    set: &[Label],
    removed: &[LabelKey],
) -> Result<(), OpError> {
    let mut labels = details.labels.clone();
    labels.retain(|key, _| removed.iter().all(|removed| removed.as_str() != key));
    let set = set.iter().map(|label| (label.key.to_string(), label.value.clone()));
    labels.extend(set);
    if labels.len() > LABELS_MAX {
        return Err(OpError::plain(
            ErrorKind::InvalidRequest,
            format!("a workspace has at most {LABELS_MAX} labels, not {}", labels.len()),
        ));
    }
    details.labels = labels;
    Ok(())
}

fn told(tombstone: store::Tombstone) -> Tombstone {
    Tombstone {
        id: tombstone.id,
        name: tombstone.name,
        reason: tombstone.reason,
        environment: tombstone.environment,
        labels: tombstone.details.labels,
        created_at: tombstone.created_at.map(shown),
        deleted_at: shown(tombstone.deleted_at),
    }
}
