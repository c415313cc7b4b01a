use std::path::Path;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::launch::Gateway;

fn said(number: u128, text: &str) -> Said {
    Said { key: Key(Uuid::from_u128(number)), text: text.to_owned() }
}

fn with_task<T>(then: impl FnOnce(&Task<'_>) -> T) -> T {
    let gateway = Gateway {
        name: "cell".into(),
        program: "/opt/tools \"quoted\"".into(),
        arguments: vec!["--lane".into(), "1".into()],
        variables: vec![("TOKEN".into(), "a = \"b\"\n".into())],
    };
    then(&Task {
        program: Path::new("codex"),
        directory: Path::new("/empty"),
        home: Path::new("/home"),
        model: Some("mock"),
        instructions: "Work.",
        gateway: &gateway,
        hands: Hands::Gateway,
        resume: None,
    })
}

fn hear(codex: &mut Codex, line: &Value) -> Heard {
    codex.hear(line.to_string().as_bytes())
}

fn sent(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}

/// One that is at work in the turn `turn-1`.
fn working() -> Codex {
    let mut codex = with_task(Codex::new);
    let first = said(1, "work");
    let greeting = codex.open(&first);
    assert_eq!(sent(&greeting[0])["method"], "initialize");
    assert_eq!(codex.say(&first), Err(NotNow::Opening));
    let started = hear(&mut codex, &json!({"id": 1, "result": {}})).reply;
    assert_eq!(sent(&started[0]), json!({"method": "initialized"}));
    assert_eq!(sent(&started[1])["params"]["baseInstructions"], "Work.");
    let opened = hear(&mut codex, &json!({"id": 2, "result": {"thread": {"id": "thread-1"}}}));
    assert_eq!(opened.events, [Event::Opened { session: "thread-1".into(), tools: None }]);
    let turn = sent(&opened.reply[0]);
    assert_eq!(turn["params"]["clientUserMessageId"], json!(first.key));
    let begun = json!({"method": "turn/started",
        "params": {"threadId": "thread-1", "turn": {"id": "turn-1"}}});
    assert_eq!(hear(&mut codex, &begun), Heard::default());
    codex
}

fn over(status: &str) -> Value {
    json!({"method": "turn/completed",
        "params": {"threadId": "thread-1", "turn": {"id": "turn-1", "status": status}}})
}

#[test]
fn settings_are_written_as_they_are_meant() {
    let launch = with_task(|task| launch(task, None));
    let read: toml_edit::DocumentMut = launch.files[0].content.parse().unwrap();
    let server = &read["mcp_servers"]["cell"];
    assert_eq!(server["command"].as_str(), Some("/opt/tools \"quoted\""));
    assert_eq!(server["env"]["TOKEN"].as_str(), Some("a = \"b\"\n"));
    assert_eq!(server["required"].as_bool(), Some(true));
    assert_eq!(read["sandbox_mode"].as_str(), Some("read-only"));
    assert_eq!(read["features"]["shell_tool"].as_bool(), Some(false));
}

#[test]
fn an_accepted_steer_is_not_a_taken_one() {
    let mut codex = working();
    let steer = said(2, "turn left");
    let line = sent(&codex.say(&steer).unwrap()[0]);
    assert_eq!(
        (&line["method"], &line["params"]["expectedTurnId"]),
        (&json!("turn/steer"), &json!("turn-1"))
    );
    let accepted = hear(&mut codex, &json!({"id": line["id"], "result": {"turnId": "turn-1"}}));
    assert_eq!(accepted, Heard::default());
    let taken = json!({"method": "item/started", "params": {"threadId": "thread-1",
        "item": {"type": "userMessage", "clientId": steer.key}}});
    assert_eq!(hear(&mut codex, &taken).events, [Event::Taken { key: steer.key }]);
    // That of a sub-agent's thread is not ours.
    let elsewhere = json!({"method": "item/started", "params": {"threadId": "thread-2",
        "item": {"type": "userMessage", "clientId": steer.key}}});
    assert_eq!(hear(&mut codex, &elsewhere).events, []);
}

#[test]
fn a_steer_that_comes_too_late_opens_a_turn() {
    let mut codex = working();
    let steer = said(2, "turn left");
    let line = sent(&codex.say(&steer).unwrap()[0]);
    hear(&mut codex, &over("completed"));
    let refused =
        json!({"id": line["id"], "error": {"code": -32600, "message": "no active turn to steer"}});
    let again = sent(&hear(&mut codex, &refused).reply[0]);
    assert_eq!(again["method"], "turn/start");
    assert_eq!(again["params"]["clientUserMessageId"], json!(steer.key));
}

#[test]
fn turns_end_in_several_ways() {
    let mut codex = working();
    let message = json!({"method": "item/completed", "params": {"threadId": "thread-1",
        "item": {"type": "agentMessage", "text": "Done."}}});
    hear(&mut codex, &message);
    let end = Event::Ended(End::Completed { text: "Done.".into() });
    assert_eq!(hear(&mut codex, &over("completed")).events, [end]);
    assert_eq!(codex.interrupt(), Err(NotNow::Idle));

    let mut codex = working();
    let line = sent(&codex.interrupt().unwrap()[0]);
    assert_eq!(line["params"]["turnId"], "turn-1");
    assert_eq!(hear(&mut codex, &over("interrupted")).events, [Event::Ended(End::Interrupted)]);

    let mut codex = working();
    let mut failed = over("failed");
    failed["params"]["turn"]["error"] =
        json!({"message": "full", "codexErrorInfo": "contextWindowExceeded"});
    let failure = Failure::Overflow;
    let end = Event::Ended(End::Failed { failure, text: "full".into() });
    assert_eq!(hear(&mut codex, &failed).events, [end]);
}

#[test]
fn questions_are_answered_or_its_turn_would_stand_still() {
    let mut codex = working();
    for (method, answer) in [
        ("item/commandExecution/requestApproval", json!({"decision": "decline"})),
        ("mcpServer/elicitation/request", json!({"action": "decline"})),
    ] {
        let heard = hear(&mut codex, &json!({"id": 7, "method": method, "params": {}}));
        assert_eq!(sent(&heard.reply[0])["result"], answer);
        assert_eq!(heard.events, [Event::Denied { what: method.into() }]);
    }
    let heard = hear(&mut codex, &json!({"id": 8, "method": "something/new"}));
    assert_eq!(sent(&heard.reply[0])["error"]["code"], -32601);
}

proptest! {
    #[test]
    fn whatever_it_says_does_no_harm(lines: Vec<Vec<u8>>) {
        let mut codex = working();
        for line in lines {
            let _ = codex.hear(&line);
        }
    }
}
