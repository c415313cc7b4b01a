//! What a command in a machine sees and what comes back from it.

use std::io::Read;
use std::process::Stdio;

use serde_json::json;

use crate::support::*;

/// Ten million bytes that are no text and do not repeat in any simple way.
fn noise() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
    .take(10_000_000)
    .collect()
}

#[test]
fn the_main_job() {
    let output = run(&[], &["git", "--version"]);
    assert_code(&output, 0);
    assert!(text(&output.stdout).starts_with("git version 2."), "{}", text(&output.stdout));
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn exit_codes_are_passed_on() {
    let workspace = TestWorkspace::create(&[]);
    for code in [0, 1, 3, 255] {
        assert_code(&workspace.exec(&[], &["sh", "-c", &format!("exit {code}")]), code);
    }
    let killed = workspace.exec(&[], &["sh", "-c", "kill -KILL $$"]);
    assert_code(&killed, 128 + 9);
    assert!(text(&killed.stderr).contains("signal 9"), "{}", text(&killed.stderr));
    let missing = workspace.exec(&[], &["no-such-program"]);
    assert_code(&missing, 127);
    assert!(text(&missing.stderr).contains("no-such-program"), "{}", text(&missing.stderr));
    assert_code(&workspace.exec(&[], &["/etc/passwd"]), 126);
    assert_code(&workspace.exec(&["--cwd", "/nowhere"], &["true"]), 2);
}

#[test]
fn one_typed_result() {
    let output = run_script(&["--json"], "echo out; echo err >&2; exit 3");
    assert_code(&output, 3);
    let value = json(&output);
    assert_eq!(value["result"]["exit_code"], 3);
    assert_eq!(value["result"]["end"], json!({ "how": "exited" }));
    assert_eq!(value["result"]["stdout"]["tail"], json!({ "text": "out\n" }));
    assert_eq!(value["result"]["stderr"]["tail"], json!({ "text": "err\n" }));
    assert!(["kvm", "tcg"].contains(&value["accelerator"].as_str().unwrap()));
    let failed = run(&["--json"], &["no-such-program"]);
    assert_code(&failed, 127);
    assert_eq!(json(&failed)["error"]["kind"], "command_not_found");
}

#[test]
fn directory_environment_and_input() {
    let workspace = TestWorkspace::create(&[]);
    let script = "pwd; echo $GREETING; id -un; cat";
    let command = workspace
        .exec_command(&["--cwd", "/tmp", "--env", "GREETING=hi there"], &["sh", "-c", script]);
    let output = with_input(command, b"from the host".to_vec());
    assert_code(&output, 0);
    assert_eq!(text(&output.stdout), "/tmp\nhi there\nroot\nfrom the host");
    // Nothing of the host's own environment crosses over.
    let mut environment = workspace.exec_command(&[], &["env"]);
    environment.env("HOST_SECRET", "hunter2");
    let seen = text(&environment.output().unwrap().stdout);
    assert!(!seen.contains("hunter2") && !seen.contains("HOTCELL"), "{seen}");
    assert!(seen.contains("PATH=/usr/local/sbin:"), "{seen}");
}

#[test]
fn ten_million_bytes_out_and_in() {
    let noise = noise();
    let workspace = TestWorkspace::create(&[]);
    // In through standard input, and out again.
    let echoed = with_input(workspace.exec_command(&[], &["cat"]), noise.clone());
    assert_code(&echoed, 0);
    assert!(echoed.stdout == noise, "what came back is not what went in");
    // Out of a file that was put there, on both channels at once.
    let store =
        with_input(workspace.exec_command(&[], &["sh", "-c", "cat > /tmp/noise"]), noise.clone());
    assert_code(&store, 0);
    let both = workspace.exec(&[], &["sh", "-c", "cat /tmp/noise & cat /tmp/noise >&2; wait"]);
    assert_code(&both, 0);
    assert!(both.stdout == noise, "standard output differs");
    assert!(both.stderr == noise, "standard error differs");
}

#[test]
fn output_comes_as_it_is_written() {
    let workspace = TestWorkspace::create(&[]);
    let script = "echo first; read answer; echo second";
    let mut child = workspace
        .exec_command(&[], &["sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // The guest waits for an answer that is only given once this has arrived.
    wait_for_word(&mut child, "first");
    drop(child.stdin.take());
    let mut rest = String::new();
    child.stdout.take().unwrap().read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "\nsecond\n");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_timeout_keeps_what_was_written_and_kills_the_tree() {
    let workspace = TestWorkspace::create(&[]);
    let script = "echo partial; (sleep 1000; echo survived > /tmp/child) & sleep 1000";
    let output = workspace.exec(&["--timeout", "2s"], &["sh", "-c", script]);
    assert_code(&output, 124);
    assert_eq!(text(&output.stdout), "partial\n");
    assert_eq!(workspace.script("pgrep -x sleep | wc -l").trim(), "0");
}

#[test]
fn a_background_child_does_not_hold_a_finished_command() {
    let workspace = TestWorkspace::create(&[]);
    let output = workspace.exec(&[], &["sh", "-c", "sleep 1000 & echo done"]);
    assert_code(&output, 0);
    assert_eq!(text(&output.stdout), "done\n");
    // It is not killed either: that is what a background job is for.
    assert_eq!(workspace.script("pgrep -x sleep | wc -l").trim(), "1");
}

#[test]
fn a_reader_that_goes_away_ends_the_command() {
    let workspace = TestWorkspace::create(&[]);
    let mut child = workspace
        .exec_command(&[], &["yes"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_word(&mut child, "y");
    drop(child.stdout.take());
    child.wait().unwrap();
    eventually("`yes` is gone", || workspace.script("pgrep -x yes | wc -l").trim() == "0");
}
