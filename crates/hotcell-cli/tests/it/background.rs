//! Commands in the background of a workspace.

use std::process::Output;

use serde_json::Value;

use crate::support::*;

/// Runs `hotcell --json command VERB WORKSPACE …`.
fn command(workspace: &TestWorkspace, verb: &str, arguments: &[&str]) -> Output {
    let mut hotcell = hotcell();
    hotcell.args(["--json", "command", verb, &workspace.id]).args(arguments).output().unwrap()
}

fn start(workspace: &TestWorkspace, script: &str) -> String {
    let output = command(workspace, "start", &["--", "sh", "-c", script]);
    assert_code(&output, 0);
    let value = json(&output);
    assert_eq!(value["status"]["state"], "running", "{value}");
    value["id"].as_str().unwrap().to_owned()
}

fn read(workspace: &TestWorkspace, id: &str, arguments: &[&str]) -> Value {
    let output = command(workspace, "read", &[&[id], arguments].concat());
    assert_code(&output, 0);
    json(&output)
}

#[test]
fn a_command_goes_on_without_a_caller_and_is_waited_for_and_read_by_anybody() {
    let workspace = TestWorkspace::create(&[]);
    let go_on = "until [ -e /tmp/go ]; do sleep 0.1; done";
    let id = start(&workspace, &format!("echo one; echo oops >&2; {go_on}; echo two; exit 3"));
    let status = workspace.status();
    assert_eq!(status["activity"]["running_commands"], 1, "{status}");
    let too_early = command(&workspace, "wait", &[&id, "--timeout", "10ms"]);
    assert_code(&too_early, 124);
    assert_eq!(json(&too_early)["command"]["status"]["state"], "running");

    workspace.script("touch /tmp/go");
    let waited = command(&workspace, "wait", &[&id]);
    assert_code(&waited, 3);
    let status = &json(&waited)["command"]["status"];
    assert_eq!((&status["state"], &status["exit_code"]), (&"ended".into(), &3.into()));
    assert_eq!((&status["stdout_bytes"], &status["stderr_bytes"]), (&8.into(), &5.into()));

    let all = read(&workspace, &id, &[]);
    assert_eq!((&all["output"]["text"], &all["running"]), (&"one\ntwo\n".into(), &false.into()));
    let rest = read(&workspace, &id, &["--cursor", "4"]);
    assert_eq!((&rest["output"]["text"], &rest["next_cursor"]), (&"two\n".into(), &8.into()));
    assert_eq!(read(&workspace, &id, &["--channel", "stderr"])["output"]["text"], "oops\n");
    // The beginning of an id does.
    let output = command(&workspace, "status", &[&id[..id.len() - 2]]);
    assert_eq!(json(&output)["id"], id);
}

#[test]
fn a_command_is_read_while_it_runs_and_ended_by_a_signal() {
    let workspace = TestWorkspace::create(&[]);
    let script = "trap 'echo bye; exit 9' TERM; echo ready; while :; do sleep 0.1; done";
    let id = start(&workspace, script);
    eventually("it is ready", || read(&workspace, &id, &[])["output"]["text"] == "ready\n");
    assert_eq!(read(&workspace, &id, &[])["running"], true);
    assert_code(&command(&workspace, "signal", &[&id]), 0);
    assert_code(&command(&workspace, "wait", &[&id]), 9);
    assert_eq!(read(&workspace, &id, &["--cursor", "6"])["output"]["text"], "bye\n");
    let late = command(&workspace, "signal", &[&id]);
    assert_code(&late, 114);
    let killed = start(&workspace, "sleep 1000");
    assert_code(&command(&workspace, "signal", &[&killed, "--signal", "KILL"]), 0);
    assert_code(&command(&workspace, "wait", &[&killed]), 137);
}

#[test]
fn much_output_is_bounded_on_disk_and_a_reader_is_told_what_is_gone() {
    let workspace = TestWorkspace::create(&[]);
    let id = start(&workspace, "yes 0123456789abcde | head -c 33554432; echo end");
    assert_code(&command(&workspace, "wait", &[&id]), 0);
    let kept = directory_bytes(&workspace.directory().join("jobs"));
    assert!(kept < 17 << 20, "{kept} bytes are kept");
    let first = read(&workspace, &id, &["--max-bytes", "10"]);
    assert!(first["skipped_bytes"].as_u64().unwrap() > 8 << 20, "{first}");
    let total = first["total_bytes"].as_u64().unwrap();
    assert_eq!(total, 33_554_436);
    let end = read(&workspace, &id, &["--cursor", &(total - 4).to_string()]);
    assert_eq!(end["output"]["text"], "end\n");
}

#[test]
fn what_cannot_be_started_or_found_is_refused_and_leaves_nothing_running() {
    let workspace = TestWorkspace::create(&[]);
    let missing = command(&workspace, "start", &["--", "no-such-program"]);
    assert_code(&missing, 127);
    assert_code(&command(&workspace, "status", &["cmd_0000"]), 113);
    assert_code(&command(&workspace, "status", &["sh_0000"]), 2);
    assert_code(&command(&workspace, "read", &["cmd_../../x"]), 2);
    assert_eq!(workspace.status()["activity"]["running_commands"], 0);
    let listed = json(&command(&workspace, "list", &[]));
    assert_eq!(listed["commands"][0]["status"]["state"], "lost", "{listed}");
}

#[test]
fn a_command_that_its_machine_took_along_is_lost_but_its_output_is_not() {
    let workspace = TestWorkspace::create(&[]);
    let id = start(&workspace, "echo precious; sleep 1000");
    eventually("it has written", || read(&workspace, &id, &[])["output"]["text"] == "precious\n");
    kill(monitor_of(&workspace.directory()));
    eventually("it is stopped", || workspace.status()["state"] == "stopped");
    let seen = read(&workspace, &id, &[]);
    assert_eq!((&seen["output"]["text"], &seen["running"]), (&"precious\n".into(), &false.into()));
    let waited = command(&workspace, "wait", &[&id]);
    assert_code(&waited, 118);
    assert_eq!(json(&waited)["command"]["status"]["state"], "lost");
}

fn directory_bytes(directory: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(directory).unwrap().flatten();
    entries
        .map(|entry| match entry.metadata().unwrap() {
            metadata if metadata.is_dir() => directory_bytes(&entry.path()),
            metadata => metadata.len(),
        })
        .sum()
}

#[test]
fn a_caller_that_cannot_wait_gets_what_there_is_and_a_handle() {
    let workspace = TestWorkspace::create(&[]);
    let quick = command(&workspace, "run", &["--", "sh", "-c", "echo out; echo err >&2; exit 4"]);
    assert_code(&quick, 4);
    let value = json(&quick);
    assert_eq!(value["stdout"]["head"]["text"], "out\n", "{value}");
    assert_eq!(value["stderr"]["head"]["text"], "err\n", "{value}");

    let script = "seq 10000; sleep 1000";
    let slow = command(
        &workspace,
        "run",
        &["--wait", "4s", "--max-bytes", "200", "--", "sh", "-c", script],
    );
    assert_code(&slow, 124);
    let value = json(&slow);
    assert_eq!(value["command"]["status"]["state"], "running", "{value}");
    let (head, tail) = (&value["stdout"]["head"]["text"], &value["stdout"]["tail"]["text"]);
    assert!(head.as_str().unwrap().starts_with("1\n2\n"), "{value}");
    assert!(tail.as_str().unwrap().ends_with("\n10000\n"), "{value}");
    assert_eq!(value["stdout"]["total_bytes"], 48_894, "{value}");
    let id = value["command"]["id"].as_str().unwrap();
    assert_code(&command(&workspace, "signal", &[id]), 0);
    assert_code(&command(&workspace, "wait", &[id]), 143);
}
