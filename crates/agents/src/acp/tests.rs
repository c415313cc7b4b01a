use std::path::Path;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::launch::{Gateway, Hands};

fn said(number: u128, text: &str) -> Said {
    Said { key: Key(Uuid::from_u128(number)), text: text.to_owned() }
}

fn with_task<T>(resume: Option<&str>, then: impl FnOnce(&Task<'_>) -> T) -> T {
    let gateway = Gateway {
        name: "cell".into(),
        program: "/tools".into(),
        arguments: vec!["--lane".into()],
        variables: vec![("TOKEN".into(), "secret".into())],
    };
    then(&Task {
        program: Path::new("agent"),
        directory: Path::new("/empty"),
        home: Path::new("/home"),
        model: Some("best"),
        instructions: "Work.",
        gateway: &gateway,
        hands: Hands::Gateway,
        resume,
    })
}

fn hear(acp: &mut Acp, line: &Value) -> Heard {
    acp.hear(line.to_string().as_bytes())
}

fn sent(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}

/// One that has been told the first message; with it, the request that told it.
fn working(told: Told) -> (Acp, Value) {
    let mut acp = with_task(None, |task| Acp::new(task, told));
    let greeting = sent(&acp.open(&said(1, "work"))[0]);
    assert_eq!(greeting["params"]["clientCapabilities"]["terminal"], false);
    assert_eq!(acp.say(&said(2, "early")), Err(NotNow::Opening));
    let greeted = hear(&mut acp, &json!({"id": 1, "result": {"protocolVersion": 1}})).reply;
    let session = sent(&greeted[0]);
    assert_eq!(session["method"], "session/new");
    let server = json!({"name": "cell", "command": "/tools", "args": ["--lane"],
        "env": [{"name": "TOKEN", "value": "secret"}]});
    assert_eq!(session["params"]["mcpServers"], json!([server]));
    let opened = hear(
        &mut acp,
        &json!({"id": 2, "result": {"sessionId": "s", "configOptions": [
        {"id": "which", "category": "model", "currentValue": "cheap"}]}}),
    );
    assert_eq!(opened.events, [Event::Opened { session: "s".into(), tools: None }]);
    let choice = sent(&opened.reply[0]);
    let chosen = json!({"sessionId": "s", "configId": "which", "value": "best"});
    assert_eq!(
        (&choice["method"], &choice["params"]),
        (&json!("session/set_config_option"), &chosen)
    );
    let prompt = hear(&mut acp, &json!({"id": 3, "result": {}})).reply;
    (acp, sent(&prompt[0]))
}

fn update(update: &Value) -> Value {
    json!({"method": "session/update", "params": {"sessionId": "s", "update": update}})
}

fn answer(prompt: &Value, reason: &str) -> Value {
    json!({"id": prompt["id"], "result": {"stopReason": reason}})
}

#[test]
fn instructions_come_first_where_a_launch_cannot_tell_them() {
    let text = |prompt: &Value| prompt["params"]["prompt"][0]["text"].as_str().unwrap().to_owned();
    let (mut waiting, prompt) = working(Told::Waiting);
    assert!(text(&prompt).ends_with("Work.\n\n---\n\nwork"), "{prompt}");
    assert_eq!(key_of(&text(&prompt)), Some(said(1, "").key));
    assert_eq!(waiting.say(&said(2, "left")), Err(NotNow::Working));
    hear(&mut waiting, &answer(&prompt, "end_turn"));
    let later = sent(&waiting.say(&said(2, "left")).unwrap()[0]);
    assert!(!text(&later).contains("Work."), "once");
    let (_, prompt) = working(Told::Folding);
    assert!(!text(&prompt).contains("Work."), "{prompt}");
}

#[test]
fn a_turn_is_over_when_every_prompt_is_answered() {
    let (mut acp, first) = working(Told::Folding);
    let call = json!({"sessionUpdate": "tool_call", "toolCallId": "c", "title": "cell_wait",
        "status": "pending", "rawInput": {}});
    assert_eq!(hear(&mut acp, &update(&call)).events, [Event::Taken { key: said(1, "").key }]);
    let second = sent(&acp.say(&said(2, "left")).unwrap()[0]);
    let call = json!({"sessionUpdate": "tool_call_update", "toolCallId": "c",
        "status": "in_progress", "rawInput": {"a": 1}});
    let called = Event::Called {
        call: "c".into(),
        tool: "cell_wait".into(),
        arguments: r#"{"a":1}"#.into(),
    };
    assert_eq!(hear(&mut acp, &update(&call)).events, [called]);
    let call =
        json!({"sessionUpdate": "tool_call_update", "toolCallId": "c", "status": "completed"});
    assert_eq!(
        hear(&mut acp, &update(&call)).events,
        [Event::Answered { call: "c".into(), failed: false }]
    );
    for part in ["All ", "done."] {
        let chunk = json!({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": part}});
        assert_eq!(hear(&mut acp, &update(&chunk)).events, []);
    }
    // Some agents answer the first when the second is sent, or cancel it.
    let said_it = Event::Said { text: "All done.".into() };
    assert_eq!(hear(&mut acp, &answer(&first, "cancelled")).events, [said_it]);
    let end = Event::Ended(End::Completed { text: "All done.".into() });
    assert_eq!(
        hear(&mut acp, &answer(&second, "end_turn")).events,
        [Event::Taken { key: said(2, "").key }, end]
    );
    assert_eq!(acp.interrupt(), Err(NotNow::Idle));
}

#[test]
fn what_is_not_proved_is_not_claimed() {
    let (mut acp, first) = working(Told::Folding);
    let second = sent(&acp.say(&said(2, "left")).unwrap()[0]);
    // With two of them, work proves neither.
    let thought = json!({"sessionUpdate": "agent_thought_chunk"});
    assert_eq!(hear(&mut acp, &update(&thought)).events, []);
    let cancel = sent(&acp.interrupt().unwrap()[0]);
    assert_eq!((&cancel["method"], cancel.get("id")), (&json!("session/cancel"), None));
    assert_eq!(hear(&mut acp, &answer(&second, "cancelled")).events, []);
    assert_eq!(
        hear(&mut acp, &answer(&first, "cancelled")).events,
        [Event::Ended(End::Interrupted)]
    );

    // What is refused as a request was not used; what fails may have been.
    let (mut acp, first) = working(Told::Folding);
    let second = sent(&acp.say(&said(2, "left")).unwrap()[0]);
    let refused = |prompt: &Value, code: i64| json!({"id": prompt["id"], "error": {"code": code, "message": "no"}});
    let dropped = Event::Dropped { key: said(2, "").key };
    assert_eq!(hear(&mut acp, &refused(&second, -32600)).events, [dropped]);
    let end = Event::Ended(End::Failed { failure: Failure::Unknown, text: "no".into() });
    assert_eq!(hear(&mut acp, &refused(&first, -32603)).events, [end]);
}

#[test]
fn nothing_is_permitted_but_the_gateways_tools() {
    let (mut acp, _) = working(Told::Folding);
    assert!(acp.works().is_some());
    let options =
        json!([{"optionId": "y", "kind": "allow_once"}, {"optionId": "n", "kind": "reject_once"}]);
    let mut ask = |title: &str, kind: &str| {
        let heard = hear(
            &mut acp,
            &json!({"id": 9, "method": "session/request_permission",
            "params": {"toolCall": {"title": title, "kind": kind}, "options": options}}),
        );
        let option = sent(&heard.reply[0])["result"]["outcome"]["optionId"].clone();
        // Each is another call.
        acp.calls.clear();
        (option == json!("y"), heard.events)
    };
    let called = |title: &str| {
        vec![Event::Called { call: String::new(), tool: title.into(), arguments: String::new() }]
    };
    for title in ["cell_wait", "mcp__cell__wait", "cell__run-it", "wait (cell MCP Server)"] {
        assert_eq!(ask(title, "other"), (true, called(title)), "{title}");
    }
    for (title, kind) in [
        ("cell_wait", "execute"),
        ("cell_wait; rm", "other"),
        ("rm cell_wait", "other"),
        ("cell_", "other"),
        ("rm x (cell MCP Server)", "other"),
        ("wait (another MCP Server)", "other"),
        ("cell", "other"),
        ("bash", "other"),
        ("", "other"),
    ] {
        let denied = vec![Event::Denied { what: title.into() }];
        assert_eq!(ask(title, kind), (false, denied), "{title}");
    }
    let heard = hear(&mut acp, &json!({"id": 9, "method": "fs/read_text_file", "params": {}}));
    assert_eq!(sent(&heard.reply[0])["error"]["code"], -32601);
    assert_eq!(heard.events, [Event::Denied { what: "fs/read_text_file".into() }]);
}

#[test]
fn a_session_that_cannot_be_opened_is_an_end() {
    let fails = |lines: &[Value], resume: Option<&str>| {
        let mut acp = with_task(resume, |task| Acp::new(task, Told::Folding));
        acp.open(&said(1, "work"));
        let mut last = Vec::new();
        for line in lines {
            last = hear(&mut acp, line).events;
        }
        let [Event::Ended(End::Failed { failure, .. })] = &*last else { panic!("{last:?}") };
        assert_eq!(acp.say(&said(2, "more")), Err(NotNow::Opening));
        *failure
    };
    let greeted = json!({"id": 1, "result": {"protocolVersion": 1}});
    let login = json!({"id": 2, "error": {"code": -32000, "message": "log in"}});
    assert_eq!(fails(&[greeted.clone(), login], None), Failure::Access);
    assert_eq!(
        fails(&[json!({"id": 1, "result": {"protocolVersion": 2}})], None),
        Failure::Unknown
    );
    assert_eq!(fails(&[greeted], Some("s")), Failure::Unknown);
}

#[test]
fn a_conversation_is_searched_by_loading_it() {
    let mut replay = with_task(Some("s"), Replay::new);
    assert_eq!(sent(&replay.open()[0])["method"], "initialize");
    let can = json!({"id": 1, "result": {"protocolVersion": 1, "agentCapabilities": {"loadSession": true}}});
    let load = sent(&replay.hear(can.to_string().as_bytes())[0]);
    assert_eq!(
        (&load["method"], &load["params"]["sessionId"]),
        (&json!("session/load"), &json!("s"))
    );
    for text in [marked(&said(1, "work")), "by somebody else".into(), marked(&said(2, "left"))] {
        let chunk = json!({"sessionUpdate": "user_message_chunk", "content": {"type": "text", "text": text}});
        assert_eq!(replay.hear(update(&chunk).to_string().as_bytes()), Vec::<String>::new());
    }
    assert_eq!(replay.finished(), None, "more may come");
    replay.hear(json!({"id": 2, "result": {}}).to_string().as_bytes());
    assert_eq!(replay.finished(), Some(Ok(&[said(1, "").key, said(2, "").key][..])));

    let mut replay = with_task(Some("s"), Replay::new);
    replay.open();
    replay.hear(json!({"id": 1, "result": {"protocolVersion": 1}}).to_string().as_bytes());
    assert_eq!(replay.finished(), Some(Err("it does not load conversations")));
}

proptest! {
    #[test]
    fn whatever_it_says_does_no_harm(lines: Vec<Vec<u8>>) {
        let (mut acp, _) = working(Told::Folding);
        for line in lines {
            let _ = acp.hear(&line);
        }
    }
}
