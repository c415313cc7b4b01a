//! Stopping a workspace's machine and starting it again.

use operation::{Effect, Example, NoEvents, Operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Workspace;
use crate::id::WorkspaceRef;

/// Stop the machine of a workspace and keep its disks
///
/// What was written is on the disks then; commands, shells and everything that
/// was only in memory end. Fails with `conflict` if it does not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
}

impl Operation for Stop {
    type Output = Workspace;
    type Event = NoEvents;
    const NAME: &'static str = "workspace.stop";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] =
        &[Example { argv: "demo", json: r#"{"workspace": "demo"}"# }];
}

/// Boot a stopped workspace from its disks
///
/// For workspaces that were stopped, and for those whose machine or keeper died:
/// everything that had reached the disks is there. It boots the whole system, so
/// it takes longer than a creation. Fails with `conflict` if it runs already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
}

impl Operation for Start {
    type Output = Workspace;
    type Event = NoEvents;
    const NAME: &'static str = "workspace.start";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] =
        &[Example { argv: "demo", json: r#"{"workspace": "demo"}"# }];
}
