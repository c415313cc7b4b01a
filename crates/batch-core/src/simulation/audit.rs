//! What the journal must never say, judged by its facts alone: who began when he
//! should not have, what was opened although something stood against it.

use std::collections::{BTreeMap, BTreeSet};

use batch_api::{EffectId, UnitId};

use crate::effect::{Action, Effect, EffectState, Kind};
use crate::fact::Fact;
use crate::journal::{Digest, Record};
use crate::spec::{BatchSpec, Ceiling, FailurePolicy};
use crate::state::{Halt, State};
use crate::time::Time;
use crate::unit::{Class, End, Phase, Reason, Unit, Usage};

#[derive(Debug, Default)]
pub(super) struct Audit {
    state: State,
    /// Units that may not begin any more, and whether those in lanes may go on.
    barred: BTreeMap<UnitId, Bar>,
    /// How often each unit has failed, since it was last tried again.
    failures: BTreeMap<(UnitId, Class), u32>,
    /// Starts of open effects, but for those that only came after a death; deaths at them.
    efforts: BTreeMap<EffectId, (u32, u32)>,
    /// How many contexts each unit's attempt has opened for itself.
    contexts: BTreeMap<UnitId, u32>,
    pub(super) traces: Vec<Digest>,
    pub(super) broken: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bar {
    FromLanes,
    FromContexts,
}

impl Audit {
    /// Judges the next record.
    pub(super) fn next(&mut self, record: &Record<Fact>) {
        if record.at < self.state.at {
            self.broken(record, "time goes back");
        }
        if let Some(spec) = self.state.spec.clone() {
            let unit = record.subject.unit.as_ref().and_then(|id| self.state.units.get(id));
            match (&record.fact, unit.cloned()) {
                (Fact::Began { lane }, Some(unit)) => self.began(record, &spec, &unit, *lane),
                (Fact::Moved { to: Phase::Opening }, Some(unit)) => {
                    self.opened(record, &spec, &unit);
                }
                (Fact::Moved { to: Phase::Failed { .. } }, Some(_)) => self.failed(&spec),
                (Fact::Halted { halt: Some(Halt::Aborted) }, _) => self.bar(Bar::FromContexts),
                (Fact::Failure { class, .. }, Some(unit)) => {
                    *self.failures.entry((unit.id().clone(), *class)).or_default() += 1;
                }
                (Fact::Revived, Some(unit)) => {
                    self.barred.remove(unit.id());
                    self.failures.retain(|(id, _), _| id != unit.id());
                }
                (Fact::WaitOpened { wait }, _) => {
                    let latest = record.at.0 + spec.limits.wait_ms;
                    if wait.owner != spec.owner || wait.deadline.0 > latest {
                        self.broken(record, "waits for nobody, or for too long");
                    }
                }
                _ => {}
            }
        }
        self.effort(record);
        self.state.fold(record);
    }

    /// What is asked for because something failed too often, or is not.
    fn effort(&mut self, record: &Record<Fact>) {
        let unit = record.subject.unit.clone();
        match (&record.fact, unit) {
            (Fact::Intended { effect, .. }, _) => {
                self.efforts.insert(*effect, (1, 0));
            }
            (Fact::Sought { effect, .. } | Fact::Restarted { effect, .. }, _) => {
                let Some(open) = self.state.effects.get(effect) else { return };
                let is_fence = open.action == Action::Fence && open.subject.attempt.is_none();
                let has_died = open.epoch < record.epoch;
                let effort = self.efforts.entry(*effect).or_default();
                match (&record.fact, open.state) {
                    // Somebody has said that it begins anew.
                    (_, EffectState::Waiting { .. }) => *effort = (1, 0),
                    (Fact::Sought { .. }, _) if has_died => effort.1 += 1,
                    // It was counted when it was looked up.
                    (Fact::Restarted { .. }, EffectState::Seeking { .. }) if has_died => {}
                    (Fact::Restarted { .. }, EffectState::Running { .. }) if has_died => {
                        effort.1 += 1;
                    }
                    (Fact::Restarted { .. }, _) => effort.0 += 1,
                    _ => {}
                }
                if effort.1 > Effect::DEATHS_MAX && !is_fence {
                    self.broken(record, "goes on at what kills its engine");
                }
            }
            (Fact::WaitOpened { wait }, _) => {
                let Reason::Stuck { effect } = &wait.reason else { return };
                let is_running = self.state.effects.get(effect).is_some_and(|open| {
                    let is_running = matches!(open.state, EffectState::Running { .. });
                    is_running && open.action.kind() != Kind::Remove
                });
                let tries = self.efforts.get(effect).map_or(0, |(tries, _)| *tries);
                if is_running && tries < Effect::TRIES_MAX {
                    self.broken(record, "is asked about although it can be tried again");
                }
            }
            (Fact::Began { .. }, Some(unit)) => {
                self.contexts.insert(unit, 0);
            }
            (Fact::Moved { to: Phase::Opening }, Some(unit)) => {
                *self.contexts.entry(unit).or_default() += 1;
            }
            (Fact::Moved { to: Phase::Fencing { end: End::Orphaned } }, Some(unit)) => {
                let contexts = self.contexts.entry(unit).or_default();
                *contexts = contexts.saturating_sub(1);
            }
            (Fact::Moved { to: Phase::Failed { class: Class::Contexts } }, Some(unit)) => {
                let most = self.state.spec.as_ref().map_or(0, |spec| spec.limits.contexts);
                if self.contexts.get(&unit).is_none_or(|contexts| *contexts < most) {
                    self.broken(record, "fails for contexts that ended with their engines");
                }
            }
            (Fact::Moved { to: Phase::Failed { class: class @ Class::Orphaned } }, Some(unit)) => {
                let counted = self.failures.get(&(unit, *class));
                if counted.is_none_or(|counted| *counted <= class.budget()) {
                    self.broken(record, "fails because its engines died, which few have");
                }
            }
            (Fact::Traced { trace }, _) => self.traces.push(trace.digest),
            _ => {}
        }
    }

    fn broken(&mut self, record: &Record<Fact>, what: &str) {
        let unit = record.subject.unit.as_ref().map(ToString::to_string).unwrap_or_default();
        self.broken.push(format!("record {}: {unit} {what}", record.sequence.0));
    }

    fn began(&mut self, record: &Record<Fact>, spec: &BatchSpec, unit: &Unit, lane: u32) {
        let in_lanes: Vec<&Unit> = self.state.in_lanes().collect();
        let is_taken = in_lanes.iter().any(|other| other.lane == lane);
        let taken_mib: u64 = in_lanes.iter().map(|other| other.spec.memory_mib).sum();
        let overtaken = self.overtaken(record.at, unit);
        if is_taken || lane > spec.lanes {
            self.broken(record, "gets a lane that there is not");
        }
        if spec.memory_mib.is_some_and(|has| taken_mib + unit.spec.memory_mib > has) {
            self.broken(record, "gets memory that there is not");
        }
        if let Some(other) = overtaken {
            self.broken(record, &format!("overtakes {other}"));
        }
        if self.barred.contains_key(unit.id()) {
            self.broken(record, "begins although everything should stop");
        }
        self.goes_on(record, unit);
    }

    fn opened(&mut self, record: &Record<Fact>, spec: &BatchSpec, unit: &Unit) {
        let state = &self.state;
        let (limits, at) = (&spec.limits, record.at);
        let unit_used = is_used_up(limits.unit, unit.usage, unit.worked_ms, unit.grants);
        let batch_used = is_used_up(limits.batch, state.usage, state.worked_ms, state.grants);
        for (stands, what) in [
            (unit.rest_until > at, "works before it has rested"),
            (state.limited_until > at, "asks a provider that takes nothing"),
            (state.is_waiting(unit.id()), "works while it waits"),
            (unit.own_contexts() >= limits.contexts, "has more contexts than it may"),
            (unit_used, "works beyond its ceiling"),
            (batch_used, "works beyond the ceiling of the batch"),
            (self.barred.get(unit.id()) == Some(&Bar::FromContexts), "works although all stop"),
        ] {
            if stands {
                self.broken(record, what);
            }
        }
        self.goes_on(record, unit);
    }

    /// What stands against anything that begins.
    fn goes_on(&mut self, record: &Record<Fact>, unit: &Unit) {
        if self.state.halt.is_some() {
            self.broken(record, "goes on while the batch stands still");
        }
        let most = |class: Class| {
            self.state.spec.as_ref().map_or(0, |spec| spec.limits.retries.min(class.budget()))
        };
        let of = |((id, class), count): (&(UnitId, Class), &u32)| {
            let most = if *class == Class::Orphaned { class.budget() } else { most(*class) };
            (id == unit.id() && *count > most).then_some(*class)
        };
        if let Some(class) = self.failures.iter().find_map(of) {
            self.broken(record, &format!("goes on after too many failures: {class}"));
        }
    }

    /// Who has been ready for longer, and could have begun as well.
    fn overtaken(&self, at: Time, by: &Unit) -> Option<UnitId> {
        let of = |unit: &Unit| match unit.phase {
            Phase::Ready { since } => Some((since, unit.order)),
            _ => None,
        };
        let mut before: Vec<&Unit> = self.state.units.values().collect();
        before.retain(|unit| unit.rest_until <= at && of(unit).is_some() && of(unit) < of(by));
        before.sort_by_key(|unit| of(unit));
        let touch = |one: &Unit, other: &Unit| {
            one.spec.apart.contains(&other.spec.unit.task)
                || other.spec.apart.contains(&one.spec.unit.task)
        };
        let mut in_the_way: Vec<&Unit> = self.state.in_lanes().collect();
        for unit in before {
            if !in_the_way.iter().any(|other| touch(unit, other)) {
                return Some(unit.id().clone());
            }
            in_the_way.push(unit);
        }
        None
    }

    fn failed(&mut self, spec: &BatchSpec) {
        match spec.policy {
            FailurePolicy::SkipDependents => {}
            FailurePolicy::StopNew => self.bar(Bar::FromLanes),
            FailurePolicy::StopAll => self.bar(Bar::FromContexts),
        }
    }

    fn bar(&mut self, bar: Bar) {
        let open = self.state.units.values().filter(|unit| !unit.phase.is_over());
        let open = open.filter(|unit| bar == Bar::FromContexts || !unit.phase.has_lane());
        let open: BTreeSet<UnitId> = open.map(|unit| unit.id().clone()).collect();
        self.barred.extend(open.into_iter().map(|id| (id, bar)));
    }
}

fn is_used_up(ceiling: Ceiling, usage: Usage, worked_ms: u64, grants: u64) -> bool {
    let used = [usage.tokens, usage.money_micros, worked_ms];
    let allowed = [ceiling.tokens, ceiling.money_micros, ceiling.time_ms];
    used.iter().zip(allowed).any(|(used, allowed)| *used >= allowed.saturating_mul(grants + 1))
}
