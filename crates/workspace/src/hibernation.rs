//! The memory of a workspace that was put aside.
//!
//! It is a saved machine (`saved`) in the workspace's own directory. What it is worth
//! depends on whether its guest has run since it was saved, and that is what the
//! workspace's record says:
//!
//! | record | the memory is |
//! |---|---|
//! | `hibernated`, `starting` | what the machine goes on from: nobody has been told since that the guest accepts commands |
//! | anything else | out of date, or about to be used for the first time: it counts for nothing |
//!
//! ```text
//! running ─▶ guest halted ─▶ memory whole ─▶ `hibernated` ─▶ machine ended
//!    ▲                                            │
//!    └── memory removed ◀── `running` ◀── resumed ◀── fresh layers ◀── `starting`
//! ```
//!
//! **SIGKILL here.** Before `hibernated` is on record the workspace is one whose
//! machine died: it has its disks, and the memory is removed. From `starting` it goes
//! back to `hibernated`: what the guest did meanwhile is in layers that the next
//! attempt replaces, and nobody has heard of it. After `running` is on record the
//! memory is out of date; who needs the place for something else removes it.

use crate::files::FileError;
use crate::home::WorkspaceFiles;
use crate::saved::SavedMachine;
use crate::saved::shelf::{Named, Place, Removal, Shelf};
use workspace_api::snapshot::SnapshotName;

/// Where the memory lies among a workspace's files.
const DIRECTORY: &str = "hibernation";

/// The memory's name there.
const NAME: &str = "memory";

/// The memory of a workspace, if it was put aside with it.
#[derive(Debug, Clone)]
pub(crate) struct Hibernation(Shelf);

fn name() -> SnapshotName {
    NAME.parse().expect("a name")
}

impl Hibernation {
    /// That of the workspace with these files.
    pub(crate) fn of(files: &WorkspaceFiles) -> Self {
        Self(Shelf::at(files.directory().join(DIRECTORY)))
    }

    /// A place for the memory to be saved into.
    pub(crate) fn begin(&self) -> Result<Place, FileError> {
        self.0.begin()
    }

    /// Makes what was saved in a place the workspace's memory, instead of any that is
    /// out of date. Whether there is one now.
    pub(crate) fn keep(&self, place: Place) -> Result<bool, FileError> {
        self.discard()?;
        Ok(matches!(place.keep_as(&name())?, Named::Kept(_)))
    }

    /// The memory, whole.
    pub(crate) fn find(&self) -> Result<Option<SavedMachine>, FileError> {
        // Whoever wants to use it has the workspace's lock, so nobody takes it away.
        Ok(self.0.find(&name())?.map(|(saved, _)| saved))
    }

    /// Removes the memory, if there is any.
    pub(crate) fn discard(&self) -> Result<(), FileError> {
        match self.0.remove(&name())? {
            Removal::Removed { .. } | Removal::Missing => Ok(()),
            // Somebody looks at it this moment. It counts for nothing any more and is
            // removed before the next one is kept.
            Removal::InUse => Ok(()),
        }
    }

    /// Removes what savings left that were killed.
    pub(crate) fn sweep(&self) -> Result<(), FileError> {
        self.0.sweep()
    }
}
