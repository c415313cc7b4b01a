//! What is taken of a workspace: everything that its git can tell, as one bundle.
//!
//! ```text
//! base ── agent's commits ── HEAD ◀──── staged (what the index held)
//!                              ▲            ▲
//!                              └── work ────┘   (tree: all files that are not ignored)
//! ```
//!
//! `work` is one commit whose parents are the agent's `HEAD` and what was staged, as
//! git's own stash has it, so one name holds commits, index and untracked files.
//! Branches and stashes go along. What is ignored does not: the disk of the
//! workspace has it, and snapshots keep that.
//!
//! The script runs inside the guest, with the guest's git, and what comes of it is
//! believed no more than anything else from there.

use batch_api::AttemptId;

use crate::names::{CommitId, of_attempt};

/// A script for `sh`, with two arguments: the commit that the agent began with, and
/// the file that the bundle is written to.
pub const SCRIPT: &str = include_str!("capture.sh");

/// What the bundle calls all that lay in the workspace, behind `refs/`.
pub(crate) const WORK: &str = "hotcell/work";

/// What the names of a capture begin with. It is called after its content, so the
/// same state is taken once, however often it is handed over.
pub(crate) fn of_capture(attempt: &AttemptId, work: &CommitId) -> String {
    format!("{}/captures/{work}", of_attempt(attempt))
}
