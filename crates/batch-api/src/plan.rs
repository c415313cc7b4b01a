//! What a batch of tasks would come to.

mod present;
mod result;

use std::fmt;
use std::str::FromStr;

use operation::{Effect, Example, NoEvents, Operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::init::here;
use operation::text_value;

pub use self::result::{
    Contention, PacketProblem, Planned, PlannedTask, Remark, ScopeOverlap, SourceOfSettings,
};

/// Most tasks that run at the same time, whatever is asked for.
pub const LANES_MAX: u8 = 128;

/// Show what a batch of tasks would come to: graph, lanes, order and time
///
/// Reads the packets of areas, or a single one, and changes nothing. A task may start
/// as soon as what it depends on is merged; tasks that may change the same files never
/// run at the same time. Everything that is wrong with any packet is told at once, with
/// file and line; there is no plan then, and the exit code is 2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Plan {
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
    /// How it is told
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub format: PlanFormat,
}

impl Plan {
    /// The plan of these tasks in the repository around the current directory.
    #[must_use]
    pub fn of(tasks: impl IntoIterator<Item = TaskSource>) -> Self {
        let tasks = tasks.into_iter().collect();
        Self { tasks, directory: here(), lanes: None, format: PlanFormat::default() }
    }
}

impl Operation for Plan {
    type Output = Planned;
    type Event = NoEvents;
    const NAME: &'static str = "batch.plan";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] = &[
        Example { argv: "", json: "{}" },
        Example { argv: "core docs --lanes 4", json: r#"{"tasks": ["core", "docs"], "lanes": 4}"# },
        Example {
            argv: "tasks/core/TP-014-parser/PROMPT.md --format svg",
            json: r#"{"tasks": ["tasks/core/TP-014-parser/PROMPT.md"], "format": "svg"}"#,
        },
    ];
}

/// How a plan is told.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum PlanFormat {
    /// Lanes, order, conflicts and waves, as text
    #[default]
    Text,
    /// A picture for a browser, on standard output
    Svg,
}

/// Where tasks come from: `all`, the name of an area, a directory, or a PROMPT.md.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskSource(String);

impl TaskSource {
    /// Longest text, in bytes.
    pub const LENGTH_MAX: usize = 4096;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TaskSource {
    type Err = NotASource;

    fn from_str(text: &str) -> Result<Self, NotASource> {
        let valid =
            (1..=Self::LENGTH_MAX).contains(&text.len()) && !text.contains(char::is_control);
        if valid { Ok(Self(text.to_owned())) } else { Err(NotASource) }
    }
}

impl fmt::Display for TaskSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that no tasks come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "tasks come from an area, a directory or a PROMPT.md: 1 to {} bytes without control characters",
    TaskSource::LENGTH_MAX
)]
pub struct NotASource;

text_value!(TaskSource, "^[^\\x00-\\x1f\\x7f]+$");
