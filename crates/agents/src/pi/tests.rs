use std::path::Path;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::launch::Gateway;

fn said(number: u128, text: &str) -> Said {
    Said { key: Key(Uuid::from_u128(number)), text: text.to_owned() }
}

fn hear(pi: &mut Pi, line: &Value) -> Heard {
    pi.hear(line.to_string().as_bytes())
}

fn sent(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}

fn assistant(reason: &str, rest: &Value) -> Value {
    let mut message = json!({"role": "assistant", "stopReason": reason,
        "content": [{"type": "text", "text": "Done."}]});
    message.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    json!({"type": "message_end", "message": message})
}

/// One that is at work on a message.
fn working() -> Pi {
    let mut pi = Pi::default();
    assert_eq!(pi.say(&said(2, "early")), Err(NotNow::Opening));
    let lines = pi.open(&said(1, "/work"));
    assert_eq!(sent(&lines[0])["type"], "get_state");
    let prompt = sent(&lines[1]);
    assert_eq!(
        (&prompt["type"], &prompt["streamingBehavior"]),
        (&json!("prompt"), &json!("steer"))
    );
    assert!(!prompt["message"].as_str().unwrap().starts_with('/'), "no command");
    let state = json!({"type": "response", "command": "get_state", "success": true,
        "data": {"sessionId": "s"}});
    let opened = Event::Opened { session: "s".into(), tools: None };
    assert_eq!(hear(&mut pi, &state).events, [opened]);
    hear(&mut pi, &json!({"type": "agent_start"}));
    pi
}

/// The end of the turn, which is told when its costs are.
fn settle(pi: &mut Pi) -> Vec<Event> {
    let asked = hear(pi, &json!({"type": "agent_settled"}));
    assert_eq!(
        (sent(&asked.reply[0])["type"].clone(), asked.events),
        (json!("get_session_stats"), vec![])
    );
    let stats = json!({"type": "response", "command": "get_session_stats", "success": true,
        "data": {"tokens": {"input": 20, "output": 10, "cacheRead": 7, "cacheWrite": 1},
            "cost": 0.00004, "contextUsage": {"tokens": 15, "contextWindow": 1000}}});
    hear(pi, &stats).events
}

#[test]
fn a_message_is_taken_when_it_comes_back() {
    let mut pi = working();
    let steer = said(2, "left");
    let line = sent(&pi.say(&steer).unwrap()[0]);
    let accepted =
        json!({"type": "response", "id": line["id"], "command": "prompt", "success": true});
    assert_eq!(hear(&mut pi, &accepted).events, [], "accepted is not taken");
    let back = json!({"type": "message_start", "message": {"role": "user",
        "content": [{"type": "text", "text": line["message"]}]}});
    assert_eq!(hear(&mut pi, &back).events, [Event::Taken { key: steer.key }]);
    let end = assistant("stop", &json!({}));
    assert_eq!(hear(&mut pi, &end).events, [Event::Said { text: "Done.".into() }]);
    // It may go on after this.
    assert_eq!(hear(&mut pi, &json!({"type": "agent_end", "messages": []})), Heard::default());
    let spent = Usage { input: 21, cached: 7, output: 10, micro_dollars: Some(40) };
    assert_eq!(
        settle(&mut pi),
        [
            Event::Spent(spent),
            Event::Context { used: 15, window: Some(1000) },
            Event::Ended(End::Completed { text: "Done.".into() }),
        ]
    );
    assert_eq!(pi.interrupt(), Err(NotNow::Idle));
}

#[test]
fn an_interruption_gives_up_what_waits() {
    let mut pi = working();
    let steer = sent(&pi.say(&said(2, "left")).unwrap()[0]);
    let lines = pi.interrupt().unwrap();
    assert_eq!(
        (&sent(&lines[0])["type"], &sent(&lines[1])["type"]),
        (&json!("clear_queue"), &json!("abort"))
    );
    assert_eq!(pi.say(&said(3, "right")), Err(NotNow::Working));
    let cleared = json!({"type": "response", "command": "clear_queue", "success": true,
        "data": {"steering": [steer["message"]], "followUp": []}});
    assert_eq!(hear(&mut pi, &cleared).events, [Event::Dropped { key: said(2, "").key }]);
    hear(&mut pi, &assistant("error", &json!({"errorMessage": "This operation was aborted"})));
    assert_eq!(settle(&mut pi).pop(), Some(Event::Ended(End::Interrupted)));
}

#[test]
fn failures_are_told_apart_by_what_helps() {
    for (message, failure) in [
        ("401: {\"type\":\"authentication_error\"}", Failure::Access),
        ("429 slow down", Failure::Limit),
        ("529 overloaded", Failure::Provider),
        ("400: prompt is too long", Failure::Overflow),
        ("No API key found for anthropic", Failure::Access),
        ("it broke", Failure::Unknown),
    ] {
        let mut pi = working();
        hear(&mut pi, &assistant("error", &json!({"errorMessage": message})));
        let end = Event::Ended(End::Failed { failure, text: message.into() });
        assert_eq!(settle(&mut pi).pop(), Some(end));
    }
    // Refused before it began.
    let mut pi = Pi::default();
    pi.open(&said(1, "work"));
    let refused = json!({"type": "response", "id": said(1, "").key, "command": "prompt",
        "success": false, "error": "No API key found"});
    let end = End::Failed { failure: Failure::Access, text: "No API key found".into() };
    assert_eq!(
        hear(&mut pi, &refused).events,
        [Event::Dropped { key: said(1, "").key }, Event::Ended(end)]
    );
}

#[test]
fn what_is_in_the_file_of_a_session_was_taken() {
    let line = |role: &str, content: Value| {
        json!({"type": "message", "message": {"role": role, "content": content}}).to_string()
    };
    let text = |message: &Said| json!([{"type": "text", "text": marked(message)}]);
    let file = [
        r#"{"type":"session","version":3}"#.to_owned(),
        line("user", text(&said(1, "work"))),
        line("assistant", text(&said(3, "a quotation"))),
        line("user", json!(marked(&said(2, "left")))),
        line("user", json!("by hand")),
        "{ torn".to_owned(),
    ];
    assert_eq!(taken(&file.join("\n")), [said(1, "").key, said(2, "").key]);
}

#[test]
fn what_may_be_secret_or_long_is_no_argument_and_nobody_says_yes() {
    let gateway = Gateway {
        name: "cell".into(),
        program: "/tools".into(),
        arguments: Vec::new(),
        variables: vec![("TOKEN".into(), "token-of-the-lane".into())],
    };
    let task = Task {
        program: Path::new("pi"),
        directory: Path::new("/empty"),
        home: Path::new("/home"),
        model: Some("anthropic/best"),
        instructions: "all of the instructions",
        gateway: &gateway,
        hands: Hands::Gateway,
        resume: None,
    };
    let launch = launch(&task, None);
    for kept in ["token-of-the-lane", "all of the instructions"] {
        assert!(!launch.arguments.iter().any(|argument| argument.contains(kept)), "{kept}");
        assert!(launch.files.iter().any(|file| file.content.contains(kept)), "{kept}");
    }
    let mut pi = working();
    let asked = json!({"type": "extension_ui_request", "id": "u", "method": "confirm"});
    let heard = hear(&mut pi, &asked);
    assert_eq!(sent(&heard.reply[0])["cancelled"], true);
    assert_eq!(heard.events, [Event::Denied { what: "confirm".into() }]);
}

proptest! {
    #[test]
    fn whatever_it_says_does_no_harm(lines: Vec<Vec<u8>>) {
        let mut pi = working();
        for line in lines {
            let _ = pi.hear(&line);
        }
    }
}
