//! Who waits for whom.

use std::collections::{BTreeMap, BTreeSet};

use batch_api::{AreaName, TaskId};

use super::{Batch, Dependency, TASKS_MAX};

/// Something that is wrong with how tasks refer to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whose: its position in [`Batch::tasks`].
    pub task: usize,
    /// On which line of its packet; 0 if it is about the packet as a whole.
    pub line: u32,
    /// What it is.
    pub fault: Fault,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There are more tasks than one batch takes.
    #[error("found more than {TASKS_MAX} tasks; expected fewer in one batch")]
    TooMany,
    /// Two tasks have the same id.
    #[error("found {id} again, the first one is in `{other}`; expected every id once in all areas")]
    Duplicate {
        /// Which.
        id: TaskId,
        /// Where the first one lies.
        other: AreaName,
    },
    /// There is no such task.
    #[error("found the dependency {wanted}, which is no known task; expected the id of a packet{}", hint(.similar.as_ref()))]
    Unresolved {
        /// What is named.
        wanted: Wanted,
        /// What may be meant.
        similar: Option<TaskId>,
    },
    /// There are several such tasks.
    #[error("found the dependency {wanted}, which is in several areas: {}; expected `area/{}`", list(.areas), wanted.task)]
    Ambiguous {
        /// What is named.
        wanted: Wanted,
        /// Where there is one.
        areas: Vec<AreaName>,
    },
    /// The task is there, not done, and not to be done.
    #[error(
        "found the dependency {wanted}, which is not done and not in this batch; expected it to be done before, or `{area}` to be planned as well"
    )]
    Pending {
        /// What is named.
        wanted: Wanted,
        /// Where it lies.
        area: AreaName,
    },
    /// A task depends on itself.
    #[error("found the task itself among its dependencies; expected only others")]
    SelfEdge,
    /// Tasks that wait for each other.
    #[error("found tasks that wait for each other: {}; expected an order", path(.0))]
    Cycle(Vec<TaskId>),
}

/// What a dependency names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// In which area, if that is said.
    pub area: Option<AreaName>,
    /// Which task.
    pub task: TaskId,
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.area {
            Some(area) => write!(f, "{area}/{}", self.task),
            None => write!(f, "{}", self.task),
        }
    }
}

fn hint(similar: Option<&TaskId>) -> String {
    similar.map(|id| format!(", {id} perhaps")).unwrap_or_default()
}

fn list(areas: &[AreaName]) -> String {
    areas.iter().map(AreaName::as_str).collect::<Vec<_>>().join(", ")
}

fn path(tasks: &[TaskId]) -> String {
    tasks.iter().map(TaskId::as_str).collect::<Vec<_>>().join(" → ")
}

/// The graph of a batch, by positions of tasks.
#[derive(Debug)]
pub(super) struct Graph {
    /// What each task depends on in this batch, in ascending order of ids.
    pub(super) before: Vec<Vec<usize>>,
    /// What each task depends on that is done.
    pub(super) satisfied: Vec<Vec<TaskId>>,
    /// All tasks, each behind what it depends on; of several that may be next, the one
    /// with the smallest id is.
    pub(super) order: Vec<usize>,
    /// The level of each task: 0, or one more than the highest of what it depends on.
    pub(super) level: Vec<usize>,
}

/// Where a known task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    InBatch(usize),
    Completed,
    Pending,
}

impl Graph {
    pub(super) fn of(batch: &Batch) -> Result<Self, Vec<Problem>> {
        if batch.tasks.len() > TASKS_MAX {
            return Err(vec![Problem { task: TASKS_MAX, line: 0, fault: Fault::TooMany }]);
        }
        let mut problems = Vec::new();
        let mut known: BTreeMap<&TaskId, Vec<(&AreaName, Place)>> = BTreeMap::new();
        for (at, task) in batch.tasks.iter().enumerate() {
            let places = known.entry(&task.id).or_default();
            match places.first() {
                Some((other, _)) => {
                    let (id, other) = (task.id.clone(), (*other).clone());
                    let fault = Fault::Duplicate { id, other };
                    problems.push(Problem { task: at, line: 0, fault });
                }
                None => places.push((&task.area, Place::InBatch(at))),
            }
        }
        let done = batch.completed.iter().map(|task| (task, Place::Completed));
        let pending = batch.pending.iter().map(|task| (task, Place::Pending));
        for (task, place) in done.chain(pending) {
            let places = known.entry(&task.id).or_default();
            if !places.contains(&(&task.area, place)) {
                places.push((&task.area, place));
            }
        }
        let mut before = vec![BTreeSet::new(); batch.tasks.len()];
        let mut satisfied = vec![BTreeSet::new(); batch.tasks.len()];
        for (at, task) in batch.tasks.iter().enumerate() {
            for dependency in &task.dependencies {
                match resolved(dependency, &known) {
                    Ok(Place::InBatch(other)) if other == at => {
                        let line = dependency.line;
                        problems.push(Problem { task: at, line, fault: Fault::SelfEdge });
                    }
                    Ok(Place::InBatch(other)) => {
                        before[at].insert((&batch.tasks[other].id, other));
                    }
                    Ok(_) => {
                        satisfied[at].insert(dependency.task.clone());
                    }
                    Err(fault) => problems.push(Problem { task: at, line: dependency.line, fault }),
                }
            }
        }
        let before: Vec<Vec<usize>> =
            before.iter().map(|set| set.iter().map(|(_, other)| *other).collect()).collect();
        let order = ordered(batch, &before, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut level = vec![0; batch.tasks.len()];
        for &at in &order {
            level[at] = before[at].iter().map(|&other| level[other] + 1).max().unwrap_or(0);
        }
        let satisfied = satisfied.into_iter().map(|set| set.into_iter().collect()).collect();
        Ok(Self { before, satisfied, order, level })
    }

    /// For each task, which ones it waits for in the end: one bit each.
    pub(super) fn all_before(&self) -> Vec<Vec<u64>> {
        let words = self.before.len().div_ceil(64);
        let mut all = vec![vec![0_u64; words]; self.before.len()];
        for &at in &self.order {
            let mut bits = vec![0_u64; words];
            for &other in &self.before[at] {
                bits[other / 64] |= 1 << (other % 64);
                for (bits, more) in bits.iter_mut().zip(&all[other]) {
                    *bits |= more;
                }
            }
            all[at] = bits;
        }
        all
    }
}

fn resolved(
    dependency: &Dependency,
    known: &BTreeMap<&TaskId, Vec<(&AreaName, Place)>>,
) -> Result<Place, Fault> {
    let wanted = || Wanted { area: dependency.area.clone(), task: dependency.task.clone() };
    let all = known.get(&dependency.task).map(Vec::as_slice).unwrap_or_default();
    let is_meant = |area: &AreaName| {
        dependency.area.as_ref().is_none_or(|it| it.as_str().eq_ignore_ascii_case(area.as_str()))
    };
    let meant: Vec<_> = all.iter().filter(|(area, _)| is_meant(area)).collect();
    match meant[..] {
        [] => {
            Err(Fault::Unresolved { wanted: wanted(), similar: similar(&dependency.task, known) })
        }
        [(area, Place::Pending)] => Err(Fault::Pending { wanted: wanted(), area: (*area).clone() }),
        [(_, place)] => Ok(*place),
        _ => {
            let areas = meant.iter().map(|(area, _)| (*area).clone()).collect();
            Err(Fault::Ambiguous { wanted: wanted(), areas })
        }
    }
}

/// The task whose number is the same without its zeros, or that is elsewhere.
fn similar(wanted: &TaskId, known: &BTreeMap<&TaskId, Vec<(&AreaName, Place)>>) -> Option<TaskId> {
    let plain = |id: &TaskId| {
        let (words, number) = id.as_str().rsplit_once('-')?;
        Some((words.replace(['-', '_'], ""), number.trim_start_matches('0').to_owned()))
    };
    let wanted = plain(wanted)?;
    known.keys().find(|id| plain(id).as_ref() == Some(&wanted)).map(|id| (*id).clone())
}

/// All tasks, each behind what it depends on; tells circles.
fn ordered(batch: &Batch, before: &[Vec<usize>], problems: &mut Vec<Problem>) -> Vec<usize> {
    let id = |at: usize| &batch.tasks[at].id;
    let mut after = vec![Vec::new(); before.len()];
    let mut missing: Vec<usize> = before.iter().map(Vec::len).collect();
    for (at, others) in before.iter().enumerate() {
        others.iter().for_each(|&other| after[other].push(at));
    }
    let mut ready: BTreeSet<(&TaskId, usize)> =
        (0..before.len()).filter(|&at| missing[at] == 0).map(|at| (id(at), at)).collect();
    let mut left: BTreeSet<(&TaskId, usize)> = (0..before.len()).map(|at| (id(at), at)).collect();
    let mut order = Vec::with_capacity(before.len());
    loop {
        while let Some(next) = ready.pop_first() {
            left.remove(&next);
            order.push(next.1);
            for &other in &after[next.1] {
                missing[other] = missing[other].saturating_sub(1);
                if missing[other] == 0 && left.contains(&(id(other), other)) {
                    ready.insert((id(other), other));
                }
            }
        }
        // Everything that is left waits for something that is left: going back from
        // anywhere ends in a circle. It is told, and taken out so that others are found.
        let Some(&(_, start)) = left.first() else { return order };
        let mut path = vec![start];
        let circle = loop {
            let last = path[path.len() - 1];
            let is_left = |other: &usize| left.contains(&(id(*other), *other));
            let Some(next) = before[last].iter().copied().find(is_left) else { break Vec::new() };
            if let Some(at) = path.iter().position(|&seen| seen == next) {
                break path.split_off(at);
            }
            path.push(next);
        };
        // The path goes back; the circle is told forwards, from its smallest id.
        let mut circle: Vec<usize> = circle.into_iter().rev().collect();
        let first = (0..circle.len()).min_by_key(|&at| id(circle[at])).unwrap_or(0);
        circle.rotate_left(first);
        let Some(&task) = circle.first() else { return order };
        let names = circle.iter().chain([&task]).map(|&at| id(at).clone()).collect();
        let last = circle[circle.len() - 1];
        let edge = batch.tasks[task].dependencies.iter().find(|it| it.task == *id(last));
        let line = edge.map_or(0, |dependency| dependency.line);
        problems.push(Problem { task, line, fault: Fault::Cycle(names) });
        for at in circle {
            missing[at] = 0;
            ready.insert((id(at), at));
        }
    }
}
