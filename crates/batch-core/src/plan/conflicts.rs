//! Which tasks may change the same files.

use batch_api::plan::ScopeOverlap;
use batch_api::{ScopePattern, TaskId};

use super::Task;
use super::graph::Graph;
use super::overlap::Comparer;

/// Two tasks that never run at the same time, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The one that starts first.
    pub first: TaskId,
    /// The one that waits for it.
    pub second: TaskId,
    /// An entry of the first one's file scope.
    pub first_pattern: ScopePattern,
    /// An entry of the second one's.
    pub second_pattern: ScopePattern,
    /// How these come to mean the same files.
    pub overlap: ScopeOverlap,
}

/// Conflicts, by positions of tasks.
#[derive(Debug)]
pub(super) struct Conflicts {
    /// Two tasks, an entry of each one's file scope, and how these overlap.
    pub(super) pairs: Vec<(usize, usize, usize, usize, ScopeOverlap)>,
    /// How many pairs of entries could not be decided.
    pub(super) undecided: usize,
}

/// All pairs of tasks of which neither waits for the other and that may change the same
/// files.
pub(super) fn find(tasks: &[Task], graph: &Graph) -> Conflicts {
    let before = graph.all_before();
    let waits = |one: usize, two: usize| before[one][two / 64] >> (two % 64) & 1 == 1;
    let mut comparer = Comparer::new();
    let mut found = Conflicts { pairs: Vec::new(), undecided: 0 };
    let mut by_id: Vec<usize> = (0..tasks.len()).collect();
    by_id.sort_by_key(|&at| &tasks[at].id);
    for (index, &one) in by_id.iter().enumerate() {
        for &two in &by_id[index + 1..] {
            if waits(one, two) || waits(two, one) {
                continue;
            }
            let mut why = None;
            'entries: for (i, first) in tasks[one].scope.iter().enumerate() {
                for (j, second) in tasks[two].scope.iter().enumerate() {
                    let Some(overlap) = comparer.compare(first, second) else { continue };
                    found.undecided += usize::from(overlap == ScopeOverlap::Undecided);
                    // A reason that is certain is the better one to tell.
                    if why.is_none() || overlap != ScopeOverlap::Undecided {
                        why = Some((i, j, overlap));
                    }
                    if overlap != ScopeOverlap::Undecided {
                        break 'entries;
                    }
                }
            }
            found.pairs.extend(why.map(|(i, j, overlap)| (one, two, i, j, overlap)));
        }
    }
    found
}
