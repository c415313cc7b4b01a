//! Changing what a workspace is called.

use operation::{Effect, Example, NoEvents, Operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Workspace;
use crate::id::{WorkspaceName, WorkspaceRef};
use crate::label::{Label, LabelKey};

/// Change the name and the labels of a workspace
///
/// Labels that are not named stay as they are. The guest keeps the host name
/// that it started with. Fails with `conflict` if the name is taken.
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
}

impl Update {
    /// Changes nothing yet.
    #[must_use]
    pub fn new(workspace: WorkspaceRef) -> Self {
        Self { workspace, name: None, label: Vec::new(), remove_label: Vec::new() }
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
    const EXAMPLES: &'static [Example] = &[Example {
        argv: "demo --name web-1 --label team=core --remove-label draft",
        json: r#"{"workspace": "demo", "name": "web-1", "label": ["team=core"],
                  "remove_label": ["draft"]}"#,
    }];
}
