//! What is on record of a workspace, while it exists and afterwards.

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

    drop(workspace);
    assert_eq!(kinds(&logs(&id, &["--after", "4"])), ["deleted"]);
    let told = summary(&id, &[]);
    assert!(told.contains("5 events, unbroken"), "{told}");
    assert!(told.contains("deleted"), "{told}");
    let unknown = hotcell().args(["workspace", "logs", "ws_00000000"]).output().unwrap();
    assert_code(&unknown, 113);
}
