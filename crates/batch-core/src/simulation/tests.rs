//! Seeds, sweeps, planted defects.

use std::env;
use std::ops::Range;
use std::thread;

use batch_api::{CommitName, EffectId, Epoch, MessageId, Sequence};

use super::client::Client;
use super::coverage::Coverage;
use super::plan::Scenario;
use super::random::Random;
use super::run::{Crashes, Report, run};
use crate::apply::Stamp;
use crate::decide::{Command, Input, Observation, decide};
use crate::defect::{Defect, with};
use crate::due::due;
use crate::effect::{Found, Outcome};
use crate::state::State;
use crate::time::Time;
use crate::unit::{Status, Usage};

/// Which seeds are run when nobody says which.
const SEEDS: Range<u64> = 0..5_000;
/// Within how many of them every planted defect has to be found; also what is worth
/// a thread.
const SEEDS_ENOUGH: u64 = 1_000;
/// Within how many of them every kind of effect has to be hit by a death at each of its
/// positions. Of thirty thousands, one missed the rarest.
const SEEDS_THROUGHOUT: u64 = 5_000;
/// Says which seeds to run: `FIRST..END`.
const SEEDS_VARIABLE: &str = "HOTCELL_SIMULATION_SEEDS";

fn seed(seed: u64) -> Report {
    let mut random = Random::of(seed);
    let scenario = Scenario::of(&mut random);
    let crashes = Crashes::Often(random.between(0, 25));
    run(scenario, random, crashes)
}

fn assert_sound(name: &str, report: &Report) {
    assert!(
        report.broken.is_empty(),
        "{name}:\n{}\n{}\nrun it again: cargo xtask simulate {name}",
        report.story,
        report.broken.join("\n"),
    );
}

fn seeds() -> Range<u64> {
    let Ok(text) = env::var(SEEDS_VARIABLE) else { return SEEDS };
    let (first, end) = text.split_once("..").expect("seeds are given as FIRST..END");
    first.parse().expect("a number")..end.parse().expect("a number")
}

/// Seeds beyond those of every run that have found something. `cargo xtask simulate`
/// adds those that it finds.
const SEEDS_KEPT: &str = include_str!("kept.txt");

#[test]
fn seeds_that_have_found_something_are_kept() {
    for kept in SEEDS_KEPT.lines() {
        assert_sound(&format!("--seed {kept}"), &seed(kept.parse().expect("a seed in a line")));
    }
}

#[test]
fn every_seed_keeps_every_promise() {
    let seeds = seeds();
    let cores = u64::try_from(thread::available_parallelism().map_or(1, usize::from)).unwrap();
    let workers = cores.min((seeds.end - seeds.start).div_ceil(SEEDS_ENOUGH)).max(1);
    let (mut coverage, mut records) = (Coverage::default(), 0);
    thread::scope(|scope| {
        let work = |worker: u64| {
            let seeds = seeds.clone();
            scope.spawn(move || {
                let (mut coverage, mut records) = (Coverage::default(), 0);
                for number in seeds.filter(|seed| seed % workers == worker) {
                    let report = seed(number);
                    assert_sound(&format!("--seed {number}"), &report);
                    coverage.add(&report.coverage);
                    records += report.records;
                }
                (coverage, records)
            })
        };
        let running: Vec<_> = (0..workers).map(work).collect();
        for worker in running {
            let (of, count) = worker.join().expect("a seed has failed, see above");
            coverage.add(&of);
            records += count;
        }
    });
    println!(
        "{} seeds: {records} records, {} crashes, {} deeds of stale engines refused",
        seeds.end - seeds.start,
        coverage.crashes,
        coverage.refused,
    );
    if seeds.end - seeds.start >= SEEDS_THROUGHOUT {
        assert_eq!(coverage.missing(), [], "no engine died there");
        assert!(coverage.refused > 0, "no stale engine was refused");
    }
}

/// How a batch goes, to be read: two tasks, the second needs the first, and the
/// engine dies once.
#[test]
fn the_story_of_a_batch() {
    let mut random = Random::of(7);
    let scenario = Scenario::calm(&mut random);
    let report = run(scenario, random, Crashes::At(30));
    insta::assert_snapshot!(report.story);
}

#[test]
fn the_same_seed_is_the_same_story() {
    for number in 0..10 {
        assert_eq!(seed(number).digest, seed(number).digest, "seed {number}");
    }
}

/// Every chance to die in one calm batch, one after the other.
#[test]
fn an_engine_may_die_at_every_point_of_a_batch() {
    let calm = |crashes| {
        let mut random = Random::of(7);
        let scenario = Scenario::calm(&mut random);
        run(scenario, random, crashes)
    };
    let whole = calm(Crashes::At(0));
    assert_sound("the calm batch", &whole);
    assert!(whole.endings.iter().all(|phase| *phase == crate::unit::Phase::Done));
    for chance in 1..=whole.chances {
        let report = calm(Crashes::At(chance));
        assert_sound(&format!("a crash at chance {chance} of {}", whole.chances), &report);
        assert!(
            report.endings.iter().all(|phase| *phase == crate::unit::Phase::Done),
            "a crash at chance {chance} kept the batch from being done: {:?}",
            report.endings,
        );
    }
}

#[test]
fn every_planted_defect_is_found_by_a_seed() {
    let mut unfound = Vec::new();
    for defect in Defect::ALL {
        let found = (0..SEEDS_ENOUGH).find(|number| {
            with(Some(*defect), || {
                let report = seed(*number);
                !report.broken.is_empty()
            })
        });
        match found {
            Some(seed) => println!("{defect:?}: seed {seed}"),
            None => unfound.push(defect),
        }
    }
    assert_eq!(unfound, [] as [&Defect; 0], "no seed has found them");
}

/// What comes in may be anything: late, wrong, or made up.
#[test]
fn whatever_comes_in_is_decided_and_what_is_decided_folds() {
    for number in 0..60 {
        let mut random = Random::of(number);
        let scenario = Scenario::of(&mut random);
        let (mut state, mut folded) = (State::default(), State::default());
        let (mut now, mut sequence) = (0, Sequence(0));
        for _ in 0..400 {
            now += random.below(20_000);
            let input = nonsense(&mut random, &scenario, &state);
            let (next, decision) = decide(state, Time(now), input);
            state = next;
            for draft in decision.facts {
                sequence = sequence.next();
                let stamp = Stamp { sequence, at: Time(now), epoch: state.epoch };
                folded.apply(stamp, &draft.subject, &draft.fact);
            }
            assert!(folded == state, "seed {number}: facts do not amount to the state");
            assert!(due(&state, Time(now)).is_none_or(|due| due > Time(now)));
        }
        assert!(!state.units.is_empty(), "seed {number} has never started");
    }
}

/// An input that the engine may well not expect.
fn nonsense(random: &mut Random, scenario: &Scenario, state: &State) -> Input {
    let name: CommitName = format!("{:040x}", random.below(3)).parse().expect("a name");
    let outcomes = [
        Outcome::Fenced,
        Outcome::Prepared { base: name.clone() },
        Outcome::Started,
        Outcome::Injected,
        Outcome::Deferred,
        Outcome::Interrupted,
        Outcome::Stopped,
        Outcome::Captured { commit: name.clone(), tree: name.clone() },
        Outcome::Committed { commit: name.clone() },
        Outcome::Merged { base: name.clone(), commit: name.clone() },
        Outcome::Conflict,
        Outcome::Green,
        Outcome::Red,
        Outcome::Advanced,
        Outcome::Behind,
        Outcome::Finished,
        Outcome::Published,
        Outcome::Removed,
        Outcome::Unproved,
        Outcome::Integrated { commit: name.clone() },
        Outcome::Contained,
        Outcome::InTheWay { why: "it has moved on".to_owned() },
        Outcome::Nowhere { what: "main".to_owned() },
        Outcome::Failed { why: "\u{00e9}".repeat(400) },
        Outcome::GivenUp,
    ];
    // Mostly one that fits, of an effect that is open, so that things go on.
    let open = state.effects.values().nth(usize::try_from(random.below(4)).unwrap());
    let fitting: Vec<&Outcome> = outcomes
        .iter()
        .filter(|outcome| open.is_some_and(|open| outcome.fits(open.action.kind())))
        .collect();
    let all: Vec<&Outcome> = outcomes.iter().collect();
    let of = if fitting.is_empty() || random.chance(200) { &all } else { &fitting };
    let outcome = of[usize::try_from(random.below(25)).unwrap() % of.len()].clone();
    let effect = open.map_or_else(|| EffectId::numbered(random.below(50)), |open| open.id);
    match random.below(12) {
        0 => Input::Started { epoch: Epoch(state.epoch.0 + 1) },
        1 => Input::Tick,
        2 => {
            let spec = Box::new(scenario.spec.clone());
            let request = format!("s{}", random.below(5)).parse().expect("an id");
            Input::Command {
                request,
                actor: scenario.spec.owner.clone(),
                command: Command::Start { spec },
            }
        }
        3 => {
            let found = [Found::Done(outcome), Found::NotDone, Found::Unknown];
            Input::Found { effect, found: found[usize::try_from(random.below(3)).unwrap()].clone() }
        }
        4 | 5 => {
            let Some(unit) = state.units.values().next() else { return Input::Tick };
            let seen = [
                Observation::TurnEnded,
                Observation::Exited,
                Observation::Context { percent: 200 },
                Observation::Limited { until: Time(u64::MAX) },
                Observation::Saw { message: MessageId::numbered(random.below(4)) },
                Observation::Used {
                    usage: Usage { tokens: u64::MAX, money_micros: u64::MAX, calls: u64::MAX },
                },
                Observation::Status { status: Status { steps: 1, checked: 9, revise: 0 } },
            ];
            let observation = seen[usize::try_from(random.below(7)).unwrap()].clone();
            Input::Observed { conversation: unit.conversation(), observation }
        }
        6 => {
            let mut client = Client::default();
            let asked = match random.chance(200) {
                true => Some(client.want_integration(random)),
                false => client.whim(random, state, 0..13),
            };
            let Some(asked) = asked else { return Input::Tick };
            let request = format!("n{}", random.below(1_000)).parse().expect("an id");
            Input::Command { request, actor: asked.actor, command: asked.command }
        }
        _ => Input::Outcome { effect, outcome },
    }
}
