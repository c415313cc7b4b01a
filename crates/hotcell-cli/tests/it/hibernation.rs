//! Workspaces that are put aside with their memory, and go on where they were.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::*;

fn call(workspace: &TestWorkspace, words: &[&str]) -> Output {
    let mut command = hotcell();
    command.args(["--json", "--yes"]).args(&words[..2]).arg(&workspace.id).args(&words[2..]);
    command.output().unwrap()
}

fn hibernate(workspace: &TestWorkspace) {
    let output = call(workspace, &["workspace", "hibernate"]);
    assert_code(&output, 0);
    assert_eq!(json(&output)["state"], "hibernated");
    eventually("keeper and monitor are gone", || processes_of(&workspace.directory()).is_empty());
}

fn memory(workspace: &TestWorkspace) -> PathBuf {
    workspace.directory().join("hibernation/memory/ram")
}

fn state(workspace: &TestWorkspace) -> String {
    workspace.status()["state"].as_str().unwrap().to_owned()
}

/// What only the memory of the guest knows.
const REMEMBER: &str = "echo remembered > /run/memory; cat /proc/sys/kernel/random/boot_id";
const RECALL: &str = "cat /run/memory > /dev/null && cat /proc/sys/kernel/random/boot_id";

#[test]
fn a_hibernated_workspace_goes_on_where_it_was() {
    let workspace = TestWorkspace::create(&[]);
    let boot = workspace.script(REMEMBER);
    let count = "while :; do echo >> /run/count; sleep 0.05; done";
    let started = call(&workspace, &["command", "start", "--", "sh", "-c", count]);
    assert_code(&started, 0);
    let command = json(&started)["id"].as_str().unwrap().to_owned();
    let opened = call(&workspace, &["shell", "open"]);
    let shell = json(&opened)["id"].as_str().unwrap().to_owned();
    let write = |text: &str| {
        assert_code(&call(&workspace, &["shell", "write", &shell, "--text", text]), 0);
    };
    write("kept=still-here");
    // Twice: the second time it goes on from memory that was resumed.
    for _ in 0..2 {
        hibernate(&workspace);
        assert!(memory(&workspace).exists());
        let status = workspace.status();
        assert_eq!(status["reason"], "somebody asked for it");
        let running = call(&workspace, &["command", "status", &command]);
        assert_eq!(json(&running)["status"]["state"], "running", "it only stands still");
        assert_code(&call(&workspace, &["workspace", "hibernate"]), 114);
        let extended = call(&workspace, &["workspace", "update", "--extend", "1h"]);
        assert_code(&extended, 114);

        // Whatever needs the machine wakes it, also several at once.
        let readers: Vec<_> = (0..3)
            .map(|_| {
                workspace.exec_command(&[], &["sh", "-c", RECALL]).stdout(Stdio::piped()).spawn()
            })
            .collect();
        for reader in readers {
            let output = reader.unwrap().wait_with_output().unwrap();
            assert_code(&output, 0);
            assert_eq!(text(&output.stdout), boot);
        }
        assert_eq!(state(&workspace), "running");
        let activity = workspace.status()["activity"].clone();
        assert_eq!(
            (&activity["running_commands"], &activity["open_shells"]),
            (&1.into(), &1.into())
        );
        eventually("the memory's name is gone", || !memory(&workspace).exists());
        let counted = || workspace.script("wc -c < /run/count").trim().parse::<u64>().unwrap();
        let before = counted();
        eventually("what ran goes on", || counted() > before);
        write("echo \"it is $kept\"");
        eventually("the shell goes on", || {
            let read = call(&workspace, &["shell", "read", &shell, "--idle", "100ms"]);
            text(&read.stdout).contains("it is still-here")
        });
    }
    // What ran is there for whoever wakes it, however soon.
    hibernate(&workspace);
    write("echo \"it was $kept\"");
    eventually("the shell goes on", || {
        let read = call(&workspace, &["shell", "read", &shell, "--idle", "100ms"]);
        text(&read.stdout).contains("it was still-here")
    });
    hibernate(&workspace);
    let waited = call(&workspace, &["command", "wait", &command, "--timeout", "100ms"]);
    assert_eq!(json(&waited)["command"]["status"]["state"], "running");
    hibernate(&workspace);
    assert_code(&call(&workspace, &["command", "signal", &command]), 0);
    let waited = call(&workspace, &["command", "wait", &command]);
    assert_eq!(json(&waited)["command"]["status"]["state"], "ended");
}

#[test]
fn a_workspace_that_nobody_uses_is_hibernated_unless_somebody_says_otherwise() {
    let workspace = TestWorkspace::create(&[]);
    assert_eq!(workspace.status()["idle"]["idle_then"], "hibernate");
    let boot = workspace.script(REMEMBER);
    assert_code(&call(&workspace, &["workspace", "update", "--idle-after", "1s"]), 0);
    eventually("it is hibernated", || state(&workspace) == "hibernated");
    assert_eq!(workspace.status()["reason"], "nobody used it for 1s");
    let logs = call(&workspace, &["workspace", "logs"]);
    let events = json(&logs)["events"].as_array().unwrap().clone();
    let kinds: Vec<_> = events.iter().map(|event| event["event"]["kind"].clone()).collect();
    assert!(kinds.ends_with(&["idle_warned".into(), "hibernated".into()]), "{kinds:?}");
    assert_eq!(workspace.script(RECALL), boot);
}

#[test]
fn memory_can_be_given_up_and_what_cannot_be_used_is_refused() {
    let workspace = TestWorkspace::create(&[]);
    workspace.script(&format!("{REMEMBER}; echo work > file; sync"));
    hibernate(&workspace);
    let ram = fs::OpenOptions::new().write(true).open(memory(&workspace)).unwrap();
    ram.write_all_at(b"x", 0).unwrap();
    drop(ram);
    let refused = workspace.exec(&[], &["true"]);
    assert_code(&refused, 116);
    assert!(text(&refused.stderr).contains("workspace stop"), "{}", text(&refused.stderr));
    assert_eq!(state(&workspace), "hibernated");
    assert_code(&call(&workspace, &["workspace", "stop"]), 0);
    assert!(!memory(&workspace).exists());
    assert_code(&call(&workspace, &["workspace", "start"]), 0);
    assert_eq!(workspace.script("cat file; cat /run/memory 2> /dev/null; true"), "work\n");
    hibernate(&workspace);
    let directory = workspace.directory();
    drop(workspace);
    assert_gone(&directory);
}

/// Sends the monitor a signal: halted, it answers nobody, and nothing gets done.
fn signal_monitor(workspace: &TestWorkspace, signal: &str) {
    let monitor = monitor_of(&workspace.directory()).to_string();
    assert!(Command::new("kill").args([signal, &monitor]).status().unwrap().success());
}

#[test]
fn whoever_comes_while_it_is_put_aside_waits_and_wakes_it() {
    let workspace = TestWorkspace::create(&[]);
    let boot = workspace.script(REMEMBER);
    signal_monitor(&workspace, "-STOP");
    let mut hibernating = hotcell();
    hibernating.args(["workspace", "hibernate", &workspace.id]).stdout(Stdio::null());
    let mut hibernating = hibernating.spawn().unwrap();
    // It has asked once it waits for the guest to write its disks.
    sleep(Duration::from_millis(500));
    let recall = workspace.exec_command(&[], &["sh", "-c", RECALL]).stdout(Stdio::piped()).spawn();
    let mut status = hotcell();
    status.args(["--json", "workspace", "status", &workspace.id]).stdout(Stdio::piped());
    let status = status.spawn().unwrap();
    sleep(Duration::from_millis(500));
    signal_monitor(&workspace, "-CONT");
    assert!(hibernating.wait().unwrap().success());
    let recalled = recall.unwrap().wait_with_output().unwrap();
    assert_code(&recalled, 0);
    assert_eq!(text(&recalled.stdout), boot);
    assert_code(&status.wait_with_output().unwrap(), 0);
    let logs = json(&call(&workspace, &["workspace", "logs"]));
    let events = logs["events"].as_array().unwrap();
    let hibernated = events.iter().filter(|event| event["event"]["kind"] == "hibernated").count();
    assert_eq!(hibernated, 1, "{events:?}");
}

/// Less than it takes to start a monitor and have it read a machine's memory. A busy
/// machine may need longer to kill somebody.
const EARLY: Duration = Duration::from_millis(100);

/// Starts a call and kills something after a while; how long that was at most.
fn kill_during(mut call: Command, delay_ms: u64, kill: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    let mut child = call.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    sleep(Duration::from_millis(delay_ms));
    kill();
    let took = begun.elapsed();
    let _ = child.kill();
    child.wait().unwrap();
    took
}

#[test]
fn whatever_is_killed_the_memory_is_whole_or_counts_for_nothing() {
    let workspace = TestWorkspace::create(&[]);
    let keeper = || {
        // It may not be there yet, or no longer.
        for pid in processes_of(&workspace.directory()) {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            if name.starts_with("hotcell") {
                let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
            }
        }
    };
    let settled = || {
        let mut state_now = String::new();
        eventually("it is running, hibernated or stopped", || {
            state_now = state(&workspace);
            ["running", "hibernated", "stopped"].contains(&state_now.as_str())
        });
        state_now
    };
    let mut seen = Vec::new();
    workspace.script("echo work > file; sync");
    for (verb, delay_ms) in
        ["hibernate", "start"].into_iter().flat_map(|verb| [20, 250].map(|ms| (verb, ms)))
    {
        // Both begin with a machine that knows something.
        if settled() == "stopped" {
            assert_code(&call(&workspace, &["workspace", "start"]), 0);
        }
        let boot = workspace.script(REMEMBER);
        if verb == "start" {
            hibernate(&workspace);
        }
        let mut command = hotcell();
        command.args(["workspace", verb, &workspace.id]);
        let took = kill_during(command, delay_ms, keeper);
        let now = settled();
        if now == "stopped" {
            let is_early = verb == "start" && took < EARLY;
            assert!(!is_early, "memory is not lost before it is used: {took:?}");
            assert_code(&call(&workspace, &["workspace", "start"]), 0);
        } else {
            assert_eq!(workspace.script(RECALL), boot, "{verb} {delay_ms}: {now}");
        }
        assert_eq!(workspace.script("cat file"), "work\n");
        seen.push((verb, delay_ms, now));
    }
    let left = fs::read_dir(workspace.directory().join("hibernation")).unwrap().flatten();
    let left: Vec<_> = left.map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "{left:?} is left after {seen:?}");
}
