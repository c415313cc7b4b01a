//! Planning: which tasks wait for which, which change the same files, and who does
//! what when. The same tasks always give the same plan.
//!
//! ```text
//! tasks ──graph──▶ who waits for whom ──conflicts──▶ who must not run beside whom
//!                        │                                  │
//!                        └──────────────┬───────────────────┘
//!                                   schedule ──▶ lanes, order, estimates
//! ```
//!
//! A task may start as soon as what it depends on is merged: there are no waves to be
//! waited for, they are only a way to look at the graph. Two tasks that may change the
//! same file and of which neither depends on the other never run at the same time;
//! where that can be had, the later one follows in the lane of the earlier.
//!
//! What an engine does is decided as it goes, because tasks take as long as they take:
//! it is given [`Plan::by_urgency`], and what must not run beside what. The schedule is
//! what that comes to if every estimate is right.

mod conflicts;
mod graph;
mod overlap;
mod schedule;

use std::collections::BTreeSet;

use batch_api::{AreaName, ScopePattern, Size, TaskId};

pub use self::conflicts::Conflict;
pub use self::graph::{Fault, Problem};
pub use self::schedule::Planned;

/// Most tasks of one batch.
pub const TASKS_MAX: usize = 1000;

/// A task, as far as planning is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Which it is.
    pub id: TaskId,
    /// Where it lies.
    pub area: AreaName,
    /// How large it is.
    pub size: Size,
    /// What has to be merged before.
    pub dependencies: Vec<Dependency>,
    /// Which files it changes; nobody knows if it is empty.
    pub scope: Vec<ScopePattern>,
}

/// What a task names as its dependency.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dependency {
    /// In which area, if that is said.
    pub area: Option<AreaName>,
    /// Which task.
    pub task: TaskId,
    /// On which line of its packet.
    pub line: u32,
}

/// A task that is known and not to be done in this batch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Known {
    /// Where it lies.
    pub area: AreaName,
    /// Which it is.
    pub id: TaskId,
}

/// What a plan is made of.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// What is to be done.
    pub tasks: Vec<Task>,
    /// What is done.
    pub completed: Vec<Known>,
    /// What is neither done nor in this batch.
    pub pending: Vec<Known>,
}

/// How a plan is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How many tasks run at the same time at most, 1 to [`LANES_MAX`](batch_api::plan::LANES_MAX).
    pub lanes: u8,
    /// What a task of each size weighs.
    pub weights: Weights,
}

/// What a task of each size weighs; one is half an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weights {
    /// A small one.
    pub small: u32,
    /// A medium one.
    pub medium: u32,
    /// A large one.
    pub large: u32,
}

impl Weights {
    /// How long one unit of weight is estimated to take.
    pub const MINUTES: u32 = 30;

    /// How long a task of that size is estimated to take, in minutes.
    #[must_use]
    pub const fn minutes(self, size: Size) -> u32 {
        let weight = match size {
            Size::Small => self.small,
            Size::Medium => self.medium,
            Size::Large => self.large,
        };
        weight.saturating_mul(Self::MINUTES)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self { lanes: 3, weights: Weights { small: 1, medium: 2, large: 4 } }
    }
}

/// Who does what when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// All tasks, in the order in which they start.
    pub tasks: Vec<Planned>,
    /// Which of them never run at the same time, and why.
    pub conflicts: Vec<Conflict>,
    /// The graph by levels: a task stands behind everything that it depends on.
    pub waves: Vec<Vec<TaskId>>,
    /// The chain of dependencies that takes longest.
    pub critical_path: Vec<TaskId>,
    /// How long that chain takes, in minutes.
    pub critical_minutes: u32,
    /// How long all of it takes in these lanes, in minutes.
    pub minutes: u32,
    /// How long all of it takes in one lane, in minutes.
    pub work_minutes: u32,
    /// How many pairs of patterns were too many to be compared; they count as if they
    /// meant the same files.
    pub undecided: usize,
    /// Positions of the tasks, the most urgent first.
    urgent: Vec<usize>,
}

/// Plans a batch.
///
/// # Errors
///
/// Everything that is wrong with its graph.
pub fn plan(batch: &Batch, policy: Policy) -> Result<Plan, Vec<Problem>> {
    let graph = graph::Graph::of(batch)?;
    let minutes: Vec<u32> =
        batch.tasks.iter().map(|task| policy.weights.minutes(task.size)).collect();
    let found = conflicts::find(&batch.tasks, &graph);
    Ok(schedule::schedule(&batch.tasks, &graph, found, &minutes, policy.lanes))
}

impl Plan {
    /// All tasks, the most urgent first.
    pub fn by_urgency(&self) -> impl Iterator<Item = &Planned> {
        self.urgent.iter().map(|at| &self.tasks[*at])
    }

    /// The most urgent task that may start now, given which are merged and which are
    /// under way: all that it depends on is merged, and nothing that is under way may
    /// change the same files.
    #[must_use]
    pub fn next(&self, merged: &BTreeSet<TaskId>, running: &BTreeSet<TaskId>) -> Option<&Planned> {
        let may_start = |task: &&Planned| {
            let is_open = !merged.contains(&task.id) && !running.contains(&task.id);
            is_open
                && task.depends_on.iter().all(|before| merged.contains(before))
                && !task.conflicts_with.iter().any(|other| running.contains(other))
        };
        self.urgent.iter().map(|at| &self.tasks[*at]).find(may_start)
    }
}

#[cfg(test)]
mod tests;
