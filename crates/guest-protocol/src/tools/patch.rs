//! The tool `patch`: what `git diff` prints, applied as a whole or not at all.

use serde::{Deserialize, Serialize};

use crate::path::WorkspacePath;

/// The tool's name.
pub const TOOL: &str = "patch";

/// Longest patch, in bytes.
pub const PATCH_MAX: u64 = 64 << 20;

/// Largest file that a patch may change or make, in bytes: all of them are held
/// in memory.
pub const FILE_MAX: u64 = 64 << 20;

/// Most bytes of all files that a patch makes.
pub const TOTAL_MAX: u64 = 256 << 20;

/// Most files in one patch.
pub const FILES_MAX: usize = 20_000;

/// Apply the patch that follows in chunks. Answered by [`Applied`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Apply {
    /// The directory that the patch's names are relative to.
    pub directory: WorkspacePath,
    /// Whether to change anything.
    pub intent: Intent,
}

/// Whether to change anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    /// Apply the patch.
    Apply,
    /// Only say what would be done.
    Check,
}

/// A patch that was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// What became of each file, in the order of the patch.
    pub files: Vec<PatchedFile>,
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatchedFile {
    /// Where it is now, or was.
    pub path: WorkspacePath,
    /// What was done.
    pub action: Action,
    /// Where it was before a rename, or what it was copied from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<WorkspacePath>,
    /// Lines that the patch adds.
    pub added_lines: u64,
    /// Lines that the patch removes.
    pub removed_lines: u64,
    /// Whether it was given as binary data.
    #[serde(default)]
    pub binary: bool,
    /// The hunks that were found at another line than the patch says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moved_hunks: Vec<MovedHunk>,
}

/// What a patch does to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is new.
    Added,
    /// Its content or mode changes.
    Modified,
    /// It is removed.
    Deleted,
    /// It has another place.
    Renamed,
    /// It is a copy.
    Copied,
}

/// A hunk that was found at another line than the patch says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedHunk {
    /// Counted from one.
    pub hunk: u64,
    /// How many lines further down; negative if further up.
    pub lines: i64,
}
