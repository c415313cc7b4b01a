//! Shells: terminals that stay.

use std::process::Output;

use serde_json::Value;

use crate::support::*;

fn shell(workspace: &TestWorkspace, verb: &str, arguments: &[&str]) -> Output {
    let mut hotcell = hotcell();
    hotcell.args(["--json", "shell", verb, &workspace.id]).args(arguments).output().unwrap()
}

fn open(workspace: &TestWorkspace, arguments: &[&str]) -> String {
    let output = shell(workspace, "open", arguments);
    assert_code(&output, 0);
    json(&output)["id"].as_str().unwrap().to_owned()
}

/// Types a line; where its output begins.
fn write(workspace: &TestWorkspace, id: &str, text: &str) -> String {
    let output = shell(workspace, "write", &[id, "--text", text]);
    assert_code(&output, 0);
    json(&output)["cursor"].to_string()
}

fn read(workspace: &TestWorkspace, id: &str, arguments: &[&str]) -> Value {
    let output = shell(workspace, "read", &[&[id], arguments].concat());
    assert_code(&output, 0);
    json(&output)
}

/// What is shown from there on, once it says this.
fn shown(workspace: &TestWorkspace, id: &str, cursor: &str, this: &str) -> String {
    let mut text = String::new();
    eventually(this, || {
        let value = read(workspace, id, &["--cursor", cursor, "--idle", "400ms"]);
        value["output"]["text"].as_str().unwrap().clone_into(&mut text);
        text.contains(this)
    });
    text
}

#[test]
fn a_shell_is_inhabited_across_calls() {
    let workspace = TestWorkspace::create(&[]);
    let id = open(&workspace, &[]);
    write(&workspace, &id, "cd /tmp; X=kept");
    let cursor = write(&workspace, &id, "echo $X in $PWD; tty; stty size");
    let text = shown(&workspace, &id, &cursor, "kept in /tmp\n/dev/pts/0\n30 120");
    assert!(!text.contains('\x1b'), "plain text has no control sequences: {text:?}");
    let raw = read(&workspace, &id, &["--view", "raw", "--cursor", &cursor]);
    assert!(raw["output"]["text"].as_str().unwrap().contains("\r\n"), "{raw}");
    let status = workspace.status();
    assert_eq!(status["activity"]["open_shells"], 1, "{status}");

    let closed = shell(&workspace, "close", &[&id]);
    assert_code(&closed, 0);
    assert_ne!(json(&closed)["status"]["state"], "running");
    assert_code(&shell(&workspace, "write", &[&id, "--text", "x"]), 114);
    assert_eq!(workspace.status()["activity"]["open_shells"], 0);
}

#[test]
fn a_signal_reaches_the_foreground_job_and_the_shell_lives_on() {
    let workspace = TestWorkspace::create(&[]);
    let id = open(&workspace, &[]);
    write(&workspace, &id, "sleep 1000; echo after=$?");
    eventually("the job runs", || workspace.script("pgrep -x sleep | wc -l").trim() == "1");
    assert_code(&shell(&workspace, "signal", &[&id]), 0);
    eventually("the job is gone", || workspace.script("pgrep -x sleep | wc -l").trim() == "0");
    let cursor = write(&workspace, &id, "echo alive");
    shown(&workspace, &id, &cursor, "\nalive");
}

#[test]
fn input_of_any_length_arrives_and_the_terminal_can_be_resized() {
    let workspace = TestWorkspace::create(&[]);
    let size = ["--columns", "80", "--rows", "24"];
    let script = "stty raw -echo; echo ready; head -c 1000001 | md5sum; stty size; sleep 1000";
    let id = open(&workspace, &[&size[..], &["--", "sh", "-c", script]].concat());
    eventually("it is ready", || read(&workspace, &id, &[])["output"]["text"] == "ready");
    assert_code(&shell(&workspace, "resize", &[&id, "--columns", "200", "--rows", "50"]), 0);
    let mut hotcell = hotcell();
    hotcell.args(["shell", "write", &workspace.id, &id]);
    let output = with_input(hotcell, vec![b'x'; 1_000_000]);
    assert_code(&output, 0);
    let expected = workspace.script("(head -c 1000000 /dev/zero | tr '\\0' x; echo) | md5sum");
    eventually("all of it arrived", || {
        let text = read(&workspace, &id, &[])["output"]["text"].as_str().unwrap().to_owned();
        text.contains(expected.split(' ').next().unwrap()) && text.contains("50 200")
    });
}

#[test]
fn a_steady_printer_does_not_hold_a_read_for_ever() {
    let workspace = TestWorkspace::create(&[]);
    let id = open(&workspace, &["--", "sh", "-c", "while :; do echo tick; sleep 0.1; done"]);
    eventually("it is read while it prints", || {
        let seen = read(&workspace, &id, &["--idle", "1s", "--timeout", "2s"]);
        assert_eq!(seen["running"], true);
        seen["output"]["text"].as_str().unwrap().contains("tick\ntick")
    });
}

#[test]
fn the_screen_of_a_program_that_paints_is_shown_as_it_looks() {
    let workspace = TestWorkspace::create(&[]);
    let paint = r"printf '\033[2J\033[2;3Hhere\033[1;1Htop'; sleep 1000";
    let id = open(&workspace, &["--", "sh", "-c", paint]);
    let mut seen = Value::Null;
    eventually("it is painted", || {
        seen = read(&workspace, &id, &["--view", "screen"]);
        seen["output"]["text"] == "top\n  here"
    });
}
