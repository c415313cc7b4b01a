//! Any agent that speaks the Agent Client Protocol, by one that Hotcell has no adapter
//! of its own for: Gemini's command line, which cancels a prompt when another one comes.

use agent_lab::model::Step;
use agents::{Adapter, End, Event, NotNow};
use serde_json::json;

use crate::rig::{Rig, said};

fn is_end(event: &Event) -> bool {
    matches!(event, Event::Ended(_))
}

#[test]
fn it_works_with_the_gateway_and_is_permitted_nothing_else() {
    let script = |results: &[String]| match results {
        [] => Step::Insist(
            "run_shell_command".into(),
            json!({"command": "touch ran", "description": "x"}),
        ),
        [_] => Step::Call("wait".into(), json!({"milliseconds": 1000})),
        _ => Step::Say("All done.".into()),
    };
    let mut rig = Rig::start(Adapter::Acp, script);
    let (first, later) = (said(1, "Begin."), said(2, "Go on."));
    let opening = rig.dialogue.open(&first);
    rig.write(opening);
    let mut all = rig.until(|event| matches!(event, Event::Called { .. }));
    assert_eq!(rig.dialogue.say(&later), Err(NotNow::Working));
    all.extend(rig.until(is_end));
    assert_eq!(all.last(), Some(&Event::Ended(End::Completed { text: "All done.".into() })));
    assert!(all.contains(&Event::Taken { key: first.key }), "{all:#?}");
    assert!(all.iter().any(|event| matches!(event, Event::Denied { .. })), "{all:#?}");
    assert_eq!((rig.calls(), rig.path().join("empty/ran").exists()), (1, false));
    let asked: String = rig.model.requests().iter().map(ToString::to_string).collect();
    assert!(asked.contains("You work."), "the instructions arrive");
    let lines = rig.dialogue.say(&later).unwrap();
    rig.write(lines);
    let more = rig.until(is_end);
    assert!(more.contains(&Event::Taken { key: later.key }), "{more:#?}");
}

#[test]
fn it_is_interrupted() {
    let slow = |_: &[String]| Step::Call("wait".into(), json!({"milliseconds": 120_000}));
    let mut rig = Rig::start(Adapter::Acp, slow);
    let opening = rig.dialogue.open(&said(1, "Begin."));
    rig.write(opening);
    rig.until(|event| matches!(event, Event::Called { .. }));
    let lines = rig.dialogue.interrupt().unwrap();
    rig.write(lines);
    let rest = rig.until(is_end);
    assert!(rest.contains(&Event::Ended(End::Interrupted)), "{rest:#?}");
}
