use std::path::Path;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::launch::Gateway;

fn said(number: u128, text: &str) -> Said {
    Said { key: Key(Uuid::from_u128(number)), text: text.to_owned() }
}

fn hear(claude: &mut Claude, line: &Value) -> Vec<Event> {
    let heard = claude.hear(line.to_string().as_bytes());
    assert_eq!(heard.reply, Vec::<String>::new());
    heard.events
}

#[test]
fn a_turn_is_told_as_what_it_was() {
    let mut claude = Claude::default();
    assert_eq!(claude.say(&said(2, "early")), Err(NotNow::Opening));
    let first = said(1, "work");
    let lines = claude.open(&first);
    assert_eq!(lines.len(), 2);
    let user: Value = serde_json::from_str(&lines[1]).unwrap();
    assert_eq!((&user["uuid"], &user["message"]["content"]), (&json!(first.key), &json!("work")));

    let started =
        json!({"type": "command_lifecycle", "command_uuid": first.key, "state": "started"});
    assert_eq!(hear(&mut claude, &started), [Event::Taken { key: first.key }]);
    let queued = json!({"type": "command_lifecycle", "command_uuid": first.key, "state": "queued"});
    assert_eq!(hear(&mut claude, &queued), []);
    let spoken = json!({"type": "assistant", "parent_tool_use_id": null, "message": {
        "content": [
            {"type": "thinking", "thinking": "…"},
            {"type": "text", "text": "Let me see."},
            {"type": "tool_use", "id": "toolu_1", "name": "mcp__cell__run", "input": {"command": "ls"}},
        ],
        "usage": {"input_tokens": 10, "cache_read_input_tokens": 100, "output_tokens": 5},
    }});
    let events = hear(&mut claude, &spoken);
    assert_eq!(events[0], Event::Said { text: "Let me see.".into() });
    let called = Event::Called {
        call: "toolu_1".into(),
        tool: "mcp__cell__run".into(),
        arguments: r#"{"command":"ls"}"#.into(),
    };
    assert_eq!(events[1..], [called, Event::Context { used: 110, window: None }]);
    let limited = json!({"type": "rate_limit_event", "rate_limit_info": {
        "status": "rejected", "resetsAt": 1_800_000_000, "rateLimitType": "five_hour"}});
    let until = Some(1_800_000_000);
    assert_eq!(hear(&mut claude, &limited), [Event::Limited { until, limit: "five_hour".into() }]);
    let result = json!({"type": "result", "subtype": "success", "is_error": false, "result": "Done.",
        "total_cost_usd": 0.00021, "modelUsage": {"a": {"inputTokens": 20, "outputTokens": 10,
            "cacheReadInputTokens": 7, "cacheCreationInputTokens": 1}}});
    let spent = Usage { input: 21, cached: 7, output: 10, micro_dollars: Some(210) };
    let end = End::Completed { text: "Done.".into() };
    assert_eq!(hear(&mut claude, &result), [Event::Spent(spent), Event::Ended(end)]);
    assert_eq!(claude.interrupt(), Err(NotNow::Idle));
}

#[test]
fn what_it_had_before_opens_no_turn() {
    let mut claude = Claude::default();
    let first = said(1, "work");
    claude.open(&first);
    let state = |state: &str| json!({"type": "command_lifecycle", "command_uuid": first.key, "state": state});
    let end = Event::Ended(End::Completed { text: String::new() });
    assert_eq!(hear(&mut claude, &state("completed")), [Event::Taken { key: first.key }, end]);
    assert_eq!(claude.interrupt(), Err(NotNow::Idle));
    // What is finished in its turn was told as taken.
    claude.say(&first).unwrap();
    assert_eq!(hear(&mut claude, &state("started")), [Event::Taken { key: first.key }]);
    assert_eq!(hear(&mut claude, &state("completed")), []);
}

#[test]
fn what_may_be_secret_or_long_is_no_argument() {
    let gateway = Gateway {
        name: "cell".into(),
        program: "/tools".into(),
        arguments: Vec::new(),
        variables: vec![("TOKEN".into(), "token-of-the-lane".into())],
    };
    let launch = launch(&Task {
        program: Path::new("claude"),
        directory: Path::new("/empty"),
        home: Path::new("/home"),
        model: None,
        instructions: "all of the instructions",
        gateway: &gateway,
        hands: Hands::Gateway,
        resume: None,
    });
    for kept in ["token-of-the-lane", "all of the instructions"] {
        assert!(!launch.arguments.iter().any(|argument| argument.contains(kept)), "{kept}");
        assert!(launch.files.iter().any(|file| file.content.contains(kept)), "{kept}");
    }
}

#[test]
fn nobody_says_yes() {
    let mut claude = Claude::default();
    claude.open(&said(1, "work"));
    let asked = json!({"type": "control_request", "request_id": "r1",
        "request": {"subtype": "can_use_tool", "tool_name": "Bash", "input": {}}});
    let heard = claude.hear(asked.to_string().as_bytes());
    assert_eq!(heard.events, [Event::Denied { what: "Bash".into() }]);
    let reply: Value = serde_json::from_str(&heard.reply[0]).unwrap();
    assert_eq!(reply["response"]["response"]["behavior"], "deny");
    assert_eq!(reply["response"]["request_id"], "r1");
}

#[test]
fn failures_are_told_apart_by_what_helps() {
    let failed = |said: Value| {
        let mut claude = Claude::default();
        claude.open(&super::tests::said(1, "work"));
        match claude.hear(said.to_string().as_bytes()).events.pop() {
            Some(Event::Ended(End::Failed { failure, .. })) => failure,
            other => panic!("{other:?}"),
        }
    };
    let of_status = |status| json!({"type": "result", "subtype": "success", "is_error": true, "api_error_status": status});
    assert_eq!(failed(of_status(429)), Failure::Limit);
    assert_eq!(failed(of_status(401)), Failure::Access);
    assert_eq!(failed(of_status(529)), Failure::Provider);
    let subtype = |subtype: &str| json!({"type": "result", "subtype": subtype, "is_error": true});
    assert_eq!(failed(subtype("error_max_budget_usd")), Failure::Ceiling);
    assert_eq!(failed(subtype("error_during_execution")), Failure::Unknown);
    // What does not say that it went well did not.
    assert_eq!(failed(json!({"type": "result"})), Failure::Unknown);
}

proptest! {
    #[test]
    fn whatever_it_says_does_no_harm(lines: Vec<Vec<u8>>) {
        let mut claude = Claude::default();
        claude.open(&said(1, "work"));
        for line in lines {
            let _ = claude.hear(&line);
        }
    }
}
