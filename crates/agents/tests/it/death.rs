//! What is known after an agent was killed, and that its conversation can be gone on
//! with: a message that its records do not have is sent again, and no other.

use std::time::{Duration, Instant};

use agent_lab::model::Step;
use agents::{Adapter, Event, Receipts, Record, Waiting};
use serde_json::json;

use crate::rig::{PATIENCE, Rig, Start, said};

#[track_caller]
fn eventually(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never is so");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn is_end(event: &Event) -> bool {
    matches!(event, Event::Ended(_))
}

/// How often a text is in what the model was last sent.
fn seen(rig: &Rig, text: &str) -> usize {
    // Requests for titles have no tools.
    let requests = rig.model.requests();
    let last = requests.iter().rfind(|request| request["tools"].is_array());
    last.map_or(0, |request| request.to_string().matches(text).count())
}

fn a_message_is_told_once_over_a_kill(adapter: Adapter) {
    let slow = |results: &[String]| match results {
        [] => Step::Call("wait".into(), json!({"milliseconds": 120_000})),
        _ => Step::Say("All done.".into()),
    };
    let start = Start::of(adapter);
    let mut rig = Rig::start_as(&start, slow);
    let (first, steer, later) = (said(1, "Begin."), said(2, "Turn left."), said(3, "Go on."));
    let opening = rig.dialogue.open(&first);
    rig.write(opening);
    let begun = rig.until(|event| matches!(event, Event::Called { .. }));
    let session = begun.iter().find_map(|event| match event {
        Event::Opened { session, .. } => Some(session.clone()),
        _ => None,
    });
    let start = Start { resume: session.as_deref(), ..start };
    let lines = rig.dialogue.say(&steer).unwrap();
    rig.write(lines);
    match adapter.capabilities().waiting {
        Waiting::Kept => eventually(|| start.taken().contains(&steer.key)),
        // It is killed with the message, or before it has read it.
        Waiting::Lost | Waiting::Never => std::thread::sleep(Duration::from_millis(500)),
    }
    rig.kill();

    let taken = start.taken();
    assert!(taken.contains(&first.key), "{taken:?}");
    let is_taken = taken.contains(&steer.key);
    assert_eq!(is_taken, adapter.capabilities().waiting == Waiting::Kept);
    let opens = if is_taken { &later } else { &steer };
    let mut rig = Rig::start_as(&start, |_: &[String]| Step::Say("All done.".into()));
    let opening = rig.dialogue.open(opens);
    rig.write(opening);
    let rest = rig.until(is_end);
    assert!(rest.contains(&Event::Taken { key: opens.key }), "{rest:#?}");
    assert_eq!((seen(&rig, "Begin."), seen(&rig, "Turn left.")), (1, 1), "{is_taken}");
    rig.kill();
    assert!(start.taken().contains(&steer.key));

    // Once more with the same key, in another process.
    let mut rig = Rig::start_as(&start, |_: &[String]| Step::Say("All done.".into()));
    let opening = rig.dialogue.open(&steer);
    rig.write(opening);
    let rest = rig.until(is_end);
    assert!(rest.contains(&Event::Taken { key: steer.key }), "{rest:#?}");
    let expected = match adapter.capabilities().receipts {
        // Its model is not even asked.
        Receipts::Dedupes => 0,
        _ => 2,
    };
    assert_eq!(seen(&rig, "Turn left."), expected);
}

/// Whether it tells only at the end of a turn that it took something in it.
const fn is_late(adapter: Adapter) -> bool {
    matches!(adapter, Adapter::OpenCode)
}

/// What was taken in the middle of a turn is on record when the model has gone on.
fn what_is_taken_at_work_survives_a_kill(adapter: Adapter) {
    let slow = |results: &[String]| match results {
        [] => Step::Call("wait".into(), json!({"milliseconds": 3000})),
        [_] => Step::Call("wait".into(), json!({"milliseconds": 120_000})),
        _ => Step::Say("All done.".into()),
    };
    let start = Start::of(adapter);
    let mut rig = Rig::start_as(&start, slow);
    let (first, steer) = (said(1, "Begin."), said(2, "Turn left."));
    let opening = rig.dialogue.open(&first);
    rig.write(opening);
    let begun = rig.until(|event| matches!(event, Event::Called { .. }));
    let lines = rig.dialogue.say(&steer).unwrap();
    rig.write(lines);
    let rest = rig.until(|event| matches!(event, Event::Called { .. } | Event::Ended(_)));
    assert!(rest.contains(&Event::Taken { key: steer.key }) || is_late(adapter), "{rest:#?}");
    // Some write it down when they have told it already.
    if let Record::Files { .. } = adapter.record() {
        eventually(|| start.taken().contains(&steer.key));
    }
    rig.kill();
    let session = begun.iter().find_map(|event| match event {
        Event::Opened { session, .. } => Some(&**session),
        _ => None,
    });
    let start = Start { resume: session, ..start };
    let taken = start.taken();
    assert!(taken.contains(&first.key) && taken.contains(&steer.key), "{taken:?}");
}

#[test]
fn claude_is_told_once_over_a_kill() {
    a_message_is_told_once_over_a_kill(Adapter::ClaudeCode);
}

#[test]
fn codex_is_told_once_over_a_kill() {
    a_message_is_told_once_over_a_kill(Adapter::Codex);
}

#[test]
fn opencode_is_told_once_over_a_kill() {
    a_message_is_told_once_over_a_kill(Adapter::OpenCode);
}

#[test]
fn pi_is_told_once_over_a_kill() {
    a_message_is_told_once_over_a_kill(Adapter::Pi);
}

#[test]
fn claude_has_on_record_what_it_took_at_work() {
    what_is_taken_at_work_survives_a_kill(Adapter::ClaudeCode);
}

#[test]
fn codex_has_on_record_what_it_took_at_work() {
    what_is_taken_at_work_survives_a_kill(Adapter::Codex);
}

#[test]
fn opencode_has_on_record_what_it_took_at_work() {
    what_is_taken_at_work_survives_a_kill(Adapter::OpenCode);
}

#[test]
fn pi_has_on_record_what_it_took_at_work() {
    what_is_taken_at_work_survives_a_kill(Adapter::Pi);
}
