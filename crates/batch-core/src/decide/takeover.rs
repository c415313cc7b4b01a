//! Taking over: first the earlier engine is shut out, then what it left open is
//! looked up, and what it left running is stopped.

use batch_api::UnitId;

use super::Decider;
use crate::defect::planted;
use crate::effect::{Action, Effect, EffectState, Outcome, Rule};
use crate::fact::Fact;
use crate::journal::Subject;
use crate::unit::{End, Phase};

impl Decider {
    /// An engine begins. Whatever it wants done waits for the fence.
    pub(super) fn take_over(&mut self) {
        self.note(Subject::BATCH, Fact::EngineStarted);
    }

    /// Sees to the fence; true once it is up.
    pub(super) fn is_fenced(&mut self) -> bool {
        if self.state.fenced || self.state.spec.is_none() {
            return self.state.fenced;
        }
        if planted!(NoFence) {
            self.intend(Subject::BATCH, Action::Fence);
        }
        let open = self.state.effects.values().find(|effect| is_batch_fence(effect));
        match open.cloned() {
            None => self.intend(Subject::BATCH, Action::Fence),
            Some(effect) if planted!(NoFence) => self.end(&effect, Outcome::Fenced),
            // The one that an earlier engine has begun is ours to begin again.
            Some(effect) if effect.epoch < self.epoch => {
                let again = Fact::Restarted { effect: effect.id, tries: 1, deaths: 0 };
                self.note(Subject::BATCH, again);
            }
            Some(_) => {}
        }
        self.state.fenced
    }

    /// The fence is up: nothing happens any more that this engine has not begun.
    pub(super) fn pick_up(&mut self) {
        let open: Vec<Effect> = self.state.effects.values().cloned().collect();
        for mut effect in open {
            match effect.state {
                EffectState::Running { .. } | EffectState::Seeking { .. } => {
                    effect.deaths += 1;
                    self.survived(&effect);
                }
                EffectState::Resting { .. } | EffectState::Waiting { .. } => {}
            }
        }
        let orphans: Vec<UnitId> = self
            .state
            .units
            .values()
            .filter(|unit| unit.phase == Phase::Working)
            .map(|unit| unit.id().clone())
            .collect();
        for id in &orphans {
            self.enter(id, Phase::Fencing { end: End::Orphaned });
        }
    }

    /// An engine has died at an effect, which says nothing about the effect, unless so
    /// many have.
    fn survived(&mut self, effect: &Effect) {
        if effect.deaths > Effect::DEATHS_MAX && !planted!(DeathsUnbounded) {
            self.ask_about(effect);
        } else {
            self.unknown(effect);
        }
    }

    /// Nobody knows whether an effect was done: by its kind's rule.
    pub(super) fn unknown(&mut self, effect: &Effect) {
        let Some(spec) = &self.state.spec else { return };
        let mut rule = effect.action.kind().rule(spec.receipts);
        if planted!(StartedTwice) && matches!(effect.action, Action::Start { .. }) {
            rule = Rule::Redo;
        }
        if let Action::Inject { conversation, .. } = &effect.action {
            let unit = effect.subject.unit.as_ref().and_then(|id| self.unit(id));
            let is_over = unit.is_none_or(|unit| {
                unit.conversation() != *conversation || unit.phase != Phase::Working
            });
            // Into a conversation that is over nothing can be sent again.
            if is_over && rule != Rule::LookUp {
                rule = Rule::GiveUp;
            }
            if planted!(BlindResend) {
                rule = Rule::Redo;
            }
        }
        match rule {
            Rule::Redo => self.redo(effect),
            Rule::LookUp if planted!(IntegrationBelieved) && is_integration(effect) => {
                self.end(effect, Outcome::Contained);
            }
            Rule::LookUp => {
                let sought = Fact::Sought { effect: effect.id, deaths: effect.deaths };
                self.note(effect.subject.clone(), sought);
            }
            Rule::GiveUp => self.end(effect, Outcome::GivenUp),
            Rule::Ask => self.ask_about(effect),
        }
    }
}

/// Whether the effect brings work to where the operator wants it.
pub(super) fn is_integration(effect: &Effect) -> bool {
    matches!(effect.action, Action::Integrate { .. })
}

/// Whether the effect shuts out earlier engines.
pub(super) fn is_batch_fence(effect: &Effect) -> bool {
    effect.action == Action::Fence && effect.subject.attempt.is_none()
}
