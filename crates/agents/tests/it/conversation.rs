use std::time::{Duration, Instant};

use agent_lab::model::Step;
use agents::{Adapter, End, Event, Failure, Spending, Steering, Surviving};
use serde_json::json;

use crate::rig::{PATIENCE, Rig, said};

/// A tool that takes its time, then the end.
fn waits(milliseconds: u64) -> impl Fn(&[String]) -> Step + Send + Sync + 'static {
    move |results: &[String]| match results {
        [] => Step::Call("wait".into(), json!({"milliseconds": milliseconds})),
        _ => Step::Say("All done.".into()),
    }
}

/// The tokens that a conversation had cost when that was told last.
fn spent(events: &[Event]) -> Option<u64> {
    events.iter().rev().find_map(|event| match event {
        Event::Spent(usage) => Some(usage.input + usage.output),
        _ => None,
    })
}

fn is_end(event: &Event) -> bool {
    matches!(event, Event::Ended(_))
}

fn is_call(event: &Event) -> bool {
    matches!(event, Event::Called { .. })
}

/// What the model was sent, as text.
fn asked(rig: &Rig) -> String {
    rig.model.requests().iter().map(ToString::to_string).collect()
}

fn an_agent_is_steered_while_it_works(agent: Adapter) {
    assert_eq!(agent.capabilities().steering, Steering::Folds);
    let mut rig = Rig::start(agent, waits(4000));
    let (first, steer, later) = (said(1, "Begin."), said(2, "Turn left."), said(3, "Go on."));
    let opening = rig.dialogue.open(&first);
    rig.write(opening);
    let begun = rig.until(is_call);
    assert!(begun.iter().any(|event| matches!(event, Event::Opened { .. })), "{begun:#?}");
    assert!(begun.contains(&Event::Taken { key: first.key }), "{begun:#?}");
    let called = begun.iter().find(|event| is_call(event));
    let Some(Event::Called { tool, arguments, .. }) = called else { panic!("{begun:#?}") };
    assert!(tool.ends_with("wait") && arguments.contains("4000"), "{tool} {arguments}");

    let lines = rig.dialogue.say(&steer).unwrap();
    rig.write(lines);
    let rest = rig.until(is_end);
    let position = |wanted: &Event| rest.iter().position(|event| event == wanted);
    let taken = position(&Event::Taken { key: steer.key });
    let end = position(&Event::Ended(End::Completed { text: "All done.".into() }));
    assert!(taken.is_some() && taken < end, "{rest:#?}");
    assert!(rest.iter().any(|event| matches!(event, Event::Answered { failed: false, .. })));
    // Two requests of 10 and 5 tokens; or two prompts, each told with the last of them.
    assert_eq!(spent(&rest), Some(30));
    assert!(asked(&rig).contains("Turn left."));

    // What it is told when it has ended opens another turn.
    let lines = rig.dialogue.say(&later).unwrap();
    rig.write(lines);
    let more = rig.until(is_end);
    assert!(more.contains(&Event::Taken { key: later.key }), "{more:#?}");
    assert_eq!(rig.calls(), 1);
    rig.end();
}

fn an_agent_is_interrupted(agent: Adapter) {
    let mut rig = Rig::start(agent, waits(5000));
    let opening = rig.dialogue.open(&said(1, "Begin."));
    rig.write(opening);
    rig.until(is_call);
    let lines = rig.dialogue.interrupt().unwrap();
    rig.write(lines);
    let rest = rig.until(is_end);
    assert!(rest.contains(&Event::Ended(End::Interrupted)), "{rest:#?}");
    assert_eq!(agent.capabilities().interrupted, Surviving::GoesOn);
    let deadline = Instant::now() + PATIENCE;
    while !rig.path().join("calls.done").exists() {
        assert!(Instant::now() < deadline, "the tool did not go on");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn a_provider_that_refuses_is_told(agent: Adapter) {
    let refuses = |_: &[String]| Step::Fail(401, "authentication_error");
    let mut rig = Rig::start(agent, refuses);
    let opening = rig.dialogue.open(&said(1, "Begin."));
    rig.write(opening);
    let rest = rig.until(is_end);
    let Some(Event::Ended(End::Failed { failure, text })) = rest.last() else {
        panic!("{rest:#?}")
    };
    let told = match agent {
        // It says that the provider refused, and not how.
        Adapter::OpenCode => Failure::Unknown,
        _ => Failure::Access,
    };
    assert_eq!((*failure, text.is_empty()), (told, false), "{text}");
}

/// What the model is offered: nothing but the gateway's, in a cell.
fn no_tool_is_offered_but_the_gateways(agent: Adapter) {
    let mut rig = Rig::start(agent, waits(0));
    let opening = rig.dialogue.open(&said(1, "Begin."));
    rig.write(opening);
    let all = rig.until(is_end);
    let tokens = match agent.capabilities().spending {
        // Those of the last request.
        Spending::MoneyAtEnd => 15,
        _ => 30,
    };
    assert_eq!(spent(&all), Some(tokens), "{all:#?}");
    let requests = rig.model.requests();
    assert!(asked(&rig).contains("You work."), "the instructions arrive");
    let mut offered: Vec<String> = Vec::new();
    for tool in
        requests.iter().flat_map(|request| request["tools"].as_array().into_iter().flatten())
    {
        let inner = tool["tools"].as_array().into_iter().flatten();
        offered.extend(
            inner
                .chain([tool, &tool["function"]])
                .filter_map(|tool| Some(tool["name"].as_str()?.to_owned())),
        );
    }
    offered.sort();
    offered.dedup();
    let expected = match agent {
        Adapter::ClaudeCode => vec!["mcp__cell__wait"],
        // What reads the gateway's resources, and a question that is declined.
        Adapter::Codex => vec![
            "list_mcp_resource_templates",
            "list_mcp_resources",
            "mcp__cell",
            "read_mcp_resource",
            "request_user_input",
            "wait",
        ],
        _ => vec!["cell_wait"],
    };
    assert_eq!(offered, expected);
}

#[test]
fn claude_is_steered_while_it_works() {
    an_agent_is_steered_while_it_works(Adapter::ClaudeCode);
}

#[test]
fn codex_is_steered_while_it_works() {
    an_agent_is_steered_while_it_works(Adapter::Codex);
}

#[test]
fn opencode_is_steered_while_it_works() {
    an_agent_is_steered_while_it_works(Adapter::OpenCode);
}

#[test]
fn pi_is_steered_while_it_works() {
    an_agent_is_steered_while_it_works(Adapter::Pi);
}

#[test]
fn claude_is_interrupted() {
    an_agent_is_interrupted(Adapter::ClaudeCode);
}

#[test]
fn codex_is_interrupted() {
    an_agent_is_interrupted(Adapter::Codex);
}

#[test]
fn opencode_is_interrupted() {
    an_agent_is_interrupted(Adapter::OpenCode);
}

#[test]
fn pi_is_interrupted() {
    an_agent_is_interrupted(Adapter::Pi);
}

#[test]
fn claude_tells_that_its_provider_refuses() {
    a_provider_that_refuses_is_told(Adapter::ClaudeCode);
}

#[test]
fn codex_tells_that_its_provider_refuses() {
    a_provider_that_refuses_is_told(Adapter::Codex);
}

#[test]
fn opencode_tells_that_its_provider_refuses() {
    a_provider_that_refuses_is_told(Adapter::OpenCode);
}

#[test]
fn pi_tells_that_its_provider_refuses() {
    a_provider_that_refuses_is_told(Adapter::Pi);
}

#[test]
fn claude_is_offered_no_tool_but_the_gateways() {
    no_tool_is_offered_but_the_gateways(Adapter::ClaudeCode);
}

#[test]
fn codex_is_offered_no_tool_but_the_gateways() {
    no_tool_is_offered_but_the_gateways(Adapter::Codex);
}

#[test]
fn opencode_is_offered_no_tool_but_the_gateways() {
    no_tool_is_offered_but_the_gateways(Adapter::OpenCode);
}

#[test]
fn pi_is_offered_no_tool_but_the_gateways() {
    no_tool_is_offered_but_the_gateways(Adapter::Pi);
}
