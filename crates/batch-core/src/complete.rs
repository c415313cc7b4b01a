//! Completion: one predicate, asked before the work is merged and again before
//! the merge is taken. What an agent writes into its packet is a claim; `.DONE`
//! is written by the engine, when nothing is left that stands against it.

use serde::{Deserialize, Serialize};

use crate::defect::planted;
use crate::state::State;
use crate::unit::Unit;

/// What stands against completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blocker {
    /// The packet has no step that can be read, so nothing can have been done.
    NoStep,
    /// Steps are not checked.
    Unchecked,
    /// The latest review of a gate wants changes.
    Revise,
    /// Somebody has to answer something.
    Waiting,
    /// A directive is not fulfilled.
    Directive,
    /// What the lane holds is not captured.
    NotCaptured,
    /// The merge was not verified.
    NotVerified,
}

/// How far the unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Its agent is at work.
    Working,
    /// Its agent is stopped, and says that it is done.
    Claimed,
    /// Its merge is made.
    Merged,
}

impl State {
    /// What stands against the unit's completion at that stage. Nothing grants
    /// it but an empty answer.
    #[must_use]
    pub fn blockers(&self, unit: &Unit, stage: Stage) -> Vec<Blocker> {
        let mut blockers = Vec::new();
        let mut note = |stands: bool, blocker| {
            if stands {
                blockers.push(blocker);
            }
        };
        let status = unit.status;
        note(status.steps == 0 && !planted!(NoStepIsComplete), Blocker::NoStep);
        note(status.checked < status.steps, Blocker::Unchecked);
        note(status.revise > 0 && !planted!(ReviewIgnored), Blocker::Revise);
        note(self.is_waiting(unit.id()) && !planted!(WaitIgnored), Blocker::Waiting);
        let in_force = self.mail.values().any(|mail| mail.is_in_force(unit.id()));
        note(in_force && !planted!(DirectiveIgnored), Blocker::Directive);
        if matches!(stage, Stage::Claimed | Stage::Merged) {
            note(unit.captured.is_none(), Blocker::NotCaptured);
        }
        if stage == Stage::Merged {
            let merge = unit.merge.as_ref().map(|(_, merge)| merge);
            let verified = merge.is_some() && unit.verified.as_ref() == merge;
            note(!verified && !planted!(NotVerified), Blocker::NotVerified);
        }
        blockers
    }
}
