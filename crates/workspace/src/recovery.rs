//! Tidying up after processes that were killed.
//!
//! A workspace whose lock is free has neither creator nor keeper: the kernel
//! released the lock when they died, and ended the monitor with the keeper.
//! What is left is files and a record. Every use of the product looks for such
//! workspaces first; a machine that lived with its creator vanishes, any other
//! becomes `stopped`, and the record says why.

use std::fs;

use operation::OpError;
use workspace_api::id::WorkspaceId;
use workspace_api::state::{Step, WorkspaceState};

use crate::home::{DELETED, FileError, Home, LockState, probe_lock, remove_tree};
use crate::keeper::Lifetime;
use crate::store::{Record, Store, StoreError};

/// What is written into the record of a workspace whose keeper was killed.
const REASON: &str = "its keeper ended unexpectedly; what was only in memory is lost";

/// Settles every workspace that nobody is responsible for any more.
pub(crate) fn recover(home: &Home, store: &Store) -> Result<(), OpError> {
    let records = store.list()?;
    for record in &records {
        if record.state != WorkspaceState::Stopped {
            settle(home, store, record)?;
        }
    }
    sweep(home, &records)
}

/// Settles one workspace if nobody is responsible for it.
fn settle(home: &Home, store: &Store, record: &Record) -> Result<(), OpError> {
    let files = home.workspace(record.id);
    let vanishes =
        record.lifetime == Lifetime::WithCreator || record.state == WorkspaceState::Creating;
    let lock = probe_lock(&files.lock())?;
    let step = match &lock {
        LockState::Held => return Ok(()),
        LockState::Free(_) if !vanishes => Step::MachineEnded,
        // Without its files there is nothing that could be stopped.
        LockState::Free(_) | LockState::Missing => {
            files.delete()?;
            Step::Delete
        }
    };
    tracing::info!(workspace = %record.id, ?step, "settling an abandoned workspace");
    match store.step(record.id, step, Some(REASON)) {
        // Somebody else settled it at the same moment.
        Ok(_) | Err(StoreError::NotFound(_) | StoreError::Illegal(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Removes directories that no record knows: of deletions and creations that
/// were killed.
fn sweep(home: &Home, records: &[Record]) -> Result<(), OpError> {
    let workspaces = home.workspaces();
    let entries = fs::read_dir(&workspaces).map_err(FileError::at("list", &workspaces))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.extension().is_some_and(|extension| extension == DELETED) {
            remove_tree(&path)?;
            continue;
        }
        let id = path.file_name().and_then(|name| name.to_str()?.parse::<WorkspaceId>().ok());
        let Some(id) = id.filter(|id| records.iter().all(|record| record.id != *id)) else {
            continue;
        };
        let files = home.workspace(id);
        if let LockState::Free(_) = probe_lock(&files.lock())? {
            files.delete()?;
        }
    }
    Ok(())
}
