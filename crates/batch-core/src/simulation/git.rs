//! Commits, references and lanes, as far as the engine can tell them apart: a
//! tree is a set of pieces of work.

use std::collections::{BTreeMap, BTreeSet};

use batch_api::{AttemptId, CommitName, ConversationId, EffectId, UnitId};

use crate::effect::Outcome;
use crate::integration::Course;
use crate::journal::Digest;

/// A piece of work, such as a file that was written for a step.
pub(super) type Piece = String;

#[derive(Debug, Clone)]
pub(super) struct Lane {
    pub(super) attempt: AttemptId,
    pub(super) base: CommitName,
    pub(super) tree: BTreeSet<Piece>,
    /// Whose calls the gateway lets through.
    pub(super) admits: Option<ConversationId>,
}

/// The operator's repository, as far as work is brought there.
#[derive(Debug, Default)]
pub(super) struct Operator {
    /// The place in the history of the newest commit that the operator's branch holds.
    pub(super) holds: usize,
    /// Whether the branch holds what the integration branch does not.
    pub(super) has_moved_on: bool,
    /// The same of the batch's branch on the remote.
    pub(super) pushed: Option<usize>,
}

#[derive(Debug)]
pub(super) struct Git {
    pub(super) commits: BTreeMap<CommitName, BTreeSet<Piece>>,
    /// What keeps commits from being forgotten.
    pub(super) references: BTreeSet<CommitName>,
    pub(super) tip: CommitName,
    /// Every commit that was the tip.
    pub(super) history: Vec<CommitName>,
    /// What was made for an effect.
    pub(super) made: BTreeMap<EffectId, CommitName>,
    pub(super) green: BTreeSet<CommitName>,
    pub(super) lanes: BTreeMap<u32, Lane>,
    /// How often each unit's work came to the branch.
    pub(super) merged: BTreeMap<UnitId, u32>,
    pub(super) done: BTreeMap<UnitId, u32>,
    pub(super) operator: Operator,
}

impl Git {
    pub(super) fn new() -> Self {
        let mut git = Self {
            commits: BTreeMap::new(),
            references: BTreeSet::new(),
            tip: name(b"nothing"),
            history: Vec::new(),
            made: BTreeMap::new(),
            green: BTreeSet::new(),
            lanes: BTreeMap::new(),
            merged: BTreeMap::new(),
            done: BTreeMap::new(),
            operator: Operator::default(),
        };
        git.tip = git.commit("root", BTreeSet::new());
        git.history.push(git.tip.clone());
        git
    }

    /// A commit of a tree; what it is called depends on `what` and the tree.
    pub(super) fn commit(&mut self, what: &str, tree: BTreeSet<Piece>) -> CommitName {
        let commit = name(format!("{what} {tree:?}").as_bytes());
        self.commits.insert(commit.clone(), tree);
        commit
    }

    pub(super) fn tree(&self, commit: &CommitName) -> BTreeSet<Piece> {
        self.commits.get(commit).cloned().unwrap_or_default()
    }

    /// Whether everything in the lane is in a commit that is kept.
    pub(super) fn is_kept(&self, tree: &BTreeSet<Piece>, by: &CommitName) -> bool {
        let is_referred = self.references.contains(by) || self.history.contains(by);
        is_referred && tree.is_subset(&self.tree(by))
    }

    /// Where in the history of the integration branch a commit is.
    pub(super) fn place(&self, commit: &CommitName) -> Option<usize> {
        self.history.iter().position(|known| known == commit)
    }

    /// Brings a commit to where the operator wants it.
    pub(super) fn integrate(&mut self, commit: &CommitName, course: &Course) -> Outcome {
        let Some(place) = self.place(commit) else {
            return Outcome::Nowhere { what: format!("{commit} was never on the branch") };
        };
        let in_the_way = || Outcome::InTheWay { why: "it has moved on".to_owned() };
        let at = &mut self.operator;
        let integrated = Outcome::Integrated { commit: commit.clone() };
        match course {
            Course::Push { .. } if at.pushed.is_some_and(|pushed| pushed > place) => in_the_way(),
            Course::Push { .. } => {
                at.pushed = Some(place);
                integrated
            }
            Course::Forward { .. } | Course::Merge { .. } if place <= at.holds => {
                Outcome::Contained
            }
            Course::Forward { .. } if at.has_moved_on => in_the_way(),
            Course::Forward { .. } | Course::Merge { .. } => {
                at.holds = place;
                integrated
            }
        }
    }

    /// Whether a commit is where it was to be brought.
    pub(super) fn has_arrived(&self, commit: &CommitName, course: &Course) -> bool {
        let place = self.place(commit);
        match course {
            Course::Push { .. } => place.is_some() && place <= self.operator.pushed,
            Course::Forward { .. } | Course::Merge { .. } => {
                place.is_some_and(|place| place <= self.operator.holds)
            }
        }
    }

    /// Everything that is still somewhere.
    pub(super) fn everything(&self) -> BTreeSet<&Piece> {
        let kept = self.references.iter().chain(&self.history);
        let commits = kept.filter_map(|commit| self.commits.get(commit)).flatten();
        commits.chain(self.lanes.values().flat_map(|lane| &lane.tree)).collect()
    }
}

pub(super) fn tree_name(tree: &BTreeSet<Piece>) -> CommitName {
    name(format!("{tree:?}").as_bytes())
}

fn name(content: &[u8]) -> CommitName {
    let digest = Digest::of(content).to_string();
    digest["sha256:".len()..][..40].parse().expect("40 digits")
}
