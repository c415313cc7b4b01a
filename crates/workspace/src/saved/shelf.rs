//! Where the saved machines of a workspace lie, and how they come and go.
//!
//! ```text
//! <uuid>.new ──locked──▶ <uuid>.making ──saved, renamed──▶ <name> ──▶ <uuid>.deleted ──▶ gone
//!                              └── given up: removed
//! ```
//!
//! A directory has its last name when all that is in it is complete, so a
//! snapshot is there whole or not at all. Whoever makes or uses one holds its
//! lock, shared; who removes it takes the lock for himself alone.
//!
//! **SIGKILL here** leaves a directory under one of the other names, with a
//! free lock: recovery removes it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use uuid::Uuid;
use workspace_api::snapshot::SnapshotName;

use super::SavedMachine;
use crate::files::{
    FileError, LockState, create_private, disk_bytes, probe_lock, remove_tree, remove_unmade,
    share_lock, sync_directory, while_making,
};
use crate::home::{DELETED, UNNAMED};

/// Extension of a directory that a machine is being saved into.
const MAKING: &str = "making";

const LOCK: &str = "lock";

/// The saved machines of a workspace.
#[derive(Debug, Clone)]
pub(crate) struct Shelf(PathBuf);

/// Keeps a saved machine where it is.
#[derive(Debug)]
pub(crate) struct Hold(#[expect(dead_code, reason = "it is held by being kept")] File);

/// What became of a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removal {
    Removed {
        /// Disk space that this freed.
        bytes: u64,
    },
    InUse,
    Missing,
}

impl Shelf {
    pub(crate) fn at(directory: PathBuf) -> Self {
        Self(directory)
    }

    fn place(&self, name: &SnapshotName) -> PathBuf {
        self.0.join(name.as_str())
    }

    /// A new place for a machine to be saved into. It goes when it is dropped.
    pub(crate) fn begin(&self) -> Result<Place, FileError> {
        create_private(&self.0)?;
        let _making = while_making(&self.0)?;
        let unlocked = self.0.join(Uuid::new_v4().simple().to_string()).with_extension(UNNAMED);
        create_private(&unlocked)?;
        let lock = hold(&unlocked)?;
        let directory = unlocked.with_extension(MAKING);
        fs::rename(&unlocked, &directory).map_err(FileError::at("create", &directory))?;
        Ok(Place { directory, lock })
    }

    /// A snapshot, which stays for as long as it is held.
    pub(crate) fn find(
        &self,
        name: &SnapshotName,
    ) -> Result<Option<(SavedMachine, Hold)>, FileError> {
        let place = self.place(name);
        if !place.exists() {
            return Ok(None);
        }
        let Some(hold) = hold(&place)? else { return Ok(None) };
        Ok(SavedMachine::open(&place)?.map(|saved| (saved, hold)))
    }

    /// All snapshots, the newest first.
    pub(crate) fn list(&self) -> Result<Vec<(SnapshotName, SavedMachine)>, FileError> {
        let mut found = Vec::new();
        for path in self.entries() {
            let name = path.file_name().and_then(|name| name.to_str()?.parse().ok());
            if let Some(name) = name
                && let Some(saved) = SavedMachine::open(&path)?
            {
                found.push((name, saved));
            }
        }
        found.sort_by_key(|(_, saved)| std::cmp::Reverse(saved.manifest.saved_at));
        Ok(found)
    }

    /// Removes a snapshot that nobody uses.
    pub(crate) fn remove(&self, name: &SnapshotName) -> Result<Removal, FileError> {
        let place = self.place(name);
        let _lock = match probe_lock(&place.join(LOCK))? {
            LockState::Free(lock) => lock,
            LockState::Held => return Ok(Removal::InUse),
            LockState::Missing => return Ok(Removal::Missing),
        };
        let doomed = self.0.join(Uuid::new_v4().simple().to_string()).with_extension(DELETED);
        fs::rename(&place, &doomed).map_err(FileError::at("remove", &place))?;
        let bytes = disk_bytes(&doomed);
        remove_tree(&doomed)?;
        Ok(Removal::Removed { bytes })
    }

    /// Removes what savings and removals left that were killed.
    pub(crate) fn sweep(&self) -> Result<(), FileError> {
        let mut unnamed = Vec::new();
        for path in self.entries() {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some(DELETED) => remove_tree(&path)?,
                Some(UNNAMED) => unnamed.push(path),
                Some(MAKING) => {
                    if let LockState::Free(_) = probe_lock(&path.join(LOCK))? {
                        remove_tree(&path)?;
                    }
                }
                _ => {}
            }
        }
        remove_unmade(&self.0, &unnamed)
    }

    /// A workspace without snapshots has no such directory.
    fn entries(&self) -> impl Iterator<Item = PathBuf> {
        let entries = fs::read_dir(&self.0).into_iter().flatten();
        entries.flatten().map(|entry| entry.path())
    }
}

/// Keeps what lies in a directory there, unless somebody is removing it.
pub(crate) fn hold(directory: &Path) -> Result<Option<Hold>, FileError> {
    Ok(share_lock(&directory.join(LOCK))?.map(Hold))
}

/// A place that a machine is saved into.
#[derive(Debug)]
pub(crate) struct Place {
    directory: PathBuf,
    lock: Option<Hold>,
}

/// What became of a name that was asked for.
#[derive(Debug)]
pub(crate) enum Named {
    Kept(Box<SavedMachine>),
    /// Another snapshot has it.
    Taken,
    /// Nothing was saved here.
    Empty,
}

impl Place {
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Makes the machine in it a snapshot.
    pub(crate) fn keep_as(mut self, name: &SnapshotName) -> Result<Named, FileError> {
        let shelf = self.directory.parent().expect("a place lies on a shelf").to_owned();
        let place = shelf.join(name.as_str());
        match renameat_with(CWD, &self.directory, CWD, &place, RenameFlags::NOREPLACE) {
            Ok(()) => self.directory.clone_from(&place),
            Err(rustix::io::Errno::EXIST) => return Ok(Named::Taken),
            Err(errno) => return Err(FileError::at("finish", &place)(errno.into())),
        }
        let kept = SavedMachine::open(&place)?;
        let Some(kept) = kept else { return Ok(Named::Empty) };
        sync_directory(&shelf)?;
        // From here on it stays.
        self.directory = PathBuf::new();
        Ok(Named::Kept(Box::new(kept)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.directory.as_os_str().is_empty() {
            return;
        }
        // Its keeper may still be at work; recovery comes by later then.
        self.lock = None;
        if let Ok(LockState::Free(_lock)) = probe_lock(&self.directory.join(LOCK))
            && let Err(error) = remove_tree(&self.directory)
        {
            tracing::warn!(%error, "what was not kept could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_holds_is_swept_and_what_is_held_stays() {
        let directory = tempfile::tempdir().unwrap();
        let shelf = Shelf::at(directory.path().join("snapshots"));
        shelf.sweep().unwrap();
        let place = shelf.begin().unwrap();
        let at = place.directory().to_owned();
        shelf.sweep().unwrap();
        assert!(at.exists());
        let keeper = hold(&at).unwrap().unwrap();
        drop(place);
        shelf.sweep().unwrap();
        assert!(at.exists(), "somebody is still at work there");
        drop(keeper);
        shelf.sweep().unwrap();
        assert!(!at.exists());

        let given_up = shelf.begin().unwrap();
        let at = given_up.directory().to_owned();
        drop(given_up);
        assert!(!at.exists());
        let name = "one".parse().unwrap();
        assert!(shelf.find(&name).unwrap().is_none());
        assert_eq!(shelf.remove(&name).unwrap(), Removal::Missing);
        assert!(matches!(shelf.begin().unwrap().keep_as(&name).unwrap(), Named::Empty));
        assert!(shelf.list().unwrap().is_empty());
        assert_eq!(fs::read_dir(directory.path().join("snapshots")).unwrap().count(), 0);
    }
}
