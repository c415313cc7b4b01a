//! Making more workspaces of one.

use operation::{Effect, Example, NoEvents, Operation, Present, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Workspace;
use crate::id::{WorkspaceId, WorkspaceName, WorkspaceRef};
use crate::snapshot::SnapshotName;

/// Make independent copies of a running workspace, or of a snapshot of it
///
/// Each child goes on where the workspace is at this moment, or where the
/// snapshot was: with its disks, its memory and its processes, its labels and
/// its network policy. It has a name, an id, a machine id and a random generator
/// of its own, and goes back to the same baseline. Children share what they do
/// not change; the workspace runs on unharmed. All are made or none is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Fork {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// Snapshot that the children go on from [default: the workspace as it is now]
    #[arg(long, value_name = "SNAPSHOT")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<SnapshotName>,
    /// How many children
    #[arg(long, default_value_t = Fork::COUNT_DEFAULT, value_parser = clap::value_parser!(u8).range(1..=64))]
    #[schemars(range(min = 1, max = 64))]
    #[serde(default = "one")]
    pub count: u8,
    /// Name of the child; several are called NAME-1, NAME-2, … [default: their ids]
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<WorkspaceName>,
}

const fn one() -> u8 {
    Fork::COUNT_DEFAULT
}

impl Fork {
    /// How many children there are if nobody says.
    pub const COUNT_DEFAULT: u8 = 1;

    /// Most children of one fork.
    pub const COUNT_MAX: u8 = 64;

    /// One child of a workspace as it is now.
    #[must_use]
    pub const fn new(workspace: WorkspaceRef) -> Self {
        Self { workspace, from: None, count: Self::COUNT_DEFAULT, name: None }
    }

    /// So many children.
    #[must_use]
    pub const fn with_count(mut self, count: u8) -> Self {
        self.count = count;
        self
    }

    /// The same with names for the children.
    #[must_use]
    pub fn with_name(mut self, name: WorkspaceName) -> Self {
        self.name = Some(name);
        self
    }

    /// The same from a snapshot.
    #[must_use]
    pub fn with_from(mut self, snapshot: SnapshotName) -> Self {
        self.from = Some(snapshot);
        self
    }
}

impl Operation for Fork {
    type Output = Forked;
    type Event = NoEvents;
    const NAME: &'static str = "workspace.fork";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[
        Example { argv: "demo", json: r#"{"workspace": "demo"}"# },
        Example {
            argv: "demo --from before-upgrade --count 3 --name attempt",
            json: r#"{"workspace": "demo", "from": "before-upgrade", "count": 3, "name": "attempt"}"#,
        },
    ];
}

/// Workspaces that were made of another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Forked {
    /// The other one.
    pub parent: WorkspaceId,
    /// How long it stood still for this, in microseconds; none if the children
    /// go on from a snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_us: Option<u64>,
    /// The children.
    pub children: Vec<Workspace>,
}

impl Present for Forked {
    fn present(&self, screen: &mut Screen) {
        for child in &self.children {
            match &child.name {
                Some(name) => screen.line(format!("{}  {name}", child.id)),
                None => screen.line(child.id.to_string()),
            }
        }
    }
}
