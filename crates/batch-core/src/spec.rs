//! What a batch is asked to be: its units, how they hang together, its limits.
//! Parsed and planned by others; judged here once, when the batch starts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use batch_api::{Actor, BatchId, RepositoryName, TaskId, UnitId};
use serde::{Deserialize, Serialize};

use crate::plan::{Plan, Planned};
use crate::unit::Class;

/// A batch, as it is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchSpec {
    /// Its id.
    pub batch: BatchId,
    /// Who answers what the batch waits for.
    pub owner: Actor,
    /// How many units may have a lane at once.
    pub lanes: u32,
    /// How much memory all lanes together may take, in MiB; as much as they like if
    /// nobody says. Verification, one workspace at a time, comes on top.
    #[serde(default)]
    pub memory_mib: Option<u64>,
    /// What happens to the others when a unit fails.
    pub policy: FailurePolicy,
    /// What is known of the agents' adapter.
    pub receipts: Receipts,
    /// When to give up.
    pub limits: Limits,
    /// The units, in the order in which they are preferred.
    pub units: Vec<UnitSpec>,
}

/// One unit of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitSpec {
    /// Its id.
    pub unit: UnitId,
    /// The packet's directory, apart from where its work is done.
    pub home: String,
    /// The tasks that have to be merged before it starts.
    pub after: Vec<TaskId>,
    /// The tasks that touch the same files: never in a lane at the same time.
    pub apart: Vec<TaskId>,
    /// How much memory its lane takes, in MiB.
    #[serde(default)]
    pub memory_mib: u64,
}

impl UnitSpec {
    /// The units of a plan in one repository, the most urgent first. `home` says
    /// where a packet lies, by its task's position in the batch that was planned;
    /// `memory_mib` what a lane takes.
    pub fn of(
        plan: &Plan,
        repository: &RepositoryName,
        memory_mib: u64,
        home: impl Fn(usize) -> String,
    ) -> Vec<Self> {
        let unit = |task: &Planned| Self {
            unit: UnitId { task: task.id.clone(), repository: repository.clone(), visit: 1 },
            home: home(task.position),
            after: task.depends_on.clone(),
            apart: task.conflicts_with.clone(),
            memory_mib,
        };
        plan.by_urgency().map(unit).collect()
    }
}

/// What happens to the others when a unit fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailurePolicy {
    /// What depends on it is skipped.
    SkipDependents,
    /// Whatever has not started is skipped.
    StopNew,
    /// Everything is stopped, captured, and skipped.
    StopAll,
}

/// What an adapter can prove about a message that was sent to an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Receipts {
    /// The agent drops a second copy, so sending again is safe.
    Dedupes,
    /// The conversation can be searched for the message.
    Searchable,
    /// Nothing: a delivery without an answer stays uncertain.
    Unprovable,
}

/// When the engine gives up, and on what. Spans are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// What one unit may use.
    pub unit: Ceiling,
    /// What the batch may use.
    pub batch: Ceiling,
    /// How long an agent may show no progress.
    pub stall_ms: u64,
    /// How many contexts an attempt may have.
    pub contexts: u32,
    /// How long a wait is open before its default is taken.
    pub wait_ms: u64,
    /// How often a unit is tried again after failures of the same class, at most; a class
    /// may allow less.
    #[serde(default = "Limits::retries_max")]
    pub retries: u32,
}

impl Limits {
    /// The most that any class of failures allows.
    pub const RETRIES_MAX: u32 = 3;

    const fn retries_max() -> u32 {
        Self::RETRIES_MAX
    }

    /// How many failures of a class a unit may have. Contexts that ended with their
    /// engine are no failures of the unit, so nobody allows fewer of them.
    #[must_use]
    pub fn budget(&self, class: Class) -> u32 {
        match class {
            Class::Orphaned => class.budget(),
            _ => class.budget().min(self.retries),
        }
    }
}

/// What may be used. Reaching it stops the work; it is captured, and the owner is
/// asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ceiling {
    /// Time with an agent at work.
    pub time_ms: u64,
    /// Tokens, in and out.
    pub tokens: u64,
    /// Money, in millionths of a dollar.
    pub money_micros: u64,
}

/// Why a batch cannot be started as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// It has no unit.
    #[error("a batch without tasks has nothing to do")]
    Empty,
    /// It has too many.
    #[error("{0} units are more than a batch may have ({max})", max = BatchSpec::UNITS_MAX)]
    TooMany(usize),
    /// The number of lanes makes no sense.
    #[error("a batch has 1 to {max} lanes, not {0}", max = BatchSpec::LANES_MAX)]
    Lanes(u32),
    /// A unit would never get a lane.
    #[error(
        "the lane of {unit} takes {needs_mib} MiB of memory, and all lanes together may take {memory_mib}"
    )]
    Memory {
        /// The unit.
        unit: UnitId,
        /// What its lane takes.
        needs_mib: u64,
        /// What there is.
        memory_mib: u64,
    },
    /// A task is there twice.
    #[error("task {0} is there twice")]
    Twice(TaskId),
    /// A unit needs a task that is not in the batch.
    #[error("{unit} needs {task}, which is not in the batch")]
    Unknown {
        /// The unit.
        unit: UnitId,
        /// The task.
        task: TaskId,
    },
    /// Tasks need each other in a circle.
    #[error("{0} needs itself, by way of others")]
    Circle(TaskId),
    /// More than one repository.
    #[error("tasks work in several repositories, which one batch cannot do yet")]
    Repositories,
}

impl BatchSpec {
    /// Most units of a batch.
    pub const UNITS_MAX: usize = 1_000;
    /// The longest that a provider is waited for.
    pub const LIMIT_MAX: Duration = Duration::from_secs(8 * 24 * 3600);
    /// Most lanes of a batch.
    pub const LANES_MAX: u32 = 128;

    /// Judges whether the batch can be run.
    ///
    /// # Errors
    ///
    /// The first thing that stands against it.
    pub fn judge(&self) -> Result<(), SpecError> {
        if self.units.is_empty() {
            return Err(SpecError::Empty);
        }
        if self.units.len() > Self::UNITS_MAX {
            return Err(SpecError::TooMany(self.units.len()));
        }
        if !(1..=Self::LANES_MAX).contains(&self.lanes) {
            return Err(SpecError::Lanes(self.lanes));
        }
        let memory_mib = self.memory_mib.unwrap_or(u64::MAX);
        if let Some(large) = self.units.iter().find(|spec| spec.memory_mib > memory_mib) {
            let (unit, needs_mib) = (large.unit.clone(), large.memory_mib);
            return Err(SpecError::Memory { unit, needs_mib, memory_mib });
        }
        let mut needs: BTreeMap<&TaskId, &UnitSpec> = BTreeMap::new();
        for spec in &self.units {
            if needs.insert(&spec.unit.task, spec).is_some() {
                return Err(SpecError::Twice(spec.unit.task.clone()));
            }
            if spec.unit.repository != self.units[0].unit.repository {
                return Err(SpecError::Repositories);
            }
        }
        for spec in &self.units {
            if let Some(task) = spec.after.iter().find(|task| !needs.contains_key(task)) {
                return Err(SpecError::Unknown { unit: spec.unit.clone(), task: task.clone() });
            }
        }
        let mut merged: BTreeSet<&TaskId> = BTreeSet::new();
        loop {
            let before = merged.len();
            needs.retain(|task, spec| {
                let free = spec.after.iter().all(|need| merged.contains(need));
                if free {
                    merged.insert(task);
                }
                !free
            });
            match needs.keys().next() {
                None => return Ok(()),
                Some(task) if merged.len() == before => {
                    return Err(SpecError::Circle((*task).clone()));
                }
                Some(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use uuid::Uuid;

    use super::*;
    use crate::plan::{Batch, Dependency, Policy, Task, plan};

    fn parsed<T: FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
        text.parse().unwrap()
    }

    fn spec(units: Vec<UnitSpec>) -> BatchSpec {
        let ceiling = Ceiling { time_ms: 1, tokens: 1, money_micros: 1 };
        BatchSpec {
            batch: BatchId::from_uuid(Uuid::nil()),
            owner: parsed("operator:anna"),
            lanes: 2,
            memory_mib: Some(2048),
            policy: FailurePolicy::SkipDependents,
            receipts: Receipts::Searchable,
            limits: Limits {
                unit: ceiling,
                batch: ceiling,
                stall_ms: 1,
                contexts: 1,
                wait_ms: 1,
                retries: 1,
            },
            units,
        }
    }

    #[test]
    fn a_plan_is_a_batch_that_can_be_run() {
        let task = |id: &str, needs: &[&str], scope: &str| Task {
            id: parsed(id),
            area: parsed("core"),
            size: batch_api::Size::Small,
            dependencies: needs
                .iter()
                .map(|need| Dependency { area: None, task: parsed(need), line: 1 })
                .collect(),
            scope: vec![parsed(scope)],
        };
        let tasks = vec![
            task("T-1", &[], "src/a/*"),
            task("T-2", &["T-1"], "src/b/*"),
            task("T-3", &[], "src/b/*"),
        ];
        let batch = Batch { tasks, ..Batch::default() };
        let planned = plan(&batch, Policy::default()).unwrap();
        let homes = ["one", "two", "three"];
        let units = UnitSpec::of(&planned, &parsed("app"), 1024, |at| homes[at].to_owned());
        let of = |id: &str| units.iter().find(|unit| unit.unit == parsed(id)).unwrap();
        assert_eq!(units[0].unit, parsed("T-1@app/1"), "the longest chain begins with it");
        assert_eq!(of("T-2@app/1").after, [parsed("T-1")]);
        assert_eq!(of("T-2@app/1").apart, [parsed("T-3")]);
        assert_eq!(of("T-3@app/1").home, "three");
        assert_eq!(spec(units).judge(), Ok(()));
    }

    #[test]
    fn what_cannot_be_run_is_refused() {
        let unit = |id: &str, after: &[&str]| UnitSpec {
            unit: parsed(id),
            home: String::new(),
            after: after.iter().map(|task| parsed(task)).collect(),
            apart: Vec::new(),
            memory_mib: 1024,
        };
        let refused = |units| spec(units).judge().unwrap_err();
        let large = UnitSpec { memory_mib: 4096, ..unit("T-1@app/1", &[]) };
        assert!(matches!(refused(vec![large]), SpecError::Memory { needs_mib: 4096, .. }));
        assert_eq!(refused(Vec::new()), SpecError::Empty);
        let circle = vec![unit("T-1@app/1", &["T-2"]), unit("T-2@app/1", &["T-1"])];
        assert_eq!(refused(circle), SpecError::Circle(parsed("T-1")));
        let unknown = refused(vec![unit("T-1@app/1", &["T-9"])]);
        assert!(matches!(unknown, SpecError::Unknown { .. }));
        let twice = vec![unit("T-1@app/1", &[]), unit("T-1@app/2", &[])];
        assert_eq!(refused(twice), SpecError::Twice(parsed("T-1")));
        let two = vec![unit("T-1@app/1", &[]), unit("T-2@web/1", &[])];
        assert_eq!(refused(two), SpecError::Repositories);
    }
}
