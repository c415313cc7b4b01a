//! What changed in a workspace.

mod result;

use operation::{Effect, Example, NoEvents, Operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::result::{
    ChangeCounts, ChangeKind, ChangedFile, ChangedLines, Difference, FileFacts, NoPatch,
};
use crate::id::WorkspaceRef;
use crate::path::PathText;
use crate::snapshot::{SnapshotName, SnapshotRef};

/// How many changes are told at once unless somebody asks for more.
pub const CHANGES_DEFAULT: u32 = 1000;

/// How much patch is told at once unless somebody asks for more, in bytes.
pub const PATCH_DEFAULT: u32 = 1 << 20;

const fn changes_default() -> u32 {
    CHANGES_DEFAULT
}

const fn patch_default() -> u32 {
    PATCH_DEFAULT
}

/// Tell what changed in a workspace since it was created, or since a snapshot
///
/// Compares `/workspace` with what it was: what was added, modified, deleted,
/// renamed, and what has another type or mode. As a patch it is what
/// `git diff --binary` prints, which `git apply` and `patch apply` take. `.git`
/// is left out everywhere. A long answer ends with the path after which the next
/// one begins; each part is a patch of its own. A stopped workspace is compared
/// as its disks are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Diff {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// What to compare with: `baseline` or the name of a snapshot
    #[arg(long, value_name = "SNAPSHOT", default_value_t)]
    #[serde(default)]
    pub against: SnapshotRef,
    /// How much is told
    #[command(flatten)]
    #[serde(default)]
    pub extent: Extent,
}

impl Operation for Diff {
    type Output = Difference;
    type Event = NoEvents;
    const NAME: &'static str = "workspace.diff";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] = &[
        Example { argv: "demo", json: r#"{"workspace": "demo"}"# },
        Example {
            argv: "demo src --format patch",
            json: r#"{"workspace": "demo", "extent": {"path": ["src"], "format": "patch"}}"#,
        },
        Example {
            argv: "demo --against before-upgrade --format stat",
            json: r#"{"workspace": "demo", "against": "before-upgrade", "extent": {"format": "stat"}}"#,
        },
    ];
}

/// Tell what changed in a workspace between two of its snapshots
///
/// As `workspace diff` does, which compares with what the workspace holds now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Compare {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// The snapshot before, or `baseline`
    pub from: SnapshotRef,
    /// The snapshot after
    pub to: SnapshotName,
    /// How much is told
    #[command(flatten)]
    #[serde(default)]
    pub extent: Extent,
}

impl Operation for Compare {
    type Output = Difference;
    type Event = NoEvents;
    const NAME: &'static str = "snapshot.compare";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] = &[Example {
        argv: "demo before-upgrade after-upgrade --format stat",
        json: r#"{"workspace": "demo", "from": "before-upgrade", "to": "after-upgrade", "extent": {"format": "stat"}}"#,
    }];
}

/// How much of a difference is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Extent {
    /// Only what lies at or below these paths in /workspace
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<PathText>,
    /// How much is told of each change
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub format: DiffFormat,
    /// Continue after this path
    #[arg(long, value_name = "PATH")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<PathText>,
    /// Most changes
    #[arg(long, default_value_t = CHANGES_DEFAULT, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    #[serde(default = "changes_default")]
    #[schemars(range(min = 1, max = 100_000))]
    pub limit: u32,
    /// Most bytes of patch; a file that needs more is named without its patch
    #[arg(long, default_value_t = PATCH_DEFAULT, value_parser = clap::value_parser!(u32).range(1024..=67_108_864))]
    #[serde(default = "patch_default")]
    #[schemars(range(min = 1024, max = 67_108_864))]
    pub max_bytes: u32,
    /// Tell contents even if they hold the value of a secret that the workspace
    /// was given
    #[arg(long)]
    #[serde(default)]
    pub allow_secrets: bool,
}

impl Default for Extent {
    /// All changes, without their lines.
    fn default() -> Self {
        Self {
            path: Vec::new(),
            format: DiffFormat::Status,
            after: None,
            limit: CHANGES_DEFAULT,
            max_bytes: PATCH_DEFAULT,
            allow_secrets: false,
        }
    }
}

/// How much is told of each change.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum DiffFormat {
    /// Its path
    Names,
    /// What became of it
    #[default]
    Status,
    /// How many lines were added and removed
    Stat,
    /// The lines themselves, for `git apply`
    Patch,
}
