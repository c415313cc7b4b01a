//! What changed, as it is told.

use std::fmt;

use operation::{Present, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DiffFormat;
use crate::file::EntryKind;
use crate::id::WorkspaceId;
use crate::output::OutputBytes;

/// What changed in a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// How much is told of each change.
    pub format: DiffFormat,
    /// How many changes there are in all.
    pub counts: ChangeCounts,
    /// The changes of this part, in the order of a walk.
    pub changes: Vec<ChangedFile>,
    /// Their patch, if one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<OutputBytes>,
    /// Whether all was looked at that may have been renamed and changed. If not,
    /// some of it is told as deleted and added.
    pub all_renames_sought: bool,
    /// The list goes on after this path; none if it is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// How many changes of each kind there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeCounts {
    /// All of them.
    pub total: u64,
    /// New ones.
    pub added: u64,
    /// With another content or mode.
    pub modified: u64,
    /// Those that are gone.
    pub deleted: u64,
    /// With another place.
    pub renamed: u64,
    /// That are something else now.
    pub type_changed: u64,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangedFile {
    /// Where it is, or was if it is gone.
    pub path: String,
    /// What became of it.
    pub change: ChangeKind,
    /// Where it was before it was renamed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// How much of it is the same after it was renamed, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub similarity: Option<u8>,
    /// What it was; none if it is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<FileFacts>,
    /// What it is; none if it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<FileFacts>,
    /// Lines that changed, if that was asked for and it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<ChangedLines>,
    /// Whether it is data rather than text, if contents were looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary: Option<bool>,
    /// Why a patch does not tell all of it; none if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_patch: Option<NoPatch>,
}

/// One side of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileFacts {
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits in octal.
    pub mode: String,
    /// Size in bytes.
    pub size_bytes: u64,
}

/// How many lines changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangedLines {
    /// Lines that were added.
    pub added: u64,
    /// Lines that were removed.
    pub removed: u64,
}

/// What became of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// Its content or mode is another one.
    Modified,
    /// It is gone.
    Deleted,
    /// It has another place.
    Renamed,
    /// It is something else.
    TypeChanged,
}

/// Why a patch does not tell all of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoPatch {
    /// git keeps no empty directories, pipes, devices, or modes beyond whether a
    /// file can be executed.
    NotKeptByGit,
    /// Its patch is longer than one answer may be; ask for more bytes.
    TooLong,
    /// It is larger than any patch may make it.
    TooLarge,
}

impl fmt::Display for ChangeCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { total, added, modified, deleted, renamed, type_changed } = self;
        if *total == 0 {
            return f.write_str("nothing has changed");
        }
        write!(
            f,
            "{total} changed: {added} added, {modified} modified, {deleted} deleted, {renamed} \
             renamed, {type_changed} of another type"
        )
    }
}

impl ChangeKind {
    const fn letter(self) -> char {
        match self {
            Self::Added => 'A',
            Self::Modified => 'M',
            Self::Deleted => 'D',
            Self::Renamed => 'R',
            Self::TypeChanged => 'T',
        }
    }
}

impl NoPatch {
    const fn reason(self) -> &'static str {
        match self {
            Self::NotKeptByGit => "git does not keep all of it",
            Self::TooLong => "its patch is too long: ask for more with --max-bytes",
            Self::TooLarge => "it is too large for a patch",
        }
    }
}

impl ChangedFile {
    /// The change in a line.
    pub(crate) fn status(&self) -> String {
        let from = self.from.as_ref().map(|from| format!("{from} -> ")).unwrap_or_default();
        let mode = match (&self.before, &self.after) {
            (Some(before), Some(after)) if before.mode != after.mode => {
                format!(" (mode {} -> {})", before.mode, after.mode)
            }
            _ => String::new(),
        };
        format!("{} {from}{}{mode}", self.change.letter(), self.path)
    }

    fn stat(&self) -> String {
        let size = |facts: &Option<FileFacts>| facts.as_ref().map_or(0, |facts| facts.size_bytes);
        match self.lines {
            Some(ChangedLines { added, removed }) => {
                format!("{} | +{added} -{removed}", self.status())
            }
            None => {
                format!("{} | {} -> {} bytes", self.status(), size(&self.before), size(&self.after))
            }
        }
    }
}

impl Present for Difference {
    fn present(&self, screen: &mut Screen) {
        for change in &self.changes {
            match self.format {
                DiffFormat::Names => screen.line(&change.path),
                DiffFormat::Status => screen.line(change.status()),
                DiffFormat::Stat => screen.line(change.stat()),
                DiffFormat::Patch => {}
            }
        }
        if let Some(patch) = &self.patch {
            screen.out.extend_from_slice(&patch.0);
            for change in &self.changes {
                if let Some(reason) = change.no_patch {
                    screen.note(format!("{}: {}", change.status(), reason.reason()));
                }
            }
        }
        screen.note(self.counts.to_string());
        if !self.all_renames_sought {
            screen.note("Too much is new and gone to find all that was renamed");
        }
        if let Some(next) = &self.next {
            screen.note(format!("There is more: go on with --after '{next}'"));
        }
    }
}
