//! Tidying up after processes that were killed.
//!
//! A workspace whose lock is free has neither creator nor keeper: the kernel
//! released the lock when they died, and ended the monitor with the keeper.
//! What is left is files and a record. Every use of the product looks for such
//! workspaces first; a machine that lived with its creator vanishes, one that was
//! being woken is hibernated as before, any other becomes `stopped`, and the record
//! says why.

use std::fs;

use operation::OpError;
use workspace_api::id::WorkspaceId;
use workspace_api::state::{Step, WorkspaceState};

use crate::files::{FileError, LockState, probe_lock, remove_tree, remove_unmade};
use crate::hibernation::Hibernation;
use crate::home::{DELETED, Home, UNNAMED};
use crate::keeper::Lifetime;
use crate::store::{Record, Store, StoreError};

/// The same if it was just being woken.
const PUT_BACK: &str = "its keeper ended unexpectedly while it was being woken";

/// What is written into the record of a workspace whose keeper was killed.
const REASON: &str = "its keeper ended unexpectedly; what was only in memory is lost";

/// Settles every workspace that nobody is responsible for any more.
pub(crate) fn recover(home: &Home, store: &Store) -> Result<(), OpError> {
    for record in store.list()? {
        if needs_owner(record.state) {
            settle(home, store, &record)?;
        }
    }
    for parent in [home.clones(), home.scratch()] {
        crate::scratch::sweep(&parent)?;
    }
    crate::crossing::apply::journal::settle_all(home);
    sweep(home, store)
}

/// Whether somebody is responsible for a workspace in this state, or was.
const fn needs_owner(state: WorkspaceState) -> bool {
    !matches!(state, WorkspaceState::Stopped | WorkspaceState::Hibernated)
}

/// Settles one workspace if nobody is responsible for it.
fn settle(home: &Home, store: &Store, listed: &Record) -> Result<(), OpError> {
    let files = home.workspace(listed.id);
    let lock = probe_lock(&files.lock())?;
    let has_files = match &lock {
        LockState::Held => return Ok(()),
        LockState::Free(_) => true,
        LockState::Missing => false,
    };
    // It may have been made and stopped since it was listed. Nobody moves it any more:
    // its lock is ours.
    let record = match store.find(&listed.id.into()) {
        Ok(record) if needs_owner(record.state) => record,
        Ok(_) | Err(StoreError::NotFound(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let vanishes =
        record.lifetime == Lifetime::WithCreator || record.state == WorkspaceState::Creating;
    let is_put_back = has_files
        && record.state == WorkspaceState::Starting
        && Hibernation::of(&files).find()?.is_some();
    let step = if is_put_back {
        Step::PutBack
    } else if has_files && !vanishes {
        Step::MachineEnded
    } else {
        // Without its files there is nothing that could be stopped.
        files.delete()?;
        Step::Delete
    };
    tracing::info!(workspace = %record.id, ?step, "settling an abandoned workspace");
    let reason = if step == Step::PutBack { PUT_BACK } else { REASON };
    match store.step(record.id, step, Some(reason)) {
        // Somebody else settled it at the same moment.
        Ok(_) if step == Step::MachineEnded => Ok(Hibernation::of(&files).discard()?),
        Ok(_) | Err(StoreError::NotFound(_) | StoreError::Illegal(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Removes directories that no record knows: of deletions and creations that
/// were killed, and of snapshots that were.
fn sweep(home: &Home, store: &Store) -> Result<(), OpError> {
    let workspaces = home.workspaces();
    let entries = fs::read_dir(&workspaces).map_err(FileError::at("list", &workspaces))?;
    let (mut found, mut unnamed) = (Vec::new(), Vec::new());
    for path in entries.flatten().map(|entry| entry.path()) {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some(DELETED) => remove_tree(&path)?,
            Some(UNNAMED) => unnamed.push(path),
            _ => {
                let name = path.file_name().and_then(|name| name.to_str());
                found.extend(name.and_then(|name| name.parse::<WorkspaceId>().ok()));
            }
        }
    }
    remove_unmade(&workspaces, &unnamed)?;
    for id in &found {
        let files = home.workspace(*id);
        files.snapshots().sweep()?;
        Hibernation::of(&files).sweep()?;
    }
    // The records are read after the directories: one that has no record by now
    // is either still locked by its creator or abandoned.
    let records = store.list()?;
    found.retain(|id| records.iter().all(|record| record.id != *id));
    for files in found.into_iter().map(|id| home.workspace(id)) {
        if let LockState::Free(_) = probe_lock(&files.lock())? {
            files.delete()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::while_making;
    use crate::store::tests::{record, store};

    #[test]
    fn a_creation_that_was_killed_leaves_nothing_and_one_that_goes_on_is_left_alone() {
        let (_directory, home, store) = store();
        let unnamed = home.workspaces().join("ws_01a217168dfa7104b823eb0531c46d2d.new");
        let killed_at = [unnamed.clone(), unnamed.join("lock")];
        for steps in 1..=2 {
            fs::create_dir(&unnamed).unwrap();
            killed_at[1..steps].iter().for_each(|lock| drop(fs::File::create(lock).unwrap()));
            let making = while_making(&home.workspaces()).unwrap();
            recover(&home, &store).unwrap();
            assert!(unnamed.exists(), "somebody makes one, and it may be this one");
            drop(making);
            recover(&home, &store).unwrap();
            assert!(!unnamed.exists());
        }
    }

    #[test]
    fn a_workspace_that_went_on_since_it_was_listed_is_not_taken_for_abandoned() {
        let (_directory, home, store) = store();
        let listed = record(Some("demo"));
        let files = home.workspace(listed.id);
        drop(files.create().unwrap());
        store.insert(&listed, None).unwrap();
        store.step(listed.id, Step::Ready, None).unwrap();
        store.step(listed.id, Step::Stop, None).unwrap();
        settle(&home, &store, &listed).unwrap();
        assert!(files.directory().exists());
        assert_eq!(store.list().unwrap()[0].state, WorkspaceState::Stopped);

        // One that never got further vanishes.
        let abandoned = record(None);
        drop(home.workspace(abandoned.id).create().unwrap());
        store.insert(&abandoned, None).unwrap();
        settle(&home, &store, &abandoned).unwrap();
        assert!(!home.workspace(abandoned.id).directory().exists());
        assert_eq!(store.list().unwrap().len(), 1);
    }
}
