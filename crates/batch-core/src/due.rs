//! When something changes by itself. The driver sleeps until then, however long
//! that is, across restarts: every timer is a moment in the state.

use std::time::Duration;

use crate::defect::planted;
use crate::effect::{Effect, EffectState};
use crate::spec::Ceiling;
use crate::state::State;
use crate::time::Time;
use crate::unit::{Phase, Unit, Usage};

/// How long looking an effect up may take.
const SEEK_PATIENCE: Duration = Duration::from_secs(300);

/// The earliest moment after `now` at which something changes by itself.
#[must_use]
pub fn due(state: &State, now: Time) -> Option<Time> {
    let effects = state.effects.values().filter_map(effect);
    let waits = state.waits.values().map(|open| open.wait.deadline);
    let waits = waits.filter(|_| !planted!(DeadlineForgotten));
    let units = state.units.values().flat_map(|unit| {
        let rest = matches!(unit.phase, Phase::Resting | Phase::Ready { .. });
        let hears = (unit.phase == Phase::Working).then_some(unit.deaf_until);
        [rest.then_some(unit.rest_until), hears, stall(state, unit), unit_ceiling(state, unit)]
    });
    let queued = state.queued.values().flatten();
    let mail = queued.filter_map(|(_, message)| state.mail.get(message)?.message.expires);
    let limited = Some(state.limited_until).filter(|_| !planted!(LimitNotWoken));
    let batch = [limited, batch_ceiling(state), publication(state)];
    effects
        .chain(waits)
        .chain(units.flatten())
        .chain(mail)
        .chain(batch.into_iter().flatten())
        .filter(|time| *time > now)
        .min()
}

/// How long what people read may be older than the state, so that a batch in
/// which much happens does not write it all the time.
const PUBLISH_PAUSE: Duration = Duration::from_secs(1);

/// When what people read is brought up to date, if it is not.
pub(crate) fn publication(state: &State) -> Option<Time> {
    let is_old = state.view > state.published;
    is_old.then(|| state.published_at.after(PUBLISH_PAUSE))
}

/// When an effect is tried again, or no longer believed in.
pub(crate) fn effect(effect: &Effect) -> Option<Time> {
    match effect.state {
        EffectState::Running { since } => Some(since.after(effect.action.kind().patience())),
        EffectState::Seeking { since } => Some(since.after(SEEK_PATIENCE)),
        EffectState::Resting { until } => Some(until),
        EffectState::Waiting { .. } => None,
    }
}

/// When an agent has shown no progress for too long.
pub(crate) fn stall(state: &State, unit: &Unit) -> Option<Time> {
    let spec = state.spec.as_ref()?;
    let is_at_work = unit.phase == Phase::Working;
    is_at_work.then(|| unit.progress_at.after(Duration::from_millis(spec.limits.stall_ms)))
}

/// When a unit has been worked on for as long as it may.
pub(crate) fn unit_ceiling(state: &State, unit: &Unit) -> Option<Time> {
    let limits = &state.spec.as_ref()?.limits;
    let allowed = limits.unit.time_ms.saturating_mul(unit.grants + 1);
    let left = allowed.saturating_sub(unit.worked_ms);
    Some(unit.working_since?.after(Duration::from_millis(left)))
}

/// When agents have been at work for as long as the batch may.
pub(crate) fn batch_ceiling(state: &State) -> Option<Time> {
    let limits = &state.spec.as_ref()?.limits;
    let allowed = limits.batch.time_ms.saturating_mul(state.grants + 1);
    let left = allowed.saturating_sub(state.worked_ms);
    let at_work: Vec<Time> = state.units.values().filter_map(|unit| unit.working_since).collect();
    let count = u64::try_from(at_work.len()).ok().filter(|count| *count > 0)?;
    // All of them together use it up: it is reached at the mean of their starts
    // plus an equal share.
    let mean = at_work.iter().map(|time| time.0 / count).fold(0_u64, u64::saturating_add);
    Some(Time(mean).after(Duration::from_millis(left / count)))
}

/// Whether tokens, money, or time before the contexts of now are used up.
pub(crate) fn has_used_up(ceiling: Ceiling, usage: Usage, worked_ms: u64, grants: u64) -> bool {
    let allowed = |once: u64| once.saturating_mul(grants + 1);
    usage.tokens >= allowed(ceiling.tokens)
        || usage.money_micros >= allowed(ceiling.money_micros)
        || worked_ms >= allowed(ceiling.time_ms) && !planted!(TimeIgnored)
}
