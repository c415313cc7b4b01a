//! Who does what when, if every estimate is right.
//!
//! List scheduling: whenever a lane is free, the most urgent task that may start is
//! put into it; urgent is what has the longest chain of dependents behind it (Hu 1961;
//! Graham 1969 bounds how far from the best that is).

use std::collections::BTreeSet;

use batch_api::TaskId;
use batch_api::plan::ScopeOverlap;

use super::conflicts::{Conflict, Conflicts};
use super::graph::Graph;
use super::{Plan, Task};

/// A task in a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Which.
    pub id: TaskId,
    /// Its position in the batch that was planned.
    pub position: usize,
    /// In which lane, from 1.
    pub lane: u8,
    /// When it starts, in minutes from the beginning.
    pub start: u32,
    /// When it ends.
    pub end: u32,
    /// In which wave, from 1.
    pub wave: usize,
    /// What has to be merged before it starts.
    pub depends_on: Vec<TaskId>,
    /// What of its dependencies was done before.
    pub satisfied: Vec<TaskId>,
    /// What it never runs beside.
    pub conflicts_with: Vec<TaskId>,
    /// Whether it is on the critical path.
    pub is_critical: bool,
}

pub(super) fn schedule(
    tasks: &[Task],
    graph: &Graph,
    conflicts: Conflicts,
    minutes: &[u32],
    lanes: u8,
) -> Plan {
    let id = |at: usize| &tasks[at].id;
    let behind = chains(graph, minutes);
    let critical = critical_path(tasks, graph, minutes, &behind);
    let mut besides = vec![BTreeSet::new(); tasks.len()];
    for &(one, two, ..) in &conflicts.pairs {
        besides[one].insert(two);
        besides[two].insert(one);
    }
    let ids = |positions: &mut dyn Iterator<Item = usize>| {
        let mut ids: Vec<TaskId> = positions.map(|at| id(at).clone()).collect();
        ids.sort();
        ids
    };
    let planned = |at: usize| Planned {
        id: id(at).clone(),
        position: at,
        lane: 0,
        start: 0,
        end: 0,
        wave: graph.level[at] + 1,
        depends_on: ids(&mut graph.before[at].iter().copied()),
        satisfied: graph.satisfied[at].clone(),
        conflicts_with: ids(&mut besides[at].iter().copied()),
        is_critical: critical.contains(&at),
    };
    let mut urgent: Vec<usize> = (0..tasks.len()).collect();
    urgent.sort_by_key(|&at| (std::cmp::Reverse(behind[at]), id(at)));
    let mut plan = Plan {
        tasks: (0..tasks.len()).map(planned).collect(),
        conflicts: Vec::new(),
        waves: waves(tasks, graph),
        critical_path: critical.iter().map(|&at| id(at).clone()).collect(),
        critical_minutes: critical.iter().fold(0, |sum, &at| sum.saturating_add(minutes[at])),
        minutes: 0,
        work_minutes: minutes.iter().fold(0, |sum, &more| sum.saturating_add(more)),
        undecided: conflicts.undecided,
        urgent,
    };
    run(&mut plan, minutes, lanes);
    plan.conflicts = conflicts.pairs.iter().map(|pair| told(tasks, &plan, *pair)).collect();
    plan.conflicts.sort_by(|one, two| (&one.first, &one.second).cmp(&(&two.first, &two.second)));
    let mut by_start: Vec<usize> = (0..tasks.len()).collect();
    by_start.sort_by_key(|&at| (plan.tasks[at].start, plan.tasks[at].lane, id(at)));
    let mut place = vec![0; tasks.len()];
    by_start.iter().enumerate().for_each(|(index, &at)| place[at] = index);
    plan.urgent.iter_mut().for_each(|at| *at = place[*at]);
    plan.tasks = by_start.into_iter().map(|at| plan.tasks[at].clone()).collect();
    plan
}

/// Lets the tasks run, each for as long as it is estimated to.
fn run(plan: &mut Plan, minutes: &[u32], lanes: u8) {
    let (mut merged, mut running) = (BTreeSet::new(), BTreeSet::new());
    // What each lane did last, and until when.
    let mut last: Vec<Option<usize>> = vec![None; usize::from(lanes.max(1))];
    let mut busy: Vec<Option<(u32, usize)>> = vec![None; last.len()];
    let mut now = 0;
    loop {
        while busy.iter().any(Option::is_none) {
            let Some(at) = plan.next(&merged, &running).map(|task| task.position) else { break };
            let free: Vec<usize> = (0..busy.len()).filter(|&lane| busy[lane].is_none()).collect();
            let lane = best_lane(&plan.tasks[at], &free, &last, &plan.tasks);
            let end = now + minutes[at];
            let task = &mut plan.tasks[at];
            task.lane = u8::try_from(lane + 1).unwrap_or(u8::MAX);
            (task.start, task.end) = (now, end);
            running.insert(task.id.clone());
            (busy[lane], last[lane]) = (Some((end, at)), Some(at));
        }
        let Some(next) = busy.iter().flatten().map(|(end, _)| *end).min() else { break };
        now = next;
        for lane in &mut busy {
            if let Some((_, at)) = lane.filter(|(end, _)| *end == now) {
                running.remove(&plan.tasks[at].id);
                merged.insert(plan.tasks[at].id.clone());
                *lane = None;
            }
        }
    }
    plan.minutes = now;
}

/// The free lane that did something with the same files last, or something that the
/// task depends on, or else the first one.
fn best_lane(task: &Planned, free: &[usize], last: &[Option<usize>], all: &[Planned]) -> usize {
    let did =
        |lane: usize, what: &[TaskId]| last[lane].is_some_and(|at| what.contains(&all[at].id));
    let with = |what: &[TaskId]| free.iter().copied().find(|&lane| did(lane, what));
    with(&task.conflicts_with).or_else(|| with(&task.depends_on)).unwrap_or(free[0])
}

/// For each task, how long the longest chain takes that begins with it.
fn chains(graph: &Graph, minutes: &[u32]) -> Vec<u32> {
    let mut behind = minutes.to_vec();
    for &at in graph.order.iter().rev() {
        for &before in &graph.before[at] {
            behind[before] = behind[before].max(minutes[before].saturating_add(behind[at]));
        }
    }
    behind
}

/// The chain that takes longest; of several, the one with the smaller ids.
fn critical_path(tasks: &[Task], graph: &Graph, minutes: &[u32], behind: &[u32]) -> Vec<usize> {
    let first = |positions: &mut dyn Iterator<Item = usize>| {
        positions.min_by_key(|&at| (std::cmp::Reverse(behind[at]), &tasks[at].id))
    };
    let mut path: Vec<usize> = Vec::new();
    let starts = (0..tasks.len()).filter(|&at| graph.before[at].is_empty());
    let mut next = first(&mut starts.into_iter());
    while let Some(at) = next {
        path.push(at);
        let rest = behind[at] - minutes[at];
        let after = (0..tasks.len())
            .filter(|&other| behind[other] == rest && graph.before[other].contains(&at));
        next = first(&mut after.into_iter());
    }
    path
}

fn waves(tasks: &[Task], graph: &Graph) -> Vec<Vec<TaskId>> {
    let count = graph.level.iter().max().map_or(0, |most| most + 1);
    let mut waves = vec![Vec::new(); count];
    for (at, &level) in graph.level.iter().enumerate() {
        waves[level].push(tasks[at].id.clone());
    }
    waves.iter_mut().for_each(|wave| wave.sort());
    waves
}

/// A conflict, the task that starts first in front.
fn told(
    tasks: &[Task],
    plan: &Plan,
    (one, two, i, j, overlap): (usize, usize, usize, usize, ScopeOverlap),
) -> Conflict {
    let start = |at: usize| (plan.tasks[at].start, &tasks[at].id);
    let (one, i, two, j) =
        if start(one) <= start(two) { (one, i, two, j) } else { (two, j, one, i) };
    Conflict {
        first: tasks[one].id.clone(),
        second: tasks[two].id.clone(),
        first_pattern: tasks[one].scope[i].clone(),
        second_pattern: tasks[two].scope[j].clone(),
        overlap,
    }
}
