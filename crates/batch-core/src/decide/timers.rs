//! What happens because time has passed. [`crate::due`] says when that is.

use batch_api::{UnitId, WaitId};

use super::Decider;
use super::takeover::is_batch_fence;
use crate::defect::planted;
use crate::due;
use crate::effect::{Effect, EffectState};
use crate::fact::Fact;
use crate::unit::{End, Phase};

impl Decider {
    pub(super) fn fire_timers(&mut self) {
        let now = self.now;
        let late = |time: Option<crate::time::Time>| time.is_some_and(|time| time <= now);
        let effects: Vec<Effect> = self
            .state
            .effects
            .values()
            .filter(|effect| self.state.fenced || is_batch_fence(effect))
            .filter(|effect| late(due::effect(effect)))
            .cloned()
            .collect();
        for effect in &effects {
            match effect.state {
                // Nobody believes in an answer any more.
                EffectState::Running { .. } => self.unknown(effect),
                EffectState::Seeking { .. } => self.found(effect.id, crate::effect::Found::Unknown),
                EffectState::Resting { .. } => {
                    let (tries, deaths) = (effect.tries + 1, effect.deaths);
                    let restarted = Fact::Restarted { effect: effect.id, tries, deaths };
                    self.note(effect.subject.clone(), restarted);
                }
                EffectState::Waiting { .. } => {}
            }
        }
        if !self.state.fenced {
            return;
        }
        let waits: Vec<WaitId> = self
            .state
            .waits
            .values()
            .filter(|open| open.wait.deadline <= now)
            .map(|open| open.wait.id)
            .collect();
        for id in waits {
            let default = self.state.waits.get(&id).map(|open| open.wait.default);
            if let Some(default) = default {
                self.answer(id, default);
            }
        }
        let stalled: Vec<UnitId> = self
            .state
            .units
            .values()
            .filter(|unit| late(due::stall(&self.state, unit)) && !planted!(StallForgotten))
            .map(|unit| unit.id().clone())
            .collect();
        for id in &stalled {
            self.enter(id, Phase::Fencing { end: End::Stalled });
        }
    }
}
