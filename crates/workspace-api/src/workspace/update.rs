//! Changing what a workspace is called, what becomes of it when nobody uses it, and how
//! large it is.

use operation::{Effect, Example, NoEvents, Operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Workspace;
use crate::id::{WorkspaceName, WorkspaceRef};
use crate::idle::{IdleAction, IdleAfter};
use crate::label::{Label, LabelKey};
use crate::spec::Shape;
use crate::time::TimeSpan;

/// Change the name, the labels, the idle policy or the size of a workspace
///
/// What is not named stays as it is. The guest keeps the host name that it
/// started with. A machine keeps its size for as long as it has memory: another
/// one is that of the next start of a stopped workspace. Fails with `conflict`
/// if the name is taken, if a workspace that does not run shall be kept ready,
/// or if one that is not stopped shall have another size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// New name
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<WorkspaceName>,
    /// Set a label (can be repeated)
    #[arg(long, value_name = "KEY=VALUE")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub label: Vec<Label>,
    /// Remove a label, if it is there (can be repeated)
    #[arg(long, value_name = "KEY")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove_label: Vec<LabelKey>,
    /// Put it aside when nobody has used it for so long, such as 30m; or never
    #[arg(long, value_name = "TIME")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_after: Option<IdleAfter>,
    /// How it is put aside
    #[arg(long, value_enum, value_name = "ACTION")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_then: Option<IdleAction>,
    /// Keep it ready for at least this time from now on, such as 2h
    #[arg(long, value_name = "TIME")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extend: Option<TimeSpan>,
    /// Virtual processors from its next start on
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=64))]
    #[schemars(range(min = 1, max = 64))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u8>,
    /// Memory in MiB from its next start on
    #[arg(long, value_parser = clap::value_parser!(u32).range(256..=262_144))]
    #[schemars(range(min = 256, max = 262_144))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u32>,
}

impl Update {
    /// Changes nothing yet.
    #[must_use]
    pub fn new(workspace: WorkspaceRef) -> Self {
        Self {
            workspace,
            name: None,
            label: Vec::new(),
            remove_label: Vec::new(),
            idle_after: None,
            idle_then: None,
            extend: None,
            cpus: None,
            memory_mib: None,
        }
    }

    /// The same with a new name.
    #[must_use]
    pub fn with_name(mut self, name: WorkspaceName) -> Self {
        self.name = Some(name);
        self
    }

    /// The same with a label set.
    #[must_use]
    pub fn with_label(mut self, label: Label) -> Self {
        self.label.push(label);
        self
    }

    /// The same with another time after which it counts as idle.
    #[must_use]
    pub const fn with_idle_after(mut self, idle_after: IdleAfter) -> Self {
        self.idle_after = Some(idle_after);
        self
    }

    /// The same, keeping it ready for at least that time.
    #[must_use]
    pub const fn with_extension(mut self, extend: TimeSpan) -> Self {
        self.extend = Some(extend);
        self
    }

    /// The same with another size from the next start on.
    #[must_use]
    pub const fn with_shape(mut self, shape: Shape) -> Self {
        self.cpus = Some(shape.cpus);
        self.memory_mib = Some(shape.memory_mib);
        self
    }

    /// The same with a label removed.
    #[must_use]
    pub fn without_label(mut self, key: LabelKey) -> Self {
        self.remove_label.push(key);
        self
    }
}

impl Operation for Update {
    type Output = Workspace;
    type Event = NoEvents;
    const NAME: &'static str = "workspace.update";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[
        Example {
            argv: "demo --name web-1 --label team=core --remove-label draft",
            json: r#"{"workspace": "demo", "name": "web-1", "label": ["team=core"],
                      "remove_label": ["draft"]}"#,
        },
        Example {
            argv: "demo --idle-after 2h --extend 8h",
            json: r#"{"workspace": "demo", "idle_after": "2h", "extend": "8h"}"#,
        },
        Example {
            argv: "demo --cpus 2 --memory-mib 4096",
            json: r#"{"workspace": "demo", "cpus": 2, "memory_mib": 4096}"#,
        },
    ];
}
