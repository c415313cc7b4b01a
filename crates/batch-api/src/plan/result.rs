//! What is told of a plan.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::TaskId;
use crate::limits::BatchLimits;
use crate::task::{AreaName, ReviewLevel, ScopePattern, Size};

/// A plan, or what keeps it from being one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Planned {
    /// The repository's directory.
    pub repository: String,
    /// Where the settings come from.
    pub settings: SourceOfSettings,
    /// What is wrong, in the order of files and lines; there is no plan then.
    pub problems: Vec<PacketProblem>,
    /// What should be known, and keeps nothing from going on.
    pub remarks: Vec<Remark>,
    /// How many tasks run at the same time at most.
    pub lanes: u8,
    /// When a batch of them gives up, and on what.
    pub limits: BatchLimits,
    /// The tasks, in the order in which they start.
    pub tasks: Vec<PlannedTask>,
    /// Which tasks never run at the same time, and why.
    pub conflicts: Vec<Contention>,
    /// The tasks by levels: each stands behind everything that it depends on. A view:
    /// nothing waits for a level.
    pub waves: Vec<Vec<TaskId>>,
    /// The chain of dependencies that takes longest.
    pub critical_path: Vec<TaskId>,
    /// How long that chain takes, in minutes.
    pub critical_minutes: u32,
    /// How long all of it takes in these lanes, in minutes.
    pub minutes: u32,
    /// How long all of it takes in one lane, in minutes.
    pub work_minutes: u32,
    /// How many tasks of these areas are done.
    pub completed: u32,
    /// The picture, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
}

/// Where settings come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceOfSettings {
    /// From `.hotcell/batch.toml`.
    Own,
    /// From Taskplane's configuration.
    Taskplane,
    /// There is no file: everything is as it is unless somebody says otherwise.
    Defaults,
}

/// A task in a plan. All times are estimates, in minutes from the beginning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedTask {
    /// Which.
    pub id: TaskId,
    /// What people call it.
    pub name: String,
    /// Where it lies.
    pub area: AreaName,
    /// Its PROMPT.md, relative to the repository if it lies there.
    pub prompt: String,
    /// How large it is.
    pub size: Size,
    /// Which reviews it wants: 0 none, 1 plan, 2 plan and code, 3 tests as well.
    pub review_level: ReviewLevel,
    /// How many steps it has.
    pub steps: u32,
    /// How many of them its STATUS.md calls complete.
    pub steps_complete: u32,
    /// In which lane, from 1.
    pub lane: u8,
    /// When it starts.
    pub start: u32,
    /// When it ends.
    pub end: u32,
    /// In which wave, from 1.
    pub wave: u32,
    /// What has to be merged before it starts.
    pub depends_on: Vec<TaskId>,
    /// What of its dependencies was done before.
    pub satisfied: Vec<TaskId>,
    /// What it never runs beside.
    pub conflicts_with: Vec<TaskId>,
    /// Whether it is on the critical path.
    pub is_critical: bool,
}

/// Two tasks that never run at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Contention {
    /// The one that starts first.
    pub first: TaskId,
    /// The one that waits for it.
    pub second: TaskId,
    /// An entry of the first one's file scope.
    pub first_scope: ScopePattern,
    /// An entry of the second one's.
    pub second_scope: ScopePattern,
    /// How these come to mean the same files.
    pub overlap: ScopeOverlap,
}

/// How two entries of file scopes come to mean the same files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScopeOverlap {
    /// They are the same.
    Same,
    /// One is a directory around the other.
    Inside,
    /// Some path matches both.
    Patterns,
    /// It could not be decided, so they count as the same files.
    Undecided,
}

/// Something that is wrong with a packet or the configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct PacketProblem {
    /// In which file, relative to the repository if it lies there.
    pub file: String,
    /// On which line, from 1; 0 if it is about the file as a whole.
    pub line: u32,
    /// What was found, and what was expected.
    pub message: String,
}

/// Something that should be known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Remark {
    /// Of which file or directory, relative to the repository if it lies there.
    pub file: String,
    /// What.
    pub message: String,
}
