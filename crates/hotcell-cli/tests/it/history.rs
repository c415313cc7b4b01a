//! What is on record of a workspace, while it exists and afterwards.

use std::process::Stdio;

use serde_json::Value;

use crate::support::*;

fn logs(reference: &str, arguments: &[&str]) -> Vec<Value> {
    let output = hotcell()
        .args(["--json", "workspace", "logs", reference])
        .args(arguments)
        .output()
        .unwrap();
    assert_code(&output, 0);
    json(&output)["events"].as_array().unwrap().clone()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event"]["kind"].as_str().unwrap()).collect()
}

fn summary(reference: &str, arguments: &[&str]) -> String {
    let output =
        hotcell().args(["workspace", "summary", reference]).args(arguments).output().unwrap();
    assert_code(&output, 0);
    text(&output.stdout)
}

#[test]
fn what_ran_is_on_record_at_once_and_outlives_the_workspace() {
    let workspace = TestWorkspace::create(&[]);
    let id = workspace.id.clone();
    assert_code(&workspace.exec(&["--env", "KEY=hidden-value"], &["sh", "-c", "exit 3"]), 3);
    let events = logs(&id, &[]);
    assert_eq!(kinds(&events), ["created", "started", "command_started", "command_ended"]);
    assert_eq!(events[2]["event"]["argv"], serde_json::json!(["sh", "-c", "exit 3"]));
    assert_eq!(events[3]["event"]["exit_code"], 3);
    assert!(!events.iter().any(|event| event.to_string().contains("hidden-value")));
    assert_eq!(
        events.iter().map(|event| event["sequence"].as_u64()).collect::<Vec<_>>(),
        [Some(1), Some(2), Some(3), Some(4)]
    );
    assert_eq!(kinds(&logs(&id, &["--after", "1", "--limit", "1"])), ["started"]);
    assert_eq!(kinds(&logs(&id, &["--kind", "command_ended"])), ["command_ended"]);
    assert_eq!(kinds(&logs(&id, &["--limit", "1"])), ["command_ended"]);

    let told = summary(&id, &[]);
    assert!(told.contains("the last command failed with exit code 3"), "{told}");
    assert!(told.contains("1, 1 failed"), "{told}");
    assert!(told.contains("! sh -c 'exit 3'  (exit code 3"), "{told}");
    assert!(told.contains("4 events, unbroken"), "{told}");
    let told = summary(&id, &["--format", "markdown"]);
    assert!(told.contains("* **failed** `sh -c 'exit 3'`: exit code 3"), "{told}");

    let script = "echo all is well; echo 'cannot find it' >&2; exit 4";
    assert_code(&workspace.exec(&[], &["sh", "-c", script]), 4);
    let started = ["--json", "command", "start", &id, "--", "sh", "-c", "echo bad luck; exit 5"];
    let started = json(&hotcell().args(started).output().unwrap());
    let command = started["id"].as_str().unwrap();
    assert_code(&hotcell().args(["command", "wait", &id, command]).output().unwrap(), 5);
    let failed = logs(&id, &["--kind", "command_ended", "--after", "4"]);
    let ends: Vec<_> = failed.iter().map(|event| &event["event"]["output_end"]).collect();
    assert_eq!(ends, ["cannot find it", "bad luck"], "what failed is quoted");
    let told = summary(&id, &[]);
    assert!(told.contains("\n  | cannot find it\n"), "{told}");
    let before = failed.last().unwrap()["sequence"].to_string();

    // Whoever follows is told until there is nothing more to come.
    let mut following = hotcell()
        .args(["workspace", "logs", &id, "--follow", "--after", &before])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    workspace.script("true");
    wait_for_word(&mut following, "command_ended");
    drop(workspace);
    let rest = following.wait_with_output().unwrap();
    assert_code(&rest, 0);
    assert!(text(&rest.stdout).contains("deleted"), "{}", text(&rest.stdout));
    let last = logs(&id, &["--limit", "1"])[0]["sequence"].as_u64().unwrap();
    let before = (last - 1).to_string();
    assert_eq!(kinds(&logs(&id, &["--after", &before])), ["deleted"]);
    let told = summary(&id, &[]);
    assert!(told.contains(&format!("{last} events, unbroken")), "{told}");
    assert!(told.contains("deleted"), "{told}");
    let unknown = hotcell().args(["workspace", "logs", "ws_00000000"]).output().unwrap();
    assert_code(&unknown, 113);
}
