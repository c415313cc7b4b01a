//! What a seed's batch is: its units, limits, policy, and how its agents behave.

use std::ops::Range;

use batch_api::{Actor, BatchId, TaskId, UnitId};
use uuid::Uuid;

use super::git::Piece;
use super::random::Random;
use crate::effect::{Effect, Kind};
use crate::spec::{BatchSpec, Ceiling, FailurePolicy, Limits, Receipts, UnitSpec};

const MINUTE_MS: u64 = 60_000;

#[derive(Debug, Clone)]
pub(super) struct Scenario {
    pub(super) spec: BatchSpec,
    /// How many steps each unit's packet has.
    steps: Vec<u32>,
    /// Units whose merges may conflict or turn out red.
    hard: Vec<UnitId>,
    pub(super) troubled_until: u64,
    /// Whether agents take messages while they work.
    pub(super) hears: bool,
    /// How far the engine's clock is ahead at first.
    pub(super) clock_ms: u64,
    /// What the client does, at most.
    pub(super) commands: u64,
    /// Whether anybody answers what is asked of the owner.
    pub(super) owner: Owner,
    /// Out of which things to do.
    pub(super) whims: Range<u64>,
    /// Chance for what came later, so that the seeds before go on as they did.
    pub(super) aside: Random,
    /// How many times the operator wants work brought somewhere, at most.
    pub(super) integrations: u64,
    /// Whether that is wanted once more when all is over.
    pub(super) last_wish: bool,
    /// What kills the engine that begins it.
    pub(super) deadly: Option<Deadly>,
}

/// A kind of effect that kills its engine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadly {
    pub(super) kind: Kind,
    /// Whether looking it up does, too.
    pub(super) in_look_ups: bool,
    /// How often it still does.
    pub(super) times: u64,
}

impl Deadly {
    /// More than it takes until somebody is asked.
    const TIMES_MAX: u64 = 2 * Effect::DEATHS_MAX as u64;

    fn of(random: &mut Random) -> Self {
        let kinds = u64::try_from(Kind::ALL.len()).expect("few kinds");
        Self {
            kind: Kind::ALL[usize::try_from(random.below(kinds)).expect("few kinds")],
            in_look_ups: random.chance(300),
            times: random.between(1, Self::TIMES_MAX),
        }
    }
}

/// Whether the owner of a batch is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Answers,
    /// Every wait ends by its default.
    IsAway,
}

impl Scenario {
    /// How far the clock may be ahead.
    pub(super) const CLOCK_MS_MAX: u64 = 5 * MINUTE_MS;

    /// The batch of a seed.
    pub(super) fn of(random: &mut Random) -> Self {
        let count = random.between(1, 5);
        let id = |number: u64| -> UnitId { format!("T-{number}@app/1").parse().expect("an id") };
        let mut units = Vec::new();
        let mut steps = Vec::new();
        let mut hard = Vec::new();
        for number in 1..=count {
            let others = |random: &mut Random, per_mille| -> Vec<TaskId> {
                let earlier = 1..number;
                let chosen = earlier.filter(|_| random.chance(per_mille));
                chosen.collect::<Vec<_>>().into_iter().map(|other| id(other).task).collect()
            };
            let after = others(random, 300);
            let apart = others(random, 200);
            let home = format!("tasks/T-{number}");
            let memory_mib = 512 * random.between(1, 8);
            units.push(UnitSpec { unit: id(number), home, after, apart, memory_mib });
            let has_none = random.chance(30);
            steps.push(if has_none { 0 } else { u32::try_from(random.between(1, 3)).unwrap() });
            if random.chance(300) {
                hard.push(id(number));
            }
        }
        let policies =
            [FailurePolicy::SkipDependents, FailurePolicy::StopNew, FailurePolicy::StopAll];
        let receipts = [Receipts::Dedupes, Receipts::Searchable, Receipts::Unprovable];
        let tight = random.chance(150);
        let unit = Ceiling {
            time_ms: if tight { 2 * MINUTE_MS } else { 600 * MINUTE_MS },
            tokens: if random.chance(100) { 500 } else { 1_000_000 },
            money_micros: 1_000_000_000,
        };
        let batch = Ceiling {
            time_ms: if random.chance(80) { 3 * MINUTE_MS } else { 3_000 * MINUTE_MS },
            tokens: 10_000_000,
            money_micros: if random.chance(80) { 2_000 } else { 1_000_000_000 },
        };
        let mut spec = BatchSpec {
            batch: BatchId::from_uuid(Uuid::from_u128(u128::from(random.next()))),
            owner: Actor::Operator("anna".parse().expect("a name")),
            lanes: u32::try_from(random.between(1, 3)).unwrap(),
            memory_mib: random.chance(400).then_some(512 * random.between(8, 12)),
            policy: policies[usize::try_from(random.below(3)).unwrap()],
            receipts: receipts[usize::try_from(random.below(3)).unwrap()],
            limits: Limits {
                unit,
                batch,
                stall_ms: 5 * MINUTE_MS,
                retries: Limits::RETRIES_MAX,
                contexts: 12,
                wait_ms: 60 * MINUTE_MS,
            },
            units,
        };
        let digits = spec.batch.to_string();
        let digits = &digits[digits.len() - 16..];
        let mut aside = Random::of(u64::from_str_radix(digits, 16).expect("digits"));
        if aside.chance(200) {
            spec.limits.retries = u32::try_from(aside.between(0, 2)).expect("small");
        }
        Self {
            integrations: if aside.chance(500) { aside.between(1, 4) } else { 0 },
            last_wish: aside.chance(300),
            deadly: aside.chance(120).then(|| Deadly::of(&mut aside)),
            aside,
            // Not drawn, so that seeds that were kept go on as they did.
            hears: spec.batch.to_string().ends_with(|digit: char| digit > '5'),
            spec,
            steps,
            hard,
            troubled_until: random.between(5, 60) * MINUTE_MS,
            clock_ms: random.between(0, Self::CLOCK_MS_MAX),
            commands: random.between(0, 8),
            owner: if random.chance(300) { Owner::IsAway } else { Owner::Answers },
            // The last aborts the batch.
            whims: if random.chance(100) { 0..13 } else { 0..12 },
        }
    }

    /// A small batch in which nothing goes wrong but what is made to.
    pub(super) fn calm(random: &mut Random) -> Self {
        let mut scenario = Self::of(random);
        let id = |number: u32| -> UnitId { format!("T-{number}@app/1").parse().expect("an id") };
        let unit = |number: u32, after: Vec<TaskId>| UnitSpec {
            unit: id(number),
            home: format!("tasks/T-{number}"),
            after,
            apart: Vec::new(),
            memory_mib: 1024,
        };
        scenario.spec.memory_mib = None;
        scenario.spec.units = vec![unit(1, Vec::new()), unit(2, vec![id(1).task])];
        scenario.spec.receipts = Receipts::Searchable;
        scenario.spec.lanes = 1;
        let wide = Ceiling { time_ms: u64::MAX, tokens: u64::MAX, money_micros: u64::MAX };
        scenario.spec.limits.unit = wide;
        scenario.spec.limits.batch = wide;
        scenario.spec.limits.retries = Limits::RETRIES_MAX;
        scenario.steps = vec![2, 1];
        scenario.hard = Vec::new();
        scenario.troubled_until = 0;
        scenario.hears = true;
        scenario.clock_ms = 0;
        scenario.commands = 3;
        scenario.integrations = 0;
        scenario.last_wish = true;
        scenario.deadly = None;
        // Nothing but mail.
        scenario.whims = 5..12;
        scenario
    }

    fn place(&self, unit: &UnitId) -> Option<usize> {
        self.spec.units.iter().position(|spec| spec.unit == *unit)
    }

    pub(super) fn steps(&self, unit: &UnitId) -> u32 {
        self.place(unit).map_or(0, |at| self.steps[at])
    }

    pub(super) fn pieces(&self, unit: &UnitId) -> Vec<Piece> {
        (1..=self.steps(unit)).map(|step| format!("{unit} step {step}")).collect()
    }

    pub(super) fn is_hard(&self, unit: &UnitId) -> bool {
        self.hard.contains(unit)
    }

    pub(super) fn needs(&self, unit: &UnitId) -> Vec<UnitId> {
        let Some(at) = self.place(unit) else { return Vec::new() };
        let after = &self.spec.units[at].after;
        let needed = self.spec.units.iter().filter(|spec| after.contains(&spec.unit.task));
        needed.map(|spec| spec.unit.clone()).collect()
    }

    /// The tasks that touch the same files.
    pub(super) fn apart(&self, unit: &UnitId) -> Vec<TaskId> {
        let says = |spec: &UnitSpec| spec.apart.contains(&unit.task);
        let mut apart: Vec<TaskId> =
            self.spec.units.iter().filter(|spec| says(spec)).map(|s| s.unit.task.clone()).collect();
        if let Some(at) = self.place(unit) {
            apart.extend(self.spec.units[at].apart.iter().cloned());
        }
        apart
    }
}
