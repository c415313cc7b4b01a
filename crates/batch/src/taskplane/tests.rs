//! A small batch in a journal of its own, in which everything goes well but one merge.

use std::fs;
use std::path::Path;

use batch_api::{Actor, BatchId, CommitName, TaskId};
use batch_core::decide::{Command, Input, Observation};
use batch_core::drive::{Engine, Order};
use batch_core::effect::{Action, Outcome};
use batch_core::spec::{BatchSpec, Ceiling, FailurePolicy, Limits, Receipts, UnitSpec};
use batch_core::unit::Status;

use super::*;
use crate::journal::SqliteJournal;

const BATCH: &str = "bat_0190a6f2c3d4750e8f001122334455ff";

fn spec(batch: BatchId) -> BatchSpec {
    let ceiling = Ceiling { time_ms: u64::MAX, tokens: u64::MAX, money_micros: u64::MAX };
    let unit = |task: &str, after: &[&str]| UnitSpec {
        unit: format!("{task}@app/1").parse().unwrap(),
        home: format!("tasks/{task}"),
        after: after.iter().map(|task| task.parse().unwrap()).collect(),
        apart: Vec::new(),
        memory_mib: 0,
    };
    BatchSpec {
        batch,
        owner: "operator:anna".parse().unwrap(),
        lanes: 2,
        memory_mib: None,
        policy: FailurePolicy::SkipDependents,
        receipts: Receipts::Searchable,
        limits: Limits {
            unit: ceiling,
            batch: ceiling,
            stall_ms: 600_000,
            retries: Limits::RETRIES_MAX,
            contexts: 4,
            wait_ms: 600_000,
        },
        units: vec![
            unit("TP-1", &[]),
            unit("TP-2", &["TP-1"]),
            unit("TP-3", &[]),
            unit("TP-4", &["TP-3"]),
        ],
    }
}

/// A world in which a second passes with every turn and all that is asked is done, but
/// that the work of TP-3 conflicts.
struct World {
    engine: Engine<SqliteJournal>,
    now: u64,
    /// What comes in next.
    coming: Vec<Input>,
}

impl World {
    fn live(&mut self, until: impl Fn(&State) -> bool) {
        for _ in 0..500 {
            self.now += 1000;
            let orders = self.engine.turn(Time(self.now), &mut self.coming).unwrap();
            self.coming = orders.into_iter().flat_map(answers).collect();
            if self.engine.state().is_some_and(&until) {
                return;
            }
        }
        panic!("it does not come to that");
    }
}

fn answers(order: Order) -> Vec<Input> {
    let Order::Start(effect) = order else { return Vec::new() };
    let name: CommitName = format!("{:040x}", effect.intended.0).parse().unwrap();
    let is_hard = effect.subject.unit.as_ref().is_some_and(|unit| unit.task.as_str() == "TP-3");
    let outcome = match &effect.action {
        Action::Fence => Outcome::Fenced,
        Action::Prepare { .. } => Outcome::Prepared { base: name },
        Action::Start { .. } => Outcome::Started,
        Action::Inject { .. } => Outcome::Injected,
        Action::Interrupt { .. } => Outcome::Interrupted,
        Action::Stop { .. } => Outcome::Stopped,
        Action::Capture => Outcome::Captured { commit: name.clone(), tree: name },
        Action::Commit => Outcome::Committed { commit: name },
        Action::Merge { .. } if is_hard => Outcome::Conflict,
        Action::Merge { .. } => Outcome::Merged { base: name.clone(), commit: name },
        Action::Verify { .. } => Outcome::Green,
        Action::Advance { .. } => Outcome::Advanced,
        Action::Finish => Outcome::Finished,
        Action::Publish { .. } => Outcome::Published,
        Action::Remove { .. } => Outcome::Removed,
        Action::Integrate { .. } => Outcome::Contained,
    };
    let mut inputs = vec![Input::Outcome { effect: effect.id, outcome }];
    if let Action::Start { conversation, .. } = effect.action {
        let status = Status { steps: 2, checked: 2, revise: 0 };
        for observation in [Observation::Status { status }, Observation::TurnEnded] {
            let conversation = conversation.clone();
            inputs.push(Input::Observed { conversation, observation });
        }
    }
    inputs
}

fn read(directory: &Path) -> (String, String) {
    let read = |name: &str| fs::read_to_string(directory.join("taskplane").join(name)).unwrap();
    (read("batch-state.json"), read("events.jsonl"))
}

#[test]
fn the_files_are_folded_from_the_journal_and_come_out_the_same_again() {
    let directory = tempfile::tempdir().unwrap();
    let batch: BatchId = BATCH.parse().unwrap();
    let journal = SqliteJournal::create(directory.path(), batch).unwrap();
    let engine = Engine::take_over(journal, batch).unwrap();
    let mut world = World { engine, now: 1_770_000_000_000, coming: Vec::new() };
    let files = || {
        let taskplane = directory.path().join("taskplane");
        Files::of(batch, directory.path(), "main".to_owned(), taskplane).unwrap()
    };
    let mut live = files();
    live.update().unwrap();
    let start = Input::Command {
        request: "start".parse().unwrap(),
        actor: Actor::Operator("anna".parse().unwrap()),
        command: Command::Start { spec: Box::new(spec(batch)) },
    };
    let first: TaskId = "TP-1".parse().unwrap();
    let epoch = world.engine.epoch();
    world.coming = vec![Input::Started { epoch }, start];
    world.live(|state| {
        state.units.values().any(|unit| unit.spec.unit.task == first && unit.phase == Phase::Done)
    });
    live.update().unwrap();
    let (state, events) = read(directory.path());
    let told: serde_json::Value = serde_json::from_str(&state).unwrap();
    assert_eq!((&told["phase"], &told["currentWaveIndex"]), (&"executing".into(), &0.into()));
    assert_eq!(told["tasks"][0]["status"], "succeeded");

    // An engine goes on with the files, and one that finds them torn writes them anew.
    let path = directory.path().join("taskplane/events.jsonl");
    world.live(|state| state.ending.is_some());
    live.update().unwrap();
    let whole = read(directory.path());
    assert!(whole.1.starts_with(&events) && whole.1.len() > events.len());
    fs::write(&path, &whole.1[..whole.1.len() - 5]).unwrap();
    live.update().unwrap();
    assert_eq!(read(directory.path()), whole);
    // Neither that people are told, nor that the files are gone, changes them.
    world.live(State::is_over);
    fs::remove_dir_all(directory.path().join("taskplane")).unwrap();
    files().update().unwrap();
    assert_eq!(read(directory.path()), whole);
    insta::assert_snapshot!("events", whole.1);
    insta::assert_snapshot!("state", whole.0);
}
