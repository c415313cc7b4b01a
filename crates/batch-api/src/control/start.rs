//! Starting a batch.

use operation::{Effect, Example, NoEvents, Operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{BatchId, CommitName, RequestId};
use crate::init::here;
use crate::plan::{Remark, TaskSource};

/// Start a batch: an engine of its own does the tasks, and survives this terminal
///
/// Plans like `batch plan`, and refuses with everything that is wrong at once. The batch
/// begins with the commit that `base` of the configuration names; its work comes to an
/// integration branch of its own, and neither the checkout nor any branch of the
/// repository is touched, but for the `.DONE` of each packet that is done. What is not
/// committed is in no lane. One task is started as a hundred are: by its PROMPT.md.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// Areas by name or directory, packets by directory or PROMPT.md; `all`, or
    /// nothing, means every area of the configuration
    #[arg(value_name = "AREA|PROMPT.md")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub tasks: Vec<TaskSource>,
    /// Directory in the repository
    #[arg(long, value_name = "DIR", default_value = ".")]
    #[serde(default = "here")]
    pub directory: String,
    /// Most tasks that run at the same time; as configured unless given
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=128))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 128))]
    pub lanes: Option<u8>,
    /// Let agents of lanes `worktree` work on this host, with your rights: without it they
    /// are refused
    #[arg(long)]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_host: bool,
    /// Name of this request: repeated, it means the batch that it started first
    #[arg(long, value_name = "ID")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
}

impl Start {
    /// A batch of these tasks in the repository around a directory.
    #[must_use]
    pub fn of(tasks: impl IntoIterator<Item = TaskSource>) -> Self {
        let tasks = tasks.into_iter().collect();
        Self { tasks, directory: here(), lanes: None, on_host: false, request_id: None }
    }
}

impl Operation for Start {
    type Output = Started;
    type Event = NoEvents;
    const NAME: &'static str = "batch.start";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[
        Example { argv: "", json: "{}" },
        Example { argv: "core docs --lanes 4", json: r#"{"tasks": ["core", "docs"], "lanes": 4}"# },
        Example {
            argv: "tasks/core/TP-014-parser/PROMPT.md --request-id night-1",
            json: r#"{"tasks": ["tasks/core/TP-014-parser/PROMPT.md"], "request_id": "night-1"}"#,
        },
    ];
}

/// A batch that was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Started {
    /// Identifies it for ever.
    pub id: BatchId,
    /// The repository's directory.
    pub repository: String,
    /// The commit that it begins with.
    pub base: CommitName,
    /// How many tasks it has.
    pub tasks: u32,
    /// How many of them run at the same time at most.
    pub lanes: u32,
    /// What should be known, and keeps nothing from going on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<Remark>,
}
