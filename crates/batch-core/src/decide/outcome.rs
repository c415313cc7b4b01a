//! Outcomes of effects: where they leave their unit.

use std::time::Duration;

use batch_api::{EffectId, UnitId};

use super::takeover::{is_batch_fence, is_integration};
use super::{Decider, Verdict, pause_after};
use crate::complete::Stage;
use crate::defect::planted;
use crate::effect::{Action, Effect, EffectState, Found, Kind, Outcome};
use crate::fact::Fact;
use crate::mail::Receipt;
use crate::unit::{Answer, Class, End, Goal, Phase, Reason};

/// Most bytes of a reason that is told by the outside.
const WHY_BYTES_MAX: usize = 500;

impl Decider {
    /// An effect ended. One that has ended before, or was given up, changes
    /// nothing any more.
    pub(super) fn outcome(&mut self, id: EffectId, outcome: Outcome) {
        let Some(effect) = self.state.effects.get(&id).cloned() else { return };
        self.cause = Some(effect.intended);
        if !outcome.fits(effect.action.kind()) {
            return self.failed(&effect, "it was answered with something else");
        }
        match outcome {
            Outcome::Failed { why } => self.failed(&effect, &why),
            Outcome::Deferred => self.deferred(&effect),
            // What is nowhere else stays where it is, until somebody has looked.
            Outcome::Unproved => self.ask_about(&effect),
            outcome => self.end(&effect, outcome),
        }
    }

    /// An effect was looked up.
    pub(super) fn found(&mut self, id: EffectId, found: Found) {
        let Some(effect) = self.state.effects.get(&id).cloned() else { return };
        self.cause = Some(effect.intended);
        match found {
            Found::Done(outcome) => self.outcome(id, outcome),
            Found::NotDone if self.is_in_vain(&effect) => self.not_delivered(&effect),
            Found::NotDone => self.redo(&effect),
            Found::Unknown if self.is_in_vain(&effect) => self.end(&effect, Outcome::GivenUp),
            Found::Unknown => self.ask_about(&effect),
        }
    }

    /// Whether it is about a conversation that is over.
    fn is_in_vain(&self, effect: &Effect) -> bool {
        let Action::Inject { conversation, .. } = &effect.action else { return false };
        let unit = effect.subject.unit.as_ref().and_then(|id| self.unit(id));
        unit.is_none_or(|unit| unit.conversation() != *conversation || unit.phase != Phase::Working)
    }

    /// A message certainly did not reach a conversation that is over: it may be sent
    /// again, unless nobody is left to read it.
    fn not_delivered(&mut self, effect: &Effect) {
        if let (Action::Inject { message, .. }, Some(unit)) = (&effect.action, &effect.subject.unit)
        {
            let is_over = self.unit(unit).is_none_or(|unit| unit.phase.is_over());
            let receipt = if is_over { Receipt::Dead } else { Receipt::Queued };
            self.receipt(*message, unit, receipt);
        }
        self.end(effect, Outcome::GivenUp);
    }

    /// An agent takes a message when its turn is over, and not before: the message
    /// waits as if it had not been sent, until then. If that is missed, it is tried
    /// again after a while.
    fn deferred(&mut self, effect: &Effect) {
        const AGAIN_AFTER: Duration = Duration::from_secs(60);
        // Of an earlier try nobody may know what became of it.
        if !effect.is_first() {
            return self.failed(effect, &Outcome::Deferred.to_string());
        }
        let (Action::Inject { message, .. }, Some(unit)) =
            (&effect.action, effect.subject.unit.clone())
        else {
            return;
        };
        // The turn that it had to wait for may have ended since it was begun.
        let has_ended = self.unit(&unit).is_some_and(|unit| match effect.state {
            EffectState::Running { since } => unit.deaf_until > since,
            _ => false,
        });
        if !has_ended && !self.is_in_vain(effect) {
            self.note_of(&unit, Fact::Deaf { until: self.now.after(AGAIN_AFTER) });
        }
        let is_over = self.unit(&unit).is_none_or(|unit| unit.phase.is_over());
        let receipt = if is_over { Receipt::Dead } else { Receipt::Queued };
        self.receipt(*message, &unit, receipt);
        self.end(effect, Outcome::Deferred);
    }

    /// An effect is done again under the same key, or somebody is asked.
    pub(super) fn redo(&mut self, effect: &Effect) {
        let has_died = effect.epoch < self.epoch && !planted!(DeathsCount);
        let tries = if has_died { effect.tries } else { effect.tries + 1 };
        if tries > Effect::TRIES_MAX && !is_batch_fence(effect) {
            return self.ask_about(effect);
        }
        let restarted = Fact::Restarted { effect: effect.id, tries, deaths: effect.deaths };
        self.note(effect.subject.clone(), restarted);
    }

    /// It could not be done, and is not.
    fn failed(&mut self, effect: &Effect, why: &str) {
        let why = clip(why);
        let kind = effect.action.kind();
        let is_last = effect.tries >= Effect::TRIES_MAX;
        match kind {
            Kind::Interrupt => self.end(effect, Outcome::GivenUp),
            // An earlier try may have delivered it, so it is not sent again.
            Kind::Inject if self.is_in_vain(effect) => self.end(effect, Outcome::GivenUp),
            // Whoever asked is there, and may ask again.
            Kind::Start | Kind::Integrate => self.end(effect, Outcome::Failed { why }),
            Kind::Prepare if is_last => self.end(effect, Outcome::Failed { why }),
            _ if is_last && !is_batch_fence(effect) => self.ask_about(effect),
            _ => {
                let until = self.now.after(pause_after(effect.tries));
                let postponed = Fact::Postponed { effect: effect.id, until, why };
                self.note(effect.subject.clone(), postponed);
            }
        }
    }

    /// Somebody has to say what becomes of an effect.
    pub(super) fn ask_about(&mut self, effect: &Effect) {
        // Nothing of the batch waits for it, and asking for it once more does no harm.
        if is_integration(effect) {
            return self.end(effect, Outcome::GivenUp);
        }
        let (reason, default) = match &effect.action {
            Action::Inject { message, conversation } => {
                if let Some(unit) = effect.subject.unit.clone() {
                    let conversation = conversation.clone();
                    self.receipt(*message, &unit, Receipt::Uncertain { conversation });
                }
                (Reason::Undelivered { message: *message }, Answer::GiveUp)
            }
            _ if effect.deaths > Effect::DEATHS_MAX => {
                (Reason::Deadly { effect: effect.id }, Answer::Go)
            }
            _ => (Reason::Stuck { effect: effect.id }, Answer::Go),
        };
        if let Some(wait) = self.ask(effect.subject.clone(), reason, default) {
            self.note(effect.subject.clone(), Fact::Blocked { effect: effect.id, wait });
        }
    }

    /// An effect ended; its unit goes on.
    pub(super) fn end(&mut self, effect: &Effect, outcome: Outcome) {
        let ended = Fact::Ended { effect: effect.id, outcome: outcome.clone() };
        self.note(effect.subject.clone(), ended);
        if is_batch_fence(effect) {
            return self.pick_up();
        }
        let Some(id) = effect.subject.unit.clone() else { return };
        if let Action::Inject { conversation, message } = &effect.action {
            return self.injected(&id, *message, conversation, &outcome);
        }
        let Some(phase) = self.unit(&id).map(|unit| unit.phase) else { return };
        match (phase, outcome) {
            (Phase::Preparing, Outcome::Prepared { .. }) => self.enter(&id, Phase::Resting),
            (Phase::Preparing, _) => self.give_back(&id, Class::Lane),
            (Phase::Opening, outcome) => self.opened(&id, effect, &outcome),
            (Phase::Interrupting { end }, _) => self.enter(&id, Phase::Fencing { end }),
            (Phase::Fencing { end }, _) if planted!(CapturedBeforeStop) => {
                self.note_of(&id, Fact::Moved { to: Phase::Stopping { end } });
                self.conversation_over(&id);
                self.enter(&id, Phase::Capturing { end });
            }
            (Phase::Fencing { end }, _) => self.enter(&id, Phase::Stopping { end }),
            (Phase::Stopping { end }, _) if planted!(RemovedBeforeCapture) => {
                self.conversation_over(&id);
                self.note_of(&id, Fact::Moved { to: Phase::Capturing { end } });
                self.context_over(&id, end);
            }
            (Phase::Stopping { end }, _) => {
                self.conversation_over(&id);
                self.enter(&id, Phase::Capturing { end });
            }
            (Phase::Capturing { end }, _) => self.context_over(&id, end),
            (Phase::Committing, Outcome::Committed { .. }) => {
                self.enter(&id, Phase::Queued { since: self.now });
            }
            (Phase::Merging, Outcome::Merged { .. }) => self.merged(&id),
            (Phase::Merging, Outcome::Conflict) => self.give_back(&id, Class::Conflict),
            (Phase::Verifying, Outcome::Green) => self.verified(&id),
            (Phase::Verifying, Outcome::Red) => self.give_back(&id, Class::Red),
            (Phase::Committing | Phase::Merging | Phase::Verifying, _) => {
                self.enter(&id, Phase::Clearing { goal: Goal::Fail { class: Class::Trouble } });
            }
            (Phase::Advancing, Outcome::Advanced) => self.enter(&id, Phase::Finishing),
            (Phase::Advancing, _) => self.enter(&id, Phase::Queued { since: self.now }),
            (Phase::Finishing, _) => self.enter(&id, Phase::Clearing { goal: Goal::Done }),
            (Phase::Clearing { goal }, _) => self.cleared(&id, goal),
            _ => {}
        }
    }

    /// An agent was started, or was not.
    fn opened(&mut self, id: &UnitId, effect: &Effect, outcome: &Outcome) {
        let Action::Start { conversation, opening } = &effect.action else { return };
        let conversation = conversation.clone();
        match outcome {
            Outcome::Started => {
                for message in opening {
                    let conversation = conversation.clone();
                    self.receipt(*message, id, Receipt::Seen { conversation });
                }
                self.enter(id, Phase::Working);
            }
            Outcome::Failed { .. } => {
                for message in opening {
                    self.receipt(*message, id, Receipt::Queued);
                }
                self.not_started(id);
            }
            // It took longer than anybody believes in.
            _ if effect.epoch == self.epoch => self.not_started(id),
            _ => self.enter(id, Phase::Fencing { end: End::Orphaned }),
        }
    }

    fn not_started(&mut self, id: &UnitId) {
        let end = match self.count_failure(id, Class::Start) {
            Verdict::Again => End::NotStarted,
            Verdict::Enough => {
                let goal = Goal::Fail { class: Class::Start };
                self.note_of(id, Fact::Doomed { goal });
                End::Doomed
            }
        };
        self.enter(id, Phase::Fencing { end });
    }

    /// A context is over, and what it left is captured: what now?
    fn context_over(&mut self, id: &UnitId, end: End) {
        let Some(unit) = self.unit(id) else { return };
        if let Some(goal) = unit.doom {
            return self.enter(id, Phase::Clearing { goal });
        }
        let Some(spec) = &self.state.spec else { return };
        if self.state.blockers(unit, Stage::Claimed).is_empty() {
            return self.enter(id, Phase::Committing);
        }
        let tree = unit.captured.as_ref().map(|capture| &capture.tree);
        let has_moved = tree != unit.tree_before.as_ref()
            || unit.status.checked > unit.status_before.checked
            || self.state.is_waiting(id);
        let contexts = if planted!(OrphansCount) { unit.contexts } else { unit.own_contexts() };
        let is_last = contexts >= spec.limits.contexts;
        let verdict = match end {
            End::Crashed => self.count_failure(id, Class::Crashed),
            End::Stalled => self.count_failure(id, Class::Stalled),
            End::Turn | End::Full if !has_moved => self.count_failure(id, Class::Idle),
            End::Orphaned if !has_moved => self.count_failure(id, Class::Orphaned),
            End::Turn
            | End::Full
            | End::Orphaned
            | End::NotStarted
            | End::Limited
            | End::Escalated
            | End::Ceiling
            | End::Doomed => Verdict::Again,
        };
        let class = match (verdict, end) {
            (Verdict::Again, _) if !is_last => return self.enter(id, Phase::Resting),
            (Verdict::Again, _) => Class::Contexts,
            (Verdict::Enough, End::Crashed) => Class::Crashed,
            (Verdict::Enough, End::Stalled) => Class::Stalled,
            (Verdict::Enough, End::Orphaned) => Class::Orphaned,
            (Verdict::Enough, _) => Class::Idle,
        };
        self.enter(id, Phase::Clearing { goal: Goal::Fail { class } });
    }

    /// A merge is made; unless the unit is given up, it is verified.
    fn merged(&mut self, id: &UnitId) {
        match self.unit(id).and_then(|unit| unit.doom) {
            Some(goal) => self.enter(id, Phase::Clearing { goal }),
            None if planted!(NotVerified) => {
                self.note_of(id, Fact::Moved { to: Phase::Verifying });
                self.enter(id, Phase::Advancing);
            }
            None => self.enter(id, Phase::Verifying),
        }
    }

    /// A merge is verified: if nothing stands against it by now, it is taken.
    fn verified(&mut self, id: &UnitId) {
        let Some(unit) = self.unit(id) else { return };
        let next = match unit.doom {
            Some(goal) => Phase::Clearing { goal },
            None if self.state.blockers(unit, Stage::Merged).is_empty() => {
                if planted!(DoneBeforeMerge) {
                    self.intend_of(id, Action::Finish);
                }
                Phase::Advancing
            }
            None => Phase::Resting,
        };
        self.enter(id, next);
    }

    /// The attempt has failed: another one, from what is on the branch by now, or
    /// none.
    fn give_back(&mut self, id: &UnitId, class: Class) {
        let verdict = self.count_failure(id, class);
        let goal = match self.unit(id).and_then(|unit| unit.doom) {
            Some(goal) => goal,
            None if verdict == Verdict::Again => Goal::Again,
            None => Goal::Fail { class },
        };
        self.enter(id, Phase::Clearing { goal });
    }

    /// The lane is gone.
    fn cleared(&mut self, id: &UnitId, goal: Goal) {
        let doom = self.unit(id).and_then(|unit| unit.doom);
        let next = match if goal == Goal::Again { doom.unwrap_or(goal) } else { goal } {
            Goal::Done => Phase::Done,
            Goal::Again => Phase::Ready { since: self.now },
            Goal::Fail { class } => Phase::Failed { class },
            Goal::Skip { why } => Phase::Skipped { why },
        };
        self.enter(id, next);
    }
}

/// As much of a text as is worth keeping.
fn clip(why: &str) -> String {
    let end = (0..=why.len().min(WHY_BYTES_MAX)).rev().find(|end| why.is_char_boundary(*end));
    why[..end.unwrap_or(0)].to_owned()
}
