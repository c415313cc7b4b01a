//! What happened, as Taskplane's engine tells it.

use batch_api::TaskId;
use batch_core::effect::{Action, Kind, Outcome};
use batch_core::fact::Fact;
use batch_core::journal::Record;
use batch_core::state::State;
use batch_core::unit::Phase;
use serde::Serialize;

use super::{Projection, stamp};

/// An event; what does not apply is absent.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    timestamp: String,
    #[serde(rename = "type")]
    kind: &'static str,
    batch_id: String,
    wave_index: usize,
    phase: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_ids: Option<Vec<TaskId>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lane_count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<TaskId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lane_number: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    totals: Option<Totals>,
}

/// How many tasks came to what.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Totals {
    pub(super) total_tasks: usize,
    pub(super) succeeded_tasks: usize,
    pub(super) failed_tasks: usize,
    pub(super) skipped_tasks: usize,
    pub(super) blocked_tasks: usize,
}

/// What a record's effect was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before(Option<Kind>);

impl Before {
    pub(super) fn of(state: &State, record: &Record<Fact>) -> Self {
        let Fact::Ended { effect, .. } = &record.fact else { return Self(None) };
        Self(state.effects.get(effect).map(|effect| effect.action.kind()))
    }
}

impl Before {
    /// Whether the record is about what people read being written.
    pub(super) const fn is_publication(self, fact: &Fact) -> bool {
        matches!(self.0, Some(Kind::Publish))
            || matches!(fact, Fact::Intended { action: Action::Publish { .. }, .. })
    }
}

/// The events that a record is; it is folded already.
pub(super) fn of(all: &Projection, before: Before, record: &Record<Fact>) -> Vec<String> {
    let task = record.subject.unit.as_ref().map(|unit| unit.task.clone());
    let wave_of = task.as_ref().and_then(|task| all.wave_of.get(task)).copied();
    let passage = record.subject.unit.as_ref().and_then(|unit| all.units.get(unit));
    let event = |kind: &'static str| Event {
        timestamp: stamp(record.at),
        kind,
        batch_id: all.batch.to_string(),
        wave_index: wave_of.unwrap_or_else(|| all.wave()),
        phase: all.phase(),
        ..Event::default()
    };
    let of_task = |kind, outcome, reason: Option<String>| Event {
        task_id: task.clone(),
        lane_number: passage.map(|passage| passage.lane).filter(|lane| *lane > 0),
        duration_ms: passage
            .and_then(|passage| Some(passage.ended?.0.saturating_sub(passage.started?.0))),
        outcome,
        reason,
        ..event(kind)
    };
    let mut events = Vec::new();
    match &record.fact {
        Fact::Began { .. } => {
            let wave = wave_of.and_then(|wave| all.waves.get(wave));
            let begun = wave.into_iter().flatten().filter(|task| {
                let unit = all.state.tasks.get(task).and_then(|unit| all.state.units.get(unit));
                unit.is_some_and(|unit| unit.attempt > 0)
            });
            let is_first = passage.is_some_and(|passage| passage.started == Some(record.at));
            if begun.count() == 1 && is_first {
                let lane_count = all.state.spec.as_ref().map(|spec| spec.lanes);
                let task_ids = wave.cloned();
                events.push(Event { task_ids, lane_count, ..event("wave_start") });
            }
        }
        Fact::Moved { to: Phase::Done } => {
            events.push(of_task("task_complete", Some("succeeded"), None));
        }
        Fact::Moved { to: to @ Phase::Failed { .. } } => {
            events.push(of_task("task_failed", Some("failed"), Some(to.to_string())));
        }
        Fact::Intended { action: Action::Merge { .. }, .. } => {
            events.push(of_task("merge_start", None, None));
        }
        Fact::Ended { outcome, .. } => match (before.0, outcome) {
            (Some(Kind::Advance), Outcome::Advanced) => {
                events.push(of_task("merge_success", None, None));
            }
            (Some(Kind::Merge | Kind::Verify), Outcome::Conflict | Outcome::Red) => {
                events.push(of_task("merge_failed", None, Some(outcome.to_string())));
            }
            _ => {}
        },
        Fact::Halted { halt: Some(halt) } => {
            events.push(Event { reason: Some(halt.to_string()), ..event("batch_paused") });
        }
        Fact::BatchEnded { ending } => {
            let (totals, outcome) = (Some(all.totals()), Some(all.phase()));
            let reason = Some(ending.to_string());
            events.push(Event { totals, outcome, reason, ..event("batch_complete") });
        }
        _ => {}
    }
    let line = |event: &Event| serde_json::to_string(event).expect("events are plain data");
    events.iter().map(line).collect()
}
