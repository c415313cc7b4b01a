//! What is left when something is killed while snapshots and forks are made.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::*;

/// Parts of the time that the work takes when nobody disturbs it.
const MOMENTS: [f64; 3] = [0.15, 0.5, 0.85];

fn quiet(command: &mut Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Starts the command and kills somebody at a moment of it.
fn killed_at(
    command: &mut Command,
    whole: Duration,
    moment: f64,
    kill_it: impl FnOnce(&mut Child),
) {
    let mut child = quiet(command);
    std::thread::sleep(whole.mul_f64(moment));
    kill_it(&mut child);
    child.wait().unwrap();
}

fn snapshot(workspace: &TestWorkspace, name: &str) -> Command {
    let mut command = hotcell();
    command.args(["snapshot", "create", &workspace.id, name]);
    command
}

fn snapshots(workspace: &TestWorkspace) -> Vec<String> {
    let listed = hotcell().args(["--json", "snapshot", "list", &workspace.id]).output().unwrap();
    let listed = json(&listed);
    let found = listed["snapshots"].as_array().unwrap().iter();
    found.map(|found| found["name"].as_str().unwrap().to_owned()).collect()
}

/// Nothing lies beside the snapshots that there are.
fn assert_tidy(workspace: &TestWorkspace) {
    eventually("nothing half-made is left", || {
        // Each use of the product looks for what was left.
        let there = snapshots(workspace).len();
        let entries = std::fs::read_dir(workspace.directory().join("snapshots"));
        entries.map_or(0, Iterator::count) == there
    });
}

fn reset_to(workspace: &TestWorkspace, name: &str) {
    let reset = ["--yes", "workspace", "reset", &workspace.id, "--to", name];
    assert_code(&hotcell().args(reset).output().unwrap(), 0);
}

fn start(workspace: &TestWorkspace) {
    eventually("it is stopped", || workspace.status()["state"] == "stopped");
    eventually("no process is left", || processes_of(&workspace.directory()).is_empty());
    let start = hotcell().args(["workspace", "start", &workspace.id]).output().unwrap();
    assert_code(&start, 0);
}

#[test]
fn a_snapshot_whose_maker_is_killed_is_there_whole_or_not_at_all() {
    let workspace = TestWorkspace::small();
    workspace.script("echo kept > /workspace/file; echo memory > /dev/shm/memory; sync");
    let begun = Instant::now();
    assert_code(&snapshot(&workspace, "whole").output().unwrap(), 0);
    let whole = begun.elapsed();
    for (n, moment) in MOMENTS.into_iter().enumerate() {
        let name = format!("client-{n}");
        killed_at(&mut snapshot(&workspace, &name), whole, moment, |client| client.kill().unwrap());
        assert_eq!(workspace.script("cat /workspace/file /dev/shm/memory"), "kept\nmemory\n");
        assert_tidy(&workspace);
    }
    for (n, moment) in MOMENTS.into_iter().enumerate() {
        let victim = if n % 2 == 0 { keeper_of } else { monitor_of };
        let victim = victim(&workspace.directory());
        let (file, name) = (format!("echo {n} > /workspace/{n}; sync"), format!("killed-{n}"));
        workspace.script(&file);
        killed_at(&mut snapshot(&workspace, &name), whole, moment, |_| kill(victim));
        start(&workspace);
        assert_tidy(&workspace);
        let seen = workspace.script(&format!("cat /workspace/file /workspace/{n}"));
        assert_eq!(seen, format!("kept\n{n}\n"), "the disks are not what they were");
    }
    for name in snapshots(&workspace) {
        reset_to(&workspace, &name);
        assert_eq!(workspace.script("cat /workspace/file"), "kept\n", "{name}");
    }
}

#[test]
fn a_reset_to_a_snapshot_that_is_killed_leaves_one_state_or_the_other() {
    let workspace = TestWorkspace::small();
    workspace.script("echo then > /workspace/file; sync");
    assert_code(&snapshot(&workspace, "then").output().unwrap(), 0);
    for moment_ms in [0, 30, 90] {
        workspace.script("echo now > /workspace/file; sync");
        let keeper = keeper_of(&workspace.directory());
        let mut reset = hotcell();
        reset.args(["--yes", "workspace", "reset", &workspace.id, "--to", "then"]);
        let mut child = quiet(&mut reset);
        std::thread::sleep(Duration::from_millis(moment_ms));
        kill(keeper);
        child.wait().unwrap();
        start(&workspace);
        let seen = workspace.script("cat /workspace/file");
        assert!(seen == "now\n" || seen == "then\n", "{seen:?}");
        assert!(!workspace.directory().join("disks.other").exists());
    }
    reset_to(&workspace, "then");
    assert_eq!(workspace.script("cat /workspace/file"), "then\n");
}

#[test]
fn a_fork_that_is_killed_leaves_whole_children_and_an_unharmed_parent() {
    let parent = TestWorkspace::small();
    parent.script("echo kept > /workspace/file; sync");
    let name = format!("cut-{}", std::process::id());
    let fork = |number: usize| {
        let mut fork = hotcell();
        let name = format!("{name}-{number}");
        fork.args(["workspace", "fork", &parent.id, "--count", "2", "--name", &name]);
        fork
    };
    let listed = || {
        let like = format!("{name}-*");
        let listed = hotcell().args(["--json", "workspace", "list", "--name", &like]).output();
        json(&listed.unwrap())["workspaces"].as_array().unwrap().clone()
    };
    let begun = Instant::now();
    assert_code(&fork(0).output().unwrap(), 0);
    let whole = begun.elapsed();
    for (n, moment) in MOMENTS.into_iter().enumerate() {
        killed_at(&mut fork(n + 1), whole, moment, |client| client.kill().unwrap());
        assert_eq!(parent.script("cat /workspace/file"), "kept\n");
        assert_tidy(&parent);
    }
    eventually("every child is whole", || listed().iter().all(|child| child["state"] == "running"));
    let children = listed();
    assert!(children.len() >= 2, "{children:?}");
    for child in children {
        let child = TestWorkspace { id: child["id"].as_str().unwrap().to_owned() };
        assert_eq!(child.script("cat /workspace/file"), "kept\n");
        let directory = child.directory();
        drop(child);
        assert_gone(&directory);
    }
}
