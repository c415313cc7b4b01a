//! Machines that are stopped and started again.

use std::process::{Output, Stdio};

use crate::support::*;

fn power(workspace: &TestWorkspace, verb: &str) -> Output {
    hotcell().args(["--json", "workspace", verb, &workspace.id]).output().unwrap()
}

#[test]
fn a_stopped_workspace_boots_with_what_was_on_its_disks() {
    let seed = tempfile::tempdir().unwrap();
    std::fs::write(seed.path().join("seeded"), "from the host\n").unwrap();
    let workspace = TestWorkspace::create(&["--seed-path", &seed.path().to_string_lossy()]);
    // Nothing is synced by hand: stopping does that.
    workspace
        .script("echo work > /workspace/file; echo root > /root/file; echo memory > /run/file");
    let stopped = power(&workspace, "stop");
    assert_code(&stopped, 0);
    assert_eq!(json(&stopped)["state"], "stopped");
    eventually("keeper and monitor are gone", || processes_of(&workspace.directory()).is_empty());
    assert_code(&workspace.exec(&[], &["true"]), 118);
    assert_code(&power(&workspace, "stop"), 114);

    let started = power(&workspace, "start");
    assert_code(&started, 0);
    assert_eq!(json(&started)["state"], "running");
    let seen =
        workspace.script("cat /workspace/seeded /workspace/file /root/file; ls /run/file; true");
    assert_eq!(seen, "from the host\nwork\nroot\n");
    assert_code(&power(&workspace, "start"), 114);
    assert!(!workspace.directory().join("ram").exists());
    // A booted machine goes back to what was created like any other.
    assert_code(&power(&workspace, "reset"), 0);
    let seen = workspace.script("cat /workspace/seeded; ls /workspace");
    assert_eq!(seen, "from the host\nseeded\n");
}

#[test]
fn a_stopped_workspace_is_resized_and_what_was_saved_of_it_keeps_its_size() {
    let workspace = TestWorkspace::small();
    let id = workspace.id.as_str();
    let call = |words: &[&str]| hotcell().args(["--json", "--yes"]).args(words).output().unwrap();
    let resize = ["workspace", "update", id, "--cpus", "2", "--memory-mib", "512"];
    assert_code(&call(&["snapshot", "create", id, "before"]), 0);
    let refused = call(&resize);
    assert_code(&refused, 114);
    assert!(text(&refused.stderr).contains("stop it first"), "{}", text(&refused.stderr));
    assert_code(&power(&workspace, "hibernate"), 0);
    assert_code(&call(&resize), 114);
    let shape = |of: &serde_json::Value| (of["cpus"].clone(), of["memory_mib"].clone());
    let (small, large) = ((1.into(), 256.into()), (2.into(), 512.into()));
    assert_eq!(shape(&workspace.status()["shape"]), small);

    assert_code(&power(&workspace, "stop"), 0);
    let resized = call(&resize);
    assert_code(&resized, 0);
    assert_eq!(shape(&json(&resized)["shape"]), large);
    assert_code(&power(&workspace, "start"), 0);
    let seen = || {
        let script = "nproc; sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo";
        let seen = workspace.script(script);
        let (cpus, kibibytes) = seen.trim().split_once('\n').unwrap();
        (cpus.to_owned(), kibibytes.parse::<u32>().unwrap() / 1024)
    };
    let is_large = |(cpus, memory): (String, u32)| cpus == "2" && (257..=512).contains(&memory);
    assert!(is_large(seen()), "{:?}", seen());
    // What its machine is saved as has that size as well.
    assert_code(&power(&workspace, "hibernate"), 0);
    assert!(is_large(seen()), "{:?}", seen());

    // A drive ends where the status says, and the host tells what is used of its own.
    let status = workspace.status();
    let drives = "for drive in vda vdb; do blockdev --getsize64 /dev/$drive; done";
    let drives: u64 = workspace.script(drives).lines().map(|l| l.parse::<u64>().unwrap()).sum();
    assert_eq!(status["disk_max_bytes"], drives);
    let beyond = "dd if=/dev/zero of=/dev/vdb bs=1M seek=16384 count=1";
    assert!(!workspace.exec(&[], &["sh", "-c", beyond]).status.success());
    let memory = status["memory_bytes"].as_u64().unwrap();
    assert!((1 << 20..1 << 30).contains(&memory), "{memory}");

    // A child, and the workspace itself, are as large as what they go back to.
    let forked = call(&["workspace", "fork", id, "--from", "before"]);
    assert_code(&forked, 0);
    let child = json(&forked)["children"][0].clone();
    let _child = TestWorkspace { id: child["id"].as_str().unwrap().to_owned() };
    assert_eq!(shape(&child["shape"]), small);
    let reset = call(&["workspace", "reset", id, "--to", "before"]);
    assert_code(&reset, 0);
    assert_eq!(shape(&json(&reset)["shape"]), small);
    assert_eq!(seen().0, "1");
    assert!(seen().1 <= 256);
}

#[test]
fn a_workspace_whose_machine_died_is_started_again() {
    let workspace = TestWorkspace::create(&[]);
    workspace.script("echo kept > /workspace/file; sync");
    kill(monitor_of(&workspace.directory()));
    eventually("it is stopped", || workspace.status()["state"] == "stopped");
    assert_code(&power(&workspace, "start"), 0);
    assert_eq!(workspace.script("cat /workspace/file"), "kept\n");
    // And once more, after its keeper.
    kill(keeper_of(&workspace.directory()));
    eventually("it is stopped", || workspace.status()["state"] == "stopped");
    assert_code(&power(&workspace, "start"), 0);
    assert_eq!(workspace.script("cat /workspace/file"), "kept\n");
}

#[test]
fn a_start_that_is_killed_loses_nothing() {
    let workspace = TestWorkspace::create(&[]);
    workspace.script("echo kept > /workspace/file");
    assert_code(&power(&workspace, "stop"), 0);
    for delay_ms in [5, 20, 60, 500] {
        let mut start = hotcell();
        start.args(["workspace", "start", &workspace.id]).stdout(Stdio::null());
        let mut child = start.stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(delay_ms));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut state = String::new();
        eventually("it is stopped or running", || {
            state = workspace.status()["state"].as_str().unwrap().to_owned();
            state == "stopped" || state == "running"
        });
        if state == "running" {
            assert_code(&power(&workspace, "stop"), 0);
        }
    }
    assert_code(&power(&workspace, "start"), 0);
    assert_eq!(workspace.script("cat /workspace/file"), "kept\n");
}

#[test]
fn a_host_without_room_refuses_a_machine_before_anything_of_it_is_made() {
    home();
    for (variable, most) in [("HOTCELL_MACHINES_MAX", "0"), ("HOTCELL_MEMORY_MIB_MAX", "1023")] {
        for words in [&["run", ENVIRONMENT, "--", "true"][..], &["workspace", "create"]] {
            let output = hotcell().arg("--json").args(words).env(variable, most).output().unwrap();
            assert_code(&output, 117);
            let told = json(&output)["error"].clone();
            assert_eq!(told["kind"], "exhausted");
            let remedies = told["hints"].to_string();
            assert!(remedies.contains("workspace hibernate"), "{remedies}");
            assert!(remedies.contains(variable), "{remedies}");
        }
    }
    let mut list = hotcell();
    list.args(["workspace", "list"]).env("HOTCELL_MACHINES_MAX", "many");
    assert_code(&list.output().unwrap(), 2);
}
