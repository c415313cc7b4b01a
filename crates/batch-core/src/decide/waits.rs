//! Waits: how they are answered, by somebody or by their default.

use batch_api::WaitId;

use super::Decider;
use crate::effect::{Action, Effect, EffectState, Kind, Outcome};
use crate::fact::Fact;
use crate::journal::Subject;
use crate::mail::Receipt;
use crate::state::Halt;
use crate::unit::{Answer, Class, Goal, Reason, Skip};

impl Decider {
    /// A wait is answered. Closing it and what follows are one decision.
    pub(super) fn answer(&mut self, id: WaitId, answer: Answer) {
        let Some(open) = self.state.waits.get(&id).cloned() else { return };
        let subject = open.unit.as_ref().map_or(Subject::BATCH, Subject::unit);
        self.note(subject, Fact::WaitClosed { wait: id, answer });
        let give_up = Goal::Fail { class: Class::Unanswered };
        match (open.wait.reason, answer, open.unit) {
            (Reason::Escalated { .. }, Answer::Go, _) => {}
            (Reason::Escalated { .. }, Answer::GiveUp, Some(unit)) => {
                self.note_of(&unit, Fact::Doomed { goal: give_up });
            }
            (Reason::Undelivered { .. }, answer, _) => self.answer_delivery(id, answer),
            (Reason::Stuck { effect } | Reason::Deadly { effect }, answer, _) => {
                self.answer_stuck(effect, answer);
            }
            (Reason::Ceiling, Answer::Go, Some(unit)) => self.note_of(&unit, Fact::Granted),
            (Reason::Ceiling, Answer::GiveUp, Some(unit)) => {
                let goal = Goal::Fail { class: Class::Aborted };
                self.note_of(&unit, Fact::Doomed { goal });
            }
            (Reason::Ceiling, Answer::Go, None) => {
                self.note(Subject::BATCH, Fact::Granted);
                self.note(Subject::BATCH, Fact::Halted { halt: None });
            }
            (Reason::Ceiling, Answer::GiveUp, None) => self.abort(),
            (Reason::Escalated { .. }, Answer::GiveUp, None) => {}
        }
    }

    /// The batch is given up: everything is stopped and captured.
    pub(super) fn abort(&mut self) {
        self.note(Subject::BATCH, Fact::Halted { halt: Some(Halt::Aborted) });
        self.doom_all(Goal::Skip { why: Skip::Stopped }, |_| true);
    }

    fn waiting_for(&self, wait: WaitId) -> Option<Effect> {
        let waits = |effect: &&Effect| effect.state == EffectState::Waiting { wait };
        self.state.effects.values().find(waits).cloned()
    }

    fn answer_delivery(&mut self, wait: WaitId, answer: Answer) {
        let Some(effect) = self.waiting_for(wait) else { return };
        if let (Action::Inject { message, .. }, Some(unit)) =
            (&effect.action, effect.subject.unit.clone())
        {
            // It is sent again as any other: unless it has expired by now, and into
            // whichever conversation goes on.
            let next = match answer {
                Answer::Go => Receipt::Queued,
                Answer::GiveUp => Receipt::Dead,
            };
            self.receipt(*message, &unit, next);
        }
        self.end(&effect, Outcome::GivenUp);
    }

    fn answer_stuck(&mut self, effect: batch_api::EffectId, answer: Answer) {
        let Some(effect) = self.state.effects.get(&effect).cloned() else { return };
        if answer == Answer::GiveUp
            && let Some(unit) = effect.subject.unit.clone()
        {
            let goal = Goal::Fail { class: Class::Trouble };
            self.note_of(&unit, Fact::Doomed { goal });
            // Some can be left undone. The others hold work, or a process.
            let kind = effect.action.kind();
            if matches!(kind, Kind::Prepare | Kind::Commit | Kind::Merge | Kind::Verify) {
                return self.end(&effect, Outcome::GivenUp);
            }
        }
        self.restart(&effect);
    }

    /// Somebody has said so: the tries begin anew.
    fn restart(&mut self, effect: &Effect) {
        let restarted = Fact::Restarted { effect: effect.id, tries: 1, deaths: 0 };
        self.note(effect.subject.clone(), restarted);
    }

    /// What an effect waits for is no longer asked.
    pub(super) fn close_wait_of(&mut self, effect: &Effect) {
        if let EffectState::Waiting { wait } = effect.state {
            let closed = Fact::WaitClosed { wait, answer: Answer::GiveUp };
            self.note(effect.subject.clone(), closed);
        }
    }
}
