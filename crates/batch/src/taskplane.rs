//! A batch as Taskplane's files, for what reads those: dashboards, scripts, habits.
//!
//! ```text
//! journal ──▶ Projection ──▶ batch-state.json   schema version 4, replaced whole
//!                       └──▶ events.jsonl       one line per event, appended
//! ```
//!
//! Both are folded from the journal alone, so they can be thrown away at any time and
//! come out the same, byte for byte. Nothing reads them back: what somebody changes in
//! them is gone with the next change of the batch.
//!
//! What Taskplane has and a batch has not is told as near as it comes: a wave is a level
//! of the graph of dependencies, a lane's directory is inside a machine and stays empty,
//! and a merge of a wave is the merges of its tasks.
//!
//! **SIGKILL** leaves a whole state, the former or the next, and events of which the last
//! line may be torn: whoever opens the files first writes them all anew.

mod events;
mod exporting;
mod files;
mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use batch_api::{BatchId, TaskId, UnitId};
use batch_core::effect::Outcome;
use batch_core::fact::Fact;
use batch_core::journal::Record;
use batch_core::spec::UnitSpec;
use batch_core::state::State;
use batch_core::time::Time;
use batch_core::unit::Phase;
use jiff::Timestamp;

pub(crate) use files::Files;

/// Most errors that are told.
const ERRORS_MAX: usize = 50;

/// What the journal amounts to for readers of Taskplane's files.
#[derive(Debug)]
pub(crate) struct Projection {
    batch: BatchId,
    /// What the batch began with, by its name in the operator's checkout.
    base: String,
    state: State,
    /// The tasks by levels of the graph, and which level a task is on.
    waves: Vec<Vec<TaskId>>,
    wave_of: BTreeMap<TaskId, usize>,
    started: Time,
    updated: Time,
    ended: Option<Time>,
    units: BTreeMap<UnitId, Passage>,
    errors: Vec<String>,
}

/// When a unit was where.
#[derive(Debug, Default)]
struct Passage {
    started: Option<Time>,
    ended: Option<Time>,
    /// Its lane, or the last one.
    lane: u32,
    /// Why it ended.
    reason: String,
}

impl Projection {
    pub(crate) fn of(batch: BatchId, base: String) -> Self {
        Self {
            batch,
            base,
            state: State::default(),
            waves: Vec::new(),
            wave_of: BTreeMap::new(),
            started: Time(0),
            updated: Time(0),
            ended: None,
            units: BTreeMap::new(),
            errors: Vec::new(),
        }
    }

    /// Folds a record; the lines of events that it is.
    pub(crate) fn fold(&mut self, record: &Record<Fact>) -> Vec<String> {
        // Of an effect that has ended nothing is known any more.
        let before = events::Before::of(&self.state, record);
        self.state.fold(record);
        // That these files are written is nothing that they tell.
        if !before.is_publication(&record.fact) {
            self.updated = record.at;
        }
        match (&record.fact, &record.subject.unit) {
            (Fact::Planned { spec }, _) => {
                self.started = record.at;
                self.lay_out(&spec.units);
            }
            (Fact::BatchEnded { .. }, _) => self.ended = Some(record.at),
            (Fact::Revived, Some(unit)) => {
                self.ended = None;
                self.units.entry(unit.clone()).or_default().ended = None;
            }
            (Fact::Began { lane }, Some(unit)) => {
                let passage = self.units.entry(unit.clone()).or_default();
                passage.lane = *lane;
                passage.started.get_or_insert(record.at);
            }
            (Fact::Moved { to }, Some(unit)) if to.is_over() => {
                let passage = self.units.entry(unit.clone()).or_default();
                passage.ended = Some(record.at);
                passage.reason = to.to_string();
                if matches!(to, Phase::Failed { .. }) {
                    self.error(format!("{} {to}", unit.task));
                }
            }
            (Fact::Postponed { why, .. }, _)
            | (Fact::Ended { outcome: Outcome::Failed { why }, .. }, _) => {
                self.error(why.clone());
            }
            _ => {}
        }
        events::of(self, before, record)
    }

    fn error(&mut self, what: String) {
        if self.errors.len() == ERRORS_MAX {
            self.errors.remove(0);
        }
        self.errors.push(what);
    }

    /// Sorts tasks into waves: each is one behind the last that it waits for.
    fn lay_out(&mut self, units: &[UnitSpec]) {
        let mut left: Vec<&UnitSpec> = units.iter().collect();
        while !left.is_empty() {
            let is_next =
                |unit: &&UnitSpec| unit.after.iter().all(|task| self.wave_of.contains_key(task));
            let (next, later): (Vec<&UnitSpec>, Vec<&UnitSpec>) =
                left.into_iter().partition(is_next);
            if next.is_empty() {
                return;
            }
            let mut wave: Vec<TaskId> = next.iter().map(|unit| unit.unit.task.clone()).collect();
            wave.sort();
            self.wave_of.extend(wave.iter().map(|task| (task.clone(), self.waves.len())));
            self.waves.push(wave);
            left = later;
        }
    }

    /// Where the tasks of a wave are.
    fn phases<'a>(&'a self, wave: &'a [TaskId]) -> impl Iterator<Item = Phase> + 'a {
        let unit = |task| self.state.units.get(self.state.tasks.get(task)?);
        wave.iter().filter_map(unit).map(|unit| unit.phase)
    }

    /// The first wave of which not everything is over, or else the last.
    fn wave(&self) -> usize {
        let is_open = |wave: &Vec<TaskId>| self.phases(wave).any(|phase| !phase.is_over());
        let last = self.waves.len().saturating_sub(1);
        self.waves.iter().position(is_open).unwrap_or(last)
    }
}

/// A time as people and programs read it: RFC 3339 in UTC.
fn stamp(time: Time) -> String {
    let milliseconds = i64::try_from(time.0).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(milliseconds).unwrap_or_default().to_string()
}
