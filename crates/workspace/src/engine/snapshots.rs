//! Operations on snapshots, and going back to one.
//!
//! ```text
//! create:  place begun ─▶ keeper saves into it ─▶ place gets its name
//! reset:   snapshot held ─▶ keeper restores ─▶ let go
//! delete:  lock taken alone ─▶ renamed ─▶ removed
//! ```
//!
//! **SIGKILL here.** A snapshot is there whole or not at all (`saved::shelf`).

use jiff::Timestamp;
use machine::Convergence;
use operation::{Call, ErrorKind, Handler, NoEvents, OpError};
use workspace_api::ledger::LedgerEvent;
use workspace_api::snapshot::{
    Create, Delete, Deleted, List, SNAPSHOTS_MAX, Snapshot, SnapshotName, Snapshots, Taken,
};
use workspace_api::state::WorkspaceState;

use super::Engine;
use super::terms::shown;
use crate::disks::NewLayers;
use crate::home::WorkspaceFiles;
use crate::keeper::asking::{GuestMeanwhile, Restore, SaveMachine};
use crate::keeper::client::KeeperConnection;
use crate::origin::Origin;
use crate::saved::shelf::{Hold, Named, Place, Removal};
use crate::saved::{Durability, SavedMachine};
use crate::store::Record;
use crate::template::Template;

impl Handler<Create> for Engine {
    async fn handle(&self, create: Create, _: &mut Call<NoEvents>) -> Result<Taken, OpError> {
        let record = self.store.find(&create.workspace)?;
        let shelf = self.home.workspace(record.id).snapshots();
        let there = shelf.list()?;
        if there.iter().any(|(name, _)| *name == create.name) {
            return Err(taken(&record, &create.name));
        }
        if there.len() >= SNAPSHOTS_MAX {
            let message = format!("workspace {} has {SNAPSHOTS_MAX} snapshots", record.id);
            return Err(OpError::plain(ErrorKind::Exhausted, message)
                .hinted("delete those that you no longer need: `hotcell snapshot delete`"));
        }
        let template = self.template_of(&record)?;
        let (place, connection) = self.save(&record, &template, Durability::Synced).await?;
        let saved = match place.keep_as(&create.name)? {
            Named::Kept(saved) => saved,
            Named::Taken => return Err(taken(&record, &create.name)),
            Named::Empty => {
                return Err(OpError::plain(ErrorKind::Internal, "the snapshot vanished"));
            }
        };
        let snapshot = told(create.name, &saved);
        connection.note(LedgerEvent::SnapshotCreated {
            snapshot: snapshot.name.to_string(),
            bytes: snapshot.memory_bytes + snapshot.disk_bytes,
        });
        connection.close().await;
        Ok(Taken { workspace: record.id, snapshot })
    }
}

impl Handler<List> for Engine {
    async fn handle(&self, list: List, _: &mut Call<NoEvents>) -> Result<Snapshots, OpError> {
        let record = self.store.find(&list.workspace)?;
        let found = self.home.workspace(record.id).snapshots().list()?;
        let snapshots = found.iter().map(|(name, saved)| told(name.clone(), saved)).collect();
        Ok(Snapshots { snapshots })
    }
}

impl Handler<Delete> for Engine {
    async fn handle(&self, delete: Delete, _: &mut Call<NoEvents>) -> Result<Deleted, OpError> {
        let record = self.store.find(&delete.workspace)?;
        match self.home.workspace(record.id).snapshots().remove(&delete.name)? {
            Removal::Removed { bytes } => {
                let snapshot = delete.name.to_string();
                self.store.append(record.id, &[LedgerEvent::SnapshotDeleted { snapshot }])?;
                Ok(Deleted { name: delete.name, freed_bytes: bytes })
            }
            Removal::InUse => {
                let message = format!("snapshot `{}` is being used", delete.name);
                Err(OpError::plain(ErrorKind::Conflict, message)
                    .hinted("wait until the reset or the fork from it is done"))
            }
            Removal::Missing => Err(missing(&record, &delete.name)),
        }
    }
}

impl Engine {
    /// Has the keeper of a running workspace save its machine.
    pub(super) async fn save(
        &self,
        record: &Record,
        template: &Template,
        durability: Durability,
    ) -> Result<(Place, KeeperConnection), OpError> {
        if !matches!(record.state, WorkspaceState::Running | WorkspaceState::Hibernated) {
            let message = format!("workspace {} is {} and has no memory", record.id, record.state);
            return Err(OpError::plain(ErrorKind::Conflict, message)
                .hinted("start it first: `hotcell workspace start`"));
        }
        let mut connection = self.connect(record).await?;
        if durability == Durability::Synced {
            // Whoever reads its disks without its memory shall find what was written.
            connection.sync().await?;
        }
        let place = self.home.workspace(record.id).snapshots().begin()?;
        connection
            .ask(SaveMachine {
                directory: place.directory().to_owned(),
                empty_layer: template.empty_layer(),
                durability,
                guest: GuestMeanwhile::RunsOn,
            })
            .await
            .map_err(|error| error.during("cannot take the snapshot"))?;
        Ok((place, connection))
    }

    /// A snapshot of a workspace that can be resumed from, for as long as it is
    /// held.
    pub(super) fn snapshot(
        &self,
        record: &Record,
        name: &SnapshotName,
    ) -> Result<(SavedMachine, Hold), OpError> {
        let shelf = self.home.workspace(record.id).snapshots();
        let (saved, hold) = shelf.find(name)?.ok_or_else(|| missing(record, name))?;
        if !saved.is_intact() {
            let message = "its memory was written to since it was saved";
            return Err(OpError::plain(ErrorKind::Unavailable, message)
                .during(format!("snapshot `{name}` cannot be used"))
                .hinted(format!("delete it: `hotcell snapshot delete {} {name}`", record.id)));
        }
        Ok((saved, hold))
    }

    /// What puts a workspace back to a snapshot, and what keeps that there.
    pub(super) fn restore_to(
        &self,
        record: &Record,
        template: &Template,
        files: &WorkspaceFiles,
        name: Option<&SnapshotName>,
    ) -> Result<(Restore, Option<Hold>), OpError> {
        let empty = template.empty_layer();
        let Some(name) = name else {
            let origin = Origin::template(template, files);
            let layers = NewLayers { empty, over: None };
            return Ok((Restore { origin, layers, snapshot: None }, None));
        };
        let (saved, hold) = self.snapshot(record, name)?;
        let restore = Restore {
            origin: Origin::saved(&saved, template, files),
            layers: NewLayers { empty, over: Some(saved.frozen()) },
            snapshot: Some(name.clone()),
        };
        Ok((restore, Some(hold)))
    }
}

fn told(name: SnapshotName, saved: &SavedMachine) -> Snapshot {
    let manifest = &saved.manifest;
    let age = Timestamp::now().duration_since(manifest.saved_at);
    Snapshot {
        name,
        created_at: shown(manifest.saved_at),
        age_s: u64::try_from(age.as_secs()).unwrap_or(0),
        memory_bytes: saved.memory_bytes(),
        disk_bytes: saved.layer_bytes(),
        jobs: u32::try_from(manifest.jobs.len()).unwrap_or(u32::MAX),
        pause_us: manifest.pause_us,
        sealed: saved.is_sealed(),
        halted: manifest.convergence == Convergence::Paused,
    }
}

fn taken(record: &Record, name: &SnapshotName) -> OpError {
    let message = format!("workspace {} has a snapshot `{name}` already", record.id);
    OpError::plain(ErrorKind::Conflict, message).hinted(format!(
        "choose another name, or delete it: `hotcell snapshot delete {} {name}`",
        record.id
    ))
}

pub(super) fn missing(record: &Record, name: &SnapshotName) -> OpError {
    let message = format!("workspace {} has no snapshot `{name}`", record.id);
    OpError::plain(ErrorKind::NotFound, message)
        .hinted(format!("`hotcell snapshot list {}` shows what there is", record.id))
}
