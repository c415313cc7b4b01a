//! Whatever a client sends, and however it ends, the server stays on its feet and
//! leaves nothing behind.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::json;

use super::session::Session;
use crate::support::*;

#[test]
fn a_hundred_calls_at_once_are_each_answered_and_a_slow_one_hands_out_a_handle() {
    let workspace = TestWorkspace::create(&[]);
    let mut session = Session::begun(&["--no-project-source"]);
    let exec = |line: &str| json!({ "workspace": workspace.id, "command": line });
    let slow = session.call("workspace_exec", exec("echo begun; sleep 600"));
    let calls: Vec<u64> = (0..100)
        .map(|number| match number % 4 {
            0 => session.call("workspace_exec", exec(&format!("echo answer-{number}"))),
            1 => session.call("file_list", json!({ "workspace": workspace.id })),
            2 => session.call("workspace_exec", json!({ "workspace": "nobody", "command": "x" })),
            _ => session.call("workspace_exec", json!({ "command": number, "more": [] })),
        })
        .collect();
    for (number, call) in calls.into_iter().enumerate() {
        let (text, is_error) = session.text_of(call);
        match number % 4 {
            0 => assert!(text.starts_with(&format!("answer-{number}\n")), "{text}"),
            1 => assert!(!is_error, "{text}"),
            2 => assert!(is_error && text.contains("code: not_found"), "{text}"),
            _ => assert!(is_error && text.contains("code: invalid_request"), "{text}"),
        }
    }
    let (text, is_error) = session.text_of(slow);
    assert!(!is_error && text.starts_with("begun\n") && text.contains("still runs"), "{text}");
    // Whoever looks at the protocol's log saw meanwhile that it takes long.
    let told = session.told("notice");
    assert!(told.iter().any(|text| text.starts_with("workspace_exec has taken")), "{told:?}");
    let id = text.split_whitespace().find(|word| word.starts_with("cmd_")).unwrap().to_owned();
    let stop = json!({ "workspace": workspace.id, "command": id, "signal": "KILL" });
    session.use_tool("command_signal", stop);
}

#[test]
fn what_is_no_message_is_refused_and_the_next_one_is_answered() {
    let mut session = Session::begun(&["--no-project-source"]);
    let mut say = |line: &[u8]| {
        session.input.write_all(line).unwrap();
        session.input.write_all(b"\n").unwrap();
        let pong = session.ask("ping", json!({}));
        assert!(pong.get("result").is_some(), "{pong}");
    };
    say(b"{");
    say(b"\xff\xfe");
    say(b"[]");
    say(b"{\"jsonrpc\":\"1.0\",\"id\":900,\"method\":\"ping\"}");
    say(b"{\"jsonrpc\":\"2.0\",\"id\":901,\"method\":7}");
    say(b"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"tools/list\"}");
    let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    say(&deep);
    // Longer than any message may be.
    say(&vec![b'x'; 17 << 20]);
    let unknown = json!({ "name": "workspace_list", "arguments": {}, "unknown": { "field": [] } });
    assert!(session.ask("tools/call", unknown)["result"]["isError"] != true);
    let huge = "x".repeat(12 << 20);
    let patch = json!({ "workspace": "nobody", "patch": huge });
    assert!(session.refused("patch_apply", patch).contains("code: "));
}

#[test]
fn a_host_that_is_killed_leaves_no_server_and_nothing_that_runs() {
    let workspace = TestWorkspace::create(&[]);
    let script = "trap 'echo ended > /tmp/ended; exit' TERM; touch /tmp/began; \
                  while :; do sleep 0.1; done";
    let begin = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": { "protocolVersion": "2025-06-18", "capabilities": {},
                    "clientInfo": { "name": "test", "version": "1" } },
    });
    let begun = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let arguments = json!({ "workspace": workspace.id, "command": script });
    let call = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call",
                       "params": { "name": "workspace_exec", "arguments": arguments } });
    // A process that says this and then stays silent is host enough.
    let mut host =
        Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut server = hotcell()
        .args(["mcp", "serve", "--no-project-source"])
        .stdin(host.stdout.take().unwrap())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = format!("{begin}\n{begun}\n{call}\n");
    host.stdin.as_mut().unwrap().write_all(said.as_bytes()).unwrap();
    eventually("it runs", || workspace.exec(&[], &["test", "-e", "/tmp/began"]).status.success());
    host.kill().unwrap();
    host.wait().unwrap();
    drop(server.stdout.take());
    eventually("the server has ended", || server.try_wait().unwrap().is_some());
    eventually("the command was ended", || {
        workspace.exec(&[], &["test", "-e", "/tmp/ended"]).status.success()
    });
}
