//! Stopping a workspace's machine, putting it aside with its memory, and starting it
//! again.

use operation::{Effect, Example, NoEvents, Operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Workspace;
use crate::id::WorkspaceRef;

/// Stop the machine of a workspace and keep its disks
///
/// What was written is on the disks then; commands, shells and everything that
/// was only in memory end. Of a hibernated workspace the memory is given up. Fails
/// with `conflict` if it is stopped already.
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

/// Put a workspace aside with its memory
///
/// Its machine ends, and with it all that it uses of the host but disk space.
/// Nothing in it ends: commands in the background, shells and services go on when
/// it is started again, and whatever needs its machine starts it. Only commands
/// that somebody waits for are lost. Fails with `conflict` if it does not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Hibernate {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
}

impl Operation for Hibernate {
    type Output = Workspace;
    type Event = NoEvents;
    const NAME: &'static str = "workspace.hibernate";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] =
        &[Example { argv: "demo", json: r#"{"workspace": "demo"}"# }];
}

/// Start a workspace that was stopped or hibernated
///
/// A hibernated one goes on where it was, with all that ran in it. One that was
/// stopped, or whose machine or keeper died, boots from its disks: everything that
/// had reached them is there, and it takes longer than a creation. Fails with
/// `conflict` if it runs already.
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
