//! Changes of a workspace, applied to a checkout of the host.

use operation::{Effect, Example, Operation, Present, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crossing::CrossingProgress;
use crate::id::WorkspaceRef;
use crate::path::PathText;

/// Apply what changed in a workspace to a checkout of the host
///
/// Compares three ways: what the workspace started with, what it has now, and
/// what the host has. What the host left alone is taken over, what both changed
/// is merged, and what cannot be merged is a conflict. Unless asked to apply, it
/// only says what would be done. All is applied or nothing, also by a process
/// that is killed: the next use of hotcell completes it or takes it back. git's
/// own files are never touched, and nothing that the checkout ignores is brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct ApplyBack {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// The directory of the host that the workspace was seeded from
    pub checkout: String,
    /// Only what lies at or below this path (can be repeated)
    #[arg(long, value_name = "PATH")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<PathText>,
    /// Whether to change anything
    #[arg(long, value_name = "MODE", value_enum, default_value_t)]
    #[serde(default)]
    pub mode: ApplyMode,
    /// What conflicts mean for the rest
    #[arg(long, value_name = "WHAT", value_enum, default_value_t)]
    #[serde(default)]
    pub conflicts: Conflicts,
    /// Allow changes of a kind that can make the host run something (can be repeated)
    #[arg(long, value_name = "KIND", value_enum)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Danger>,
    /// Take files over even if they hold the value of a secret that the workspace was given
    #[arg(long)]
    #[serde(default)]
    pub allow_secrets: bool,
}

impl ApplyBack {
    /// Says what would be done.
    #[must_use]
    pub fn plan(workspace: WorkspaceRef, checkout: impl Into<String>) -> Self {
        Self {
            workspace,
            checkout: checkout.into(),
            path: Vec::new(),
            mode: ApplyMode::Plan,
            conflicts: Conflicts::Refuse,
            allow: Vec::new(),
            allow_secrets: false,
        }
    }
}

impl Operation for ApplyBack {
    type Output = AppliedBack;
    type Event = CrossingProgress;
    const NAME: &'static str = "workspace.apply-back";
    const EFFECT: Effect = Effect::Crosses;
    const EXAMPLES: &'static [Example] = &[
        Example { argv: "demo .", json: r#"{"workspace": "demo", "checkout": "."}"# },
        Example {
            argv: "demo . --mode apply --path src --allow executable",
            json: r#"{"workspace": "demo", "checkout": ".", "mode": "apply", "path": ["src"],
                      "allow": ["executable"]}"#,
        },
    ];
}

/// Whether to change anything.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum ApplyMode {
    /// Only say what would be done.
    #[default]
    Plan,
    /// Do it.
    Apply,
}

/// What conflicts mean for the rest.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Conflicts {
    /// Nothing is applied.
    #[default]
    Refuse,
    /// They stay as the host has them; the rest is applied.
    Skip,
}

/// Why a change could make the host run something, or write elsewhere.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Danger {
    /// Hooks that tools of git call: `.githooks`, `.husky`, pre-commit and the like.
    Hooks,
    /// What git reads from the tree: `.gitattributes`, `.gitmodules`, `.lfsconfig`.
    GitSettings,
    /// What a server runs for everybody: CI definitions.
    Ci,
    /// What editors, shells and agents run by themselves: `.vscode`, `.envrc` and the like.
    EditorTasks,
    /// What package managers run or read by themselves: scripts of `package.json`,
    /// `setup.py`, `build.rs`, `.npmrc`, `.cargo/config.toml` and the like.
    PackageScripts,
    /// A file becomes executable.
    Executable,
    /// A symbolic link leads out of the checkout, or into git's own files.
    LeavingLink,
}

impl Danger {
    /// The word for it, as options have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hooks => "hooks",
            Self::GitSettings => "git-settings",
            Self::Ci => "ci",
            Self::EditorTasks => "editor-tasks",
            Self::PackageScripts => "package-scripts",
            Self::Executable => "executable",
            Self::LeavingLink => "leaving-link",
        }
    }
}

/// What would be done, or was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AppliedBack {
    /// The checkout.
    pub checkout: String,
    /// Whether anything was changed.
    pub mode: ApplyMode,
    /// Every file that changed in the workspace, in order.
    pub files: Vec<FilePlan>,
    /// New files that the checkout's rules ignore, which stay in the workspace.
    pub ignored: u64,
    /// Changes that no checkout can have: of git's own files, of directories
    /// alone, of pipes and devices. The first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// How many there are.
    pub left_out_total: u64,
}

impl AppliedBack {
    /// Most names in [`Self::left_out`].
    pub const LIST_MAX: usize = 100;

    /// The conflicts.
    pub fn conflicts(&self) -> impl Iterator<Item = &FilePlan> {
        self.files.iter().filter(|file| file.fate == Fate::Conflict)
    }

    /// Dangers that nobody has allowed, of what is not in conflict.
    pub fn refused(&self) -> impl Iterator<Item = &FilePlan> {
        self.files.iter().filter(|file| {
            !file.refused.is_empty() && !matches!(file.fate, Fate::Conflict | Fate::Same)
        })
    }
}

/// What becomes of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FilePlan {
    /// The file, relative to the checkout.
    pub path: String,
    /// What happened to it in the workspace.
    pub change: BackChange,
    /// What that means for the host.
    pub fate: Fate,
    /// Why it is a conflict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What is dangerous about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dangers: Vec<Danger>,
    /// What of that was not allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Danger>,
}

/// What happened to a file in the workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BackChange {
    /// It is new.
    Added,
    /// Its content, its kind, or whether it is executable changed.
    Modified,
    /// It is gone.
    Deleted,
}

/// What becomes of a file on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It becomes what the workspace has.
    Taken,
    /// Both changes are merged.
    Merged,
    /// The host has it already.
    Same,
    /// Both changed it in ways that exclude each other.
    Conflict,
}

impl Present for AppliedBack {
    fn present(&self, screen: &mut Screen) {
        for file in &self.files {
            let letter = match (file.fate, file.change) {
                (Fate::Same, _) => '=',
                (Fate::Conflict, _) => 'C',
                (_, BackChange::Added) => 'A',
                (_, BackChange::Modified) => 'M',
                (_, BackChange::Deleted) => 'D',
            };
            let merged = if file.fate == Fate::Merged { " (merged)" } else { "" };
            let reason = file.reason.as_ref().map(|reason| format!(": {reason}"));
            screen.line(format!("{letter} {}{merged}{}", file.path, reason.unwrap_or_default()));
        }
        for file in self.files.iter().filter(|file| !file.dangers.is_empty()) {
            let named = |dangers: &[Danger]| {
                dangers.iter().map(|danger| danger.as_str()).collect::<Vec<_>>().join(", ")
            };
            let verdict = match file.refused.as_slice() {
                [] => "allowed".to_owned(),
                refused => format!("not allowed without --allow {}", named(refused)),
            };
            screen.note(format!("dangerous: {} ({}); {verdict}", file.path, named(&file.dangers)));
        }
        for path in &self.left_out {
            screen.note(format!("left out: {path}"));
        }
        if self.ignored > 0 {
            screen
                .note(format!("{} new files that the checkout ignores stay behind", self.ignored));
        }
        let count = |fate: Fate| self.files.iter().filter(|file| file.fate == fate).count();
        let (taken, merged) = (count(Fate::Taken), count(Fate::Merged));
        let conflicts = count(Fate::Conflict);
        screen.note(match self.mode {
            ApplyMode::Apply => format!("Applied {} files to {}", taken + merged, self.checkout),
            ApplyMode::Plan => format!(
                "Would apply {taken} files and merge {merged}; {conflicts} conflicts. Nothing was \
                 changed: --mode apply does it"
            ),
        });
    }

    fn exit_code(&self) -> u8 {
        let is_refused = self.mode == ApplyMode::Plan
            && (self.conflicts().next().is_some() || self.refused().next().is_some());
        u8::from(is_refused)
    }
}
