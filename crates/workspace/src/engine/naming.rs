//! What workspaces are called, finding them by it, and what else can be changed of
//! them.

use std::time::Duration;

use operation::{Call, ErrorKind, Handler, NoEvents, OpError};
use workspace_api::idle::IdleAfter;
use workspace_api::label::{LABELS_MAX, Label, LabelKey};
use workspace_api::spec::Shape;
use workspace_api::state::WorkspaceState;
use workspace_api::time::TimeSpan;
use workspace_api::workspace::{List, Tombstone, Update, Workspace, Workspaces};

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Engine;
use super::terms::shown;
use crate::keeper::asking::SetIdle;
use crate::store::{self, Details, Record};

/// How many keepers are asked at once.
const ASKED_AT_ONCE: usize = 64;

/// How long a list waits for a keeper; what it does not say is not told.
const LIST_PATIENCE: Duration = Duration::from_secs(1);

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
        let workspaces = self.describe_all(found.collect()).await;
        Ok(Workspaces { workspaces, deleted: Vec::new() })
    }
}

impl Engine {
    /// What is told of several workspaces; also what is going on in those whose
    /// keepers say so soon.
    async fn describe_all(&self, records: Vec<Record>) -> Vec<Workspace> {
        let mut told = Vec::new();
        for some in records.chunks(ASKED_AT_ONCE) {
            let mut asked = JoinSet::new();
            for (index, record) in some.iter().enumerate() {
                if record.state == WorkspaceState::Running {
                    let (engine, record) = (self.clone(), record.clone());
                    asked.spawn(async move {
                        let now = timeout(LIST_PATIENCE, engine.now(&record)).await;
                        (index, now.ok().and_then(Result::ok))
                    });
                }
            }
            let begin = told.len();
            told.extend(some.iter().cloned().map(|record| self.describe(record)));
            while let Some(answered) = asked.join_next().await {
                if let Ok((index, Some(now))) = answered {
                    let told = &mut told[begin + index];
                    (told.activity, told.memory_bytes) = (Some(now.activity), now.memory_bytes);
                }
            }
        }
        told
    }
}

impl Handler<Update> for Engine {
    async fn handle(&self, update: Update, _: &mut Call<NoEvents>) -> Result<Workspace, OpError> {
        let record = self.store.find(&update.workspace)?;
        if update.extend.is_some() && record.state != WorkspaceState::Running {
            let message = format!("workspace {} is {} already", record.id, record.state);
            return Err(OpError::plain(ErrorKind::Conflict, message)
                .hinted("`hotcell workspace start` makes it ready again"));
        }
        let changed = self.store.update(record.id, update.name, |record| {
            resize(record, update.cpus, update.memory_mib)?;
            relabel(&mut record.details, &update.label, &update.remove_label)?;
            let idle = &mut record.details.idle;
            idle.idle_after = update.idle_after.unwrap_or(idle.idle_after);
            idle.idle_then = update.idle_then.unwrap_or(idle.idle_then);
            if update.extend.is_some() && idle.idle_after == IdleAfter::Never {
                let message = "there is nothing to extend: the workspace runs on when it is idle";
                return Err(OpError::plain(ErrorKind::InvalidRequest, message)
                    .hinted("`--idle-after` says after which time it does not"));
            }
            Ok(())
        })??;
        if changed.state == WorkspaceState::Running {
            let told = self.tell_of_idleness(&changed, update.extend).await;
            // Without a keeper nothing is put aside, but nothing is kept ready either.
            if update.extend.is_some() {
                told?;
            }
        }
        Ok(self.describe(self.store.find(&changed.id.into())?))
    }
}

impl Engine {
    async fn tell_of_idleness(
        &self,
        record: &Record,
        extension: Option<TimeSpan>,
    ) -> Result<(), OpError> {
        let policy = record.details.idle;
        let extension_ms = extension.map(TimeSpan::as_millis);
        self.connect_if_running(record)
            .await?
            .ask(SetIdle { policy, extension_ms })
            .await
            .map(|_| ())
    }
}

/// Gives a stopped workspace another size, if one is asked for.
fn resize(record: &mut Record, cpus: Option<u8>, memory_mib: Option<u32>) -> Result<(), OpError> {
    let wanted = Shape {
        cpus: cpus.unwrap_or(record.shape.cpus),
        memory_mib: memory_mib.unwrap_or(record.shape.memory_mib),
    };
    if wanted == record.shape {
        return Ok(());
    }
    if record.state != WorkspaceState::Stopped {
        let (id, shape, state) = (record.id, record.shape, record.state);
        let message = format!("workspace {id} is {state} with {shape}, and keeps that");
        return Err(OpError::plain(ErrorKind::Conflict, message).hinted(format!(
            "stop it first, which ends what is only in its memory: `hotcell workspace stop {id}`"
        )));
    }
    record.shape = wanted;
    Ok(())
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
