//! Whatever can go on goes on, until nothing does.

use batch_api::UnitId;

use super::Decider;
use crate::defect::planted;
use crate::due;
use crate::effect::{Action, Kind};
use crate::fact::Fact;
use crate::integration::Stage;
use crate::journal::Subject;
use crate::state::{Ending, Halt, OpenWait};
use crate::unit::{Answer, End, Goal, Phase, Reason};

impl Decider {
    /// Most rounds of one decision. Each lets at least one unit go one step on,
    /// and no unit goes further without something from outside.
    const ROUNDS_MAX: usize = 10_000;

    pub(super) fn advance(&mut self) {
        if !self.is_fenced() {
            return;
        }
        for _ in 0..Self::ROUNDS_MAX {
            let before = self.decision.facts.len();
            self.expire();
            self.meet_doom();
            self.unblock();
            self.hold_ceilings();
            if self.state.halt.is_none() || planted!(PauseIgnored) {
                self.give_lanes();
                self.open_contexts();
            }
            self.deliver();
            self.merge_next();
            self.integrate_next();
            self.end_batch();
            if self.decision.facts.len() == before {
                break;
            }
        }
        self.publish();
    }

    /// Units that are given up leave where they can be left.
    fn meet_doom(&mut self) {
        let doomed: Vec<(UnitId, Phase, Goal, bool)> = self
            .state
            .units
            .values()
            .filter_map(|unit| {
                let is_captured = unit.captured.is_some();
                Some((unit.id().clone(), unit.phase, unit.doom?, is_captured))
            })
            .collect();
        for (id, phase, goal, is_captured) in doomed {
            match phase {
                Phase::Resting if !is_captured => {
                    self.enter(&id, Phase::Capturing { end: End::Doomed });
                }
                Phase::Blocked | Phase::Ready { .. } => {
                    let over = match goal {
                        Goal::Fail { class } => Phase::Failed { class },
                        Goal::Skip { why } => Phase::Skipped { why },
                        Goal::Done | Goal::Again => continue,
                    };
                    self.enter(&id, over);
                }
                Phase::Resting | Phase::Queued { .. } => self.enter(&id, Phase::Clearing { goal }),
                Phase::Working => self.enter(&id, Phase::Interrupting { end: End::Doomed }),
                _ => {}
            }
        }
    }

    /// Stops what has used up what it may.
    fn hold_ceilings(&mut self) {
        if planted!(CeilingIgnored) {
            return;
        }
        let Some(spec) = &self.state.spec else { return };
        let is_reached = |time: Option<crate::time::Time>| {
            time.is_some_and(|time| time <= self.now) && !planted!(TimeIgnored)
        };
        let state = &self.state;
        let used_up_by_batch =
            due::has_used_up(spec.limits.batch, state.usage, state.worked_ms, state.grants)
                || is_reached(due::batch_ceiling(state));
        let batch = used_up_by_batch && !planted!(BatchCeilingIgnored);
        let used_up: Vec<(UnitId, Phase)> = self
            .state
            .units
            .values()
            .filter(|unit| matches!(unit.phase, Phase::Working | Phase::Resting))
            .filter(|unit| {
                batch
                    || due::has_used_up(spec.limits.unit, unit.usage, unit.worked_ms, unit.grants)
                    || is_reached(due::unit_ceiling(&self.state, unit))
            })
            .map(|unit| (unit.id().clone(), unit.phase))
            .collect();
        let is_asked = |open: &OpenWait| open.unit.is_none() && open.wait.reason == Reason::Ceiling;
        // A batch that has ended at its ceiling asks anew if a unit is tried again.
        let asks = state.units.values().any(|unit| !unit.phase.is_over())
            && !state.waits.values().any(is_asked)
            && matches!(state.halt, None | Some(Halt::Ceiling));
        if batch && asks {
            if self.state.halt.is_none() {
                self.note(Subject::BATCH, Fact::Halted { halt: Some(Halt::Ceiling) });
            }
            self.ask(Subject::BATCH, Reason::Ceiling, Answer::GiveUp);
        }
        for (id, phase) in &used_up {
            // One that is tried again has used up as much as when it was stopped, and
            // opens no context before somebody has allowed it.
            if !batch && !self.state.is_waiting(id) {
                self.ask(Subject::unit(id), Reason::Ceiling, Answer::GiveUp);
            }
            if *phase == Phase::Working {
                self.enter(id, Phase::Interrupting { end: End::Ceiling });
            }
        }
    }

    /// One merge at a time, so that each is verified on what it will be on.
    fn merge_next(&mut self) {
        if self.state.units.values().any(|unit| unit.phase.is_merging()) {
            return;
        }
        let queued = self.state.units.values().filter_map(|unit| match unit.phase {
            Phase::Queued { since } => Some((since, unit.order, unit.id())),
            _ => None,
        });
        if let Some((_, _, id)) = queued.min() {
            let id = id.clone();
            self.enter(&id, Phase::Merging);
        }
    }

    /// One integration at a time, in the order in which they were asked for.
    fn integrate_next(&mut self) {
        let state = &self.state;
        let is_busy = state.effects.values().any(|effect| effect.action.kind() == Kind::Integrate);
        if is_busy || planted!(IntegrationForgotten) && state.ending.is_some() {
            return;
        }
        let next = state.answers_order.iter().find_map(|request| {
            let integration = state.integrations.get(request)?;
            (integration.stage == Stage::Asked).then_some((request, integration))
        });
        if let Some((request, integration)) = next {
            let (request, commit) = (request.clone(), integration.commit.clone());
            let handover = integration.handover.clone();
            self.intend(Subject::BATCH, Action::Integrate { request, commit, handover });
        }
    }

    /// The batch is over when all its units are, and nothing of its own is open.
    fn end_batch(&mut self) {
        let state = &self.state;
        let is_open = state.ending.is_some()
            || state.units.is_empty()
            || !state.units.values().all(|unit| unit.phase.is_over())
            || state
                .effects
                .values()
                .any(|effect| !matches!(effect.action.kind(), Kind::Publish | Kind::Integrate));
        if is_open {
            return;
        }
        let done = state.units.values().filter(|unit| unit.phase == Phase::Done).count();
        let ending = match done {
            0 => Ending::Failed,
            some if some == state.units.len() => Ending::Completed,
            _ => Ending::Partial,
        };
        // Nobody has to say any more whether the batch may use more.
        let moot = |open: &&OpenWait| open.wait.reason == Reason::Ceiling;
        let moot: Vec<_> = state.waits.values().filter(moot).map(|open| open.wait.id).collect();
        for wait in moot {
            self.note(Subject::BATCH, Fact::WaitClosed { wait, answer: Answer::GiveUp });
        }
        self.note(Subject::BATCH, Fact::BatchEnded { ending });
    }

    /// What people read is brought up to date, by one effect at a time.
    fn publish(&mut self) {
        let is_busy = self.state.effects.values().any(|e| e.action.kind() == Kind::Publish);
        let is_due = due::publication(&self.state).is_some_and(|due| due <= self.now);
        if !is_busy && is_due {
            let view = self.state.view;
            self.intend(Subject::BATCH, Action::Publish { view });
        }
    }
}
