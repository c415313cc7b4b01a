//! Patches.

use operation::{Effect, Example, NoEvents, Operation, Present, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::WorkspaceRef;
use crate::path::PathText;

/// Apply a patch in a workspace, as a whole or not at all
///
/// Takes what `git diff` prints, from the given text, a file or else standard
/// input: new and deleted files, renames, modes, binary data. If one hunk does
/// not match nothing is changed, and the error shows the lines that are most
/// like it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Apply {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// The patch [default: standard input]
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<String>,
    /// Read the patch from this file of the host
    #[arg(long, value_name = "FILE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch_file: Option<String>,
    /// Directory that the names in the patch are relative to
    #[arg(long, value_name = "DIR", default_value_t)]
    #[serde(default)]
    pub directory: PathText,
    /// Only say what would be done
    #[arg(long)]
    #[serde(default)]
    pub check: bool,
}

impl Operation for Apply {
    type Output = Applied;
    type Event = NoEvents;
    const NAME: &'static str = "patch.apply";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[
        Example {
            argv: r#"demo --directory sub --check"#,
            json: r#"{"workspace": "demo", "directory": "sub", "check": true}"#,
        },
        Example {
            argv: r#"demo --patch-file fix.patch"#,
            json: r#"{"workspace": "demo", "patch_file": "fix.patch"}"#,
        },
    ];
}

/// What a patch did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Applied {
    /// Each file, in the order of the patch.
    pub files: Vec<PatchedFile>,
    /// Whether it was only checked.
    pub checked_only: bool,
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PatchedFile {
    /// Where it is now, or was.
    pub path: String,
    /// What was done.
    pub action: PatchAction,
    /// Where it was before, or what it was copied from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Lines that were added.
    pub added_lines: u64,
    /// Lines that were removed.
    pub removed_lines: u64,
    /// Whether its content was given as data.
    pub binary: bool,
    /// How many hunks were found at another line than the patch says.
    pub moved_hunks: u64,
}

/// What was done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PatchAction {
    /// It is new.
    Added,
    /// Its content or mode changed.
    Modified,
    /// It was removed.
    Deleted,
    /// It has another place.
    Renamed,
    /// It is a copy.
    Copied,
}

impl Present for Applied {
    fn present(&self, screen: &mut Screen) {
        for file in &self.files {
            let letter = match file.action {
                PatchAction::Added => 'A',
                PatchAction::Modified => 'M',
                PatchAction::Deleted => 'D',
                PatchAction::Renamed => 'R',
                PatchAction::Copied => 'C',
            };
            let from = file.from.as_ref().map(|from| format!(" (from {from})"));
            screen.line(format!(
                "{letter} {}{} +{} -{}",
                file.path,
                from.unwrap_or_default(),
                file.added_lines,
                file.removed_lines
            ));
        }
        if self.checked_only {
            screen.note("It applies; nothing was changed");
        }
    }
}
