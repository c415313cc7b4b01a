//! Workspaces that nobody uses. When something is due is decided by a function of
//! its own, whose tests let time pass as they like; here it is seen to happen.

use std::process::{Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use crate::support::*;

fn hotcell_json(arguments: &[&str]) -> Output {
    hotcell().arg("--json").args(arguments).output().unwrap()
}

/// What is on record of a workspace, as kinds of events.
fn kinds(workspace: &TestWorkspace) -> Vec<String> {
    let output = hotcell_json(&["workspace", "logs", &workspace.id]);
    assert_code(&output, 0);
    let events = json(&output)["events"].as_array().unwrap().clone();
    events.iter().map(|event| event["event"]["kind"].as_str().unwrap().to_owned()).collect()
}

fn is(workspace: &TestWorkspace, state: &str) -> bool {
    workspace.status()["state"] == state
}

/// The latter of two moments of the clock's display, so that what happens from now
/// on is told to be later.
fn let_a_second_pass() {
    sleep(Duration::from_millis(1100));
}

/// Has the workspace put aside soon. It is not created like this: a busy machine may
/// need a second between two commands.
fn idle_soon(workspace: &TestWorkspace) {
    let update = ["workspace", "update", &workspace.id, "--idle-after", "1s"];
    assert_code(&hotcell_json(&update), 0);
}

#[test]
fn a_workspace_that_nobody_uses_is_warned_and_stopped_and_keeps_its_work() {
    let workspace = TestWorkspace::create(&["--idle-after", "1h", "--idle-then", "stop"]);
    // Nothing is synced by hand: putting it aside does that.
    workspace.script("echo work > file");
    idle_soon(&workspace);
    eventually("it is stopped", || {
        // Looking at it is no use of it.
        hotcell_json(&["file", "list", &workspace.id]);
        is(&workspace, "stopped")
    });
    let status = workspace.status();
    assert_eq!(status["reason"], "nobody used it for 1s");
    assert_eq!(status["expires_at"], Value::Null);
    let recorded = kinds(&workspace);
    assert!(recorded.ends_with(&["idle_warned", "stopped"].map(str::to_owned)), "{recorded:?}");
    let refused = workspace.exec(&[], &["true"]);
    assert_code(&refused, 118);
    assert!(text(&refused.stderr).contains("nobody used it"), "{}", text(&refused.stderr));
    let extended = hotcell_json(&["workspace", "update", &workspace.id, "--extend", "1h"]);
    assert_code(&extended, 114);

    // The policy is a stopped workspace's as well, and holds from its next start on.
    let update = ["workspace", "update", &workspace.id, "--idle-after", "never"];
    assert_code(&hotcell_json(&update), 0);
    assert_code(&hotcell_json(&["workspace", "start", &workspace.id]), 0);
    assert_eq!(workspace.script("cat file"), "work\n");
    assert_eq!(workspace.status()["idle"]["idle_after"], "never");
    let nothing = hotcell_json(&["workspace", "update", &workspace.id, "--extend", "1h"]);
    assert_code(&nothing, 2);
}

#[test]
fn what_runs_holds_the_end_off() {
    let workspace = TestWorkspace::create(&["--idle-after", "1h", "--idle-then", "stop"]);
    // It ends with its input, so when this test says so.
    let mut waited_for = workspace.exec_command(&[], &["cat"]);
    let mut waited_for = waited_for.stdin(Stdio::piped()).spawn().unwrap();
    eventually("it runs", || workspace.status()["activity"]["running_commands"] == 1);
    idle_soon(&workspace);
    assert_eq!(workspace.status()["expires_at"], Value::Null, "a command runs");
    let start = ["command", "start", &workspace.id, "--", "sleep", "10"];
    assert_code(&hotcell_json(&start), 0);
    drop(waited_for.stdin.take());
    assert!(waited_for.wait().unwrap().success());
    assert_eq!(workspace.status()["expires_at"], Value::Null, "another one runs");
    eventually("it is stopped", || is(&workspace, "stopped"));
    let recorded = kinds(&workspace);
    let last = ["command_ended", "command_ended", "idle_warned", "stopped"];
    assert!(recorded.ends_with(&last.map(str::to_owned)), "{recorded:?}");
}

#[test]
fn using_a_workspace_moves_its_end_and_looking_at_it_does_not() {
    let workspace = TestWorkspace::create(&["--idle-after", "1h"]);
    let id = workspace.id.as_str();
    assert_code(&hotcell_json(&["file", "write", id, "file", "--text", "one"]), 0);
    let opened = hotcell_json(&["shell", "open", id]);
    assert_code(&opened, 0);
    let shell = json(&opened)["id"].as_str().unwrap().to_owned();
    let moments = || {
        let status = workspace.status();
        let moment = |field: &str| status[field].as_str().unwrap().to_owned();
        (moment("last_activity_at"), moment("expires_at"))
    };
    let before = moments();
    let_a_second_pass();
    for look in [
        &["workspace", "status", id][..],
        &["workspace", "list"],
        &["workspace", "logs", id],
        &["workspace", "summary", id],
        &["file", "list", id],
        &["file", "stat", id, "file"],
        &["file", "read", id, "file"],
        &["file", "search", id, "one"],
        &["command", "list", id],
        &["shell", "list", id],
        &["shell", "read", id, &shell, "--idle", "10ms"],
        &["network", "show", id],
        &["network", "log", id],
    ] {
        assert_code(&hotcell_json(look), 0);
    }
    assert_eq!(moments(), before);
    for using in [
        &["shell", "write", id, &shell, "--text", ":"][..],
        &["shell", "resize", id, &shell, "--rows", "40"],
        &["file", "write", id, "file", "--text", "two"],
        &["file", "delete", id, "file"],
        &["workspace", "update", id, "--label", "a=b"],
        &["workspace", "exec", id, "--", "true"],
        &["shell", "close", id, &shell],
    ] {
        let before = moments();
        let_a_second_pass();
        assert_code(&hotcell_json(using), 0);
        eventually("the moments move", || {
            let now = moments();
            now.0 > before.0 && now.1 > before.1
        });
    }
    let (_, end) = moments();
    assert_code(&hotcell_json(&["workspace", "update", id, "--extend", "2h"]), 0);
    assert!(moments().1 > end, "it is kept ready for longer than its policy says");
    assert_eq!(kinds(&workspace).last().unwrap(), "idle_extended");
}
