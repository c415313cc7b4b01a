//! Bringing changes of the host into a workspace that exists.

use operation::{Effect, Example, Operation, Present, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crossing::{CrossingProgress, present_left_out};
use crate::id::WorkspaceRef;
use crate::path::PathText;
use crate::seed::{LeftOut, SeedFiles};

/// Bring what changed in a host directory into a workspace
///
/// The same files are taken as for a seed; git's own (`.git`) never cross. Only
/// what differs is sent: by size and time of modification, and by content where
/// those leave a doubt. Files change together, at most 20,000 at a time: whoever
/// is killed leaves each of them old or new, and pushing again completes it. The
/// host's directory is only read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Push {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// The directory of the host
    pub directory: String,
    /// The directory in /workspace that it is brought into
    #[arg(long, value_name = "DIR", default_value_t)]
    #[serde(default)]
    pub to: PathText,
    /// Which files of a git checkout are taken
    #[arg(long, value_name = "WHICH", value_enum, default_value_t)]
    #[serde(default)]
    pub files: SeedFiles,
    /// Delete what the host does not have, except what the checkout ignores
    #[arg(long)]
    #[serde(default)]
    pub delete: bool,
    /// How files are compared that have the same size
    #[arg(long, value_name = "HOW", value_enum, default_value_t)]
    #[serde(default)]
    pub compare: Compare,
    /// Only say what would be done
    #[arg(long)]
    #[serde(default)]
    pub dry_run: bool,
}

impl Push {
    /// Brings a directory's unignored files into /workspace and deletes nothing.
    #[must_use]
    pub fn new(workspace: WorkspaceRef, directory: impl Into<String>) -> Self {
        Self {
            workspace,
            directory: directory.into(),
            to: PathText::default(),
            files: SeedFiles::default(),
            delete: false,
            compare: Compare::default(),
            dry_run: false,
        }
    }
}

impl Operation for Push {
    type Output = Pushed;
    type Event = CrossingProgress;
    const NAME: &'static str = "sync.push";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[
        Example { argv: "demo .", json: r#"{"workspace": "demo", "directory": "."}"# },
        Example {
            argv: "demo ./lib --to vendor/lib --delete --dry-run",
            json: r#"{"workspace": "demo", "directory": "./lib", "to": "vendor/lib",
                      "delete": true, "dry_run": true}"#,
        },
    ];
}

/// How files are compared that have the same size.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Compare {
    /// By the time of modification; by content if that differs.
    #[default]
    Times,
    /// By content.
    Content,
}

/// What was brought in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pushed {
    /// The directory of the host.
    pub origin: String,
    /// The directory in /workspace.
    pub to: String,
    /// Files and links that were sent: the first of them.
    pub sent: Vec<String>,
    /// How many were sent.
    pub sent_total: u64,
    /// Bytes of their content, holes not counted.
    pub sent_bytes: u64,
    /// What was deleted: the first of it.
    pub deleted: Vec<String>,
    /// How much was deleted.
    pub deleted_total: u64,
    /// Files and links that were the same already.
    pub unchanged: u64,
    /// Files in the workspace that the host does not have and that stayed.
    pub kept: u64,
    /// What was not taken, and why: the first of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// How much was not taken.
    pub left_out_total: u64,
    /// Whether nothing was done but to look.
    pub dry_run: bool,
}

impl Pushed {
    /// Most names that are told of a list.
    pub const LIST_MAX: usize = 100;
}

impl Present for Pushed {
    fn present(&self, screen: &mut Screen) {
        for path in &self.sent {
            screen.line(format!("+ {path}"));
        }
        for path in &self.deleted {
            screen.line(format!("- {path}"));
        }
        let named = (self.sent.len() + self.deleted.len()) as u64;
        let unnamed = (self.sent_total + self.deleted_total).saturating_sub(named);
        if unnamed > 0 {
            screen.note(format!("and {unnamed} more"));
        }
        let Self { sent_total, sent_bytes, deleted_total, unchanged, kept, to, .. } = self;
        let would = if self.dry_run { "Would bring" } else { "Brought" };
        screen.note(format!(
            "{would} {sent_total} files ({sent_bytes} bytes) into {to}, deleting {deleted_total}; \
             {unchanged} are the same, {kept} are only in the workspace"
        ));
        present_left_out(screen, &self.left_out, self.left_out_total);
    }
}
