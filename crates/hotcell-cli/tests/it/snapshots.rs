//! Snapshots of running workspaces, and going back to them.

use std::process::Output;

use serde_json::Value;

use crate::support::*;

/// Runs `hotcell --json NOUN VERB WORKSPACE …`.
fn call(workspace: &TestWorkspace, noun: &str, verb: &str, arguments: &[&str]) -> Output {
    let mut hotcell = hotcell();
    hotcell.args(["--yes", "--json", noun, verb, &workspace.id]).args(arguments).output().unwrap()
}

fn done(workspace: &TestWorkspace, noun: &str, verb: &str, arguments: &[&str]) -> Value {
    let output = call(workspace, noun, verb, arguments);
    assert_code(&output, 0);
    json(&output)
}

fn names(workspace: &TestWorkspace) -> Vec<String> {
    let listed = done(workspace, "snapshot", "list", &[]);
    let snapshots = listed["snapshots"].as_array().unwrap();
    snapshots.iter().map(|found| found["name"].as_str().unwrap().to_owned()).collect()
}

fn reset_to(workspace: &TestWorkspace, snapshot: &str) {
    done(workspace, "workspace", "reset", &["--to", snapshot]);
}

#[test]
fn a_workspace_goes_back_with_disks_memory_and_everything_that_ran() {
    let seed = tempfile::tempdir().unwrap();
    std::fs::write(seed.path().join("seeded"), "from the host").unwrap();
    let workspace = TestWorkspace::small_with(&["--seed-path", seed.path().to_str().unwrap()]);
    workspace.script("echo one > /workspace/file; echo one > /root/file; echo one > /dev/shm/mem");
    let ticking = "n=0; while :; do echo tick $n; n=$((n+1)); sleep 0.2; done";
    let command = done(&workspace, "command", "start", &["--", "sh", "-c", ticking]);
    let command = command["id"].as_str().unwrap();
    let shell = done(&workspace, "shell", "open", &[]);
    let shell = shell["id"].as_str().unwrap();
    done(&workspace, "shell", "write", &[shell, "--text", "X=kept"]);
    let keeper = keeper_of(&workspace.directory());
    let who = || workspace.script("cat /etc/machine-id; cat /proc/sys/kernel/random/uuid");
    let mut seen = vec![who()];

    let taken = done(&workspace, "snapshot", "create", &["one"]);
    assert_eq!(taken["snapshot"]["jobs"], 2, "{taken}");
    assert!(taken["snapshot"]["pause_us"].as_u64().unwrap() > 0, "{taken}");
    assert!(taken["snapshot"]["memory_bytes"].as_u64().unwrap() > 1 << 20, "{taken}");
    assert_code(&call(&workspace, "snapshot", "create", &["one"]), 114);
    assert_eq!(workspace.script("cat /workspace/file /dev/shm/mem"), "one\none\n");

    // What is done now is undone later: files, memory, processes.
    workspace.script("echo two > /workspace/file; rm /root/file /workspace/seeded");
    workspace.script("echo two > /dev/shm/mem; sync");
    done(&workspace, "snapshot", "create", &["two"]);
    assert_eq!(names(&workspace), ["two", "one"]);
    done(&workspace, "command", "signal", &[command, "--signal", "KILL"]);
    assert_code(&call(&workspace, "command", "wait", &[command]), 137);
    let late = done(&workspace, "command", "start", &["--", "sleep", "1000"]);

    reset_to(&workspace, "one");
    let files = "cat /workspace/file /root/file /dev/shm/mem /workspace/seeded";
    assert_eq!(workspace.script(files), "one\none\none\nfrom the host");
    let status = |id: &str| done(&workspace, "command", "status", &[id])["status"].clone();
    assert_eq!(status(command)["state"], "running");
    let heard = status(command)["stdout_bytes"].as_u64().unwrap();
    eventually("it ticks", || status(command)["stdout_bytes"].as_u64().unwrap() > heard + 10);
    assert_eq!(status(late["id"].as_str().unwrap())["state"], "lost");
    let cursor = done(&workspace, "shell", "write", &[shell, "--text", "echo it is $X"]);
    let read = ["--cursor", &cursor["cursor"].to_string(), "--idle", "400ms"];
    eventually("the shell goes on", || {
        let shown = done(&workspace, "shell", "read", &[&[shell], &read[..]].concat());
        shown["output"]["text"].as_str().unwrap().contains("it is kept")
    });
    seen.push(who());

    // Forward again, to the very beginning, and back once more.
    reset_to(&workspace, "two");
    assert_eq!(workspace.script("cat /workspace/file /dev/shm/mem"), "two\ntwo\n");
    assert!(!workspace.exec(&[], &["ls", "/root/file"]).status.success());
    reset_to(&workspace, "baseline");
    assert_eq!(workspace.script("cat /workspace/seeded; ls /workspace"), "from the hostseeded\n");
    assert_eq!(status(command)["state"], "lost");
    seen.push(who());
    reset_to(&workspace, "one");
    assert_eq!(workspace.script(files), "one\none\none\nfrom the host");
    seen.push(who());
    assert_eq!(keeper_of(&workspace.directory()), keeper, "the keeper is another one");
    for (n, one) in seen.iter().enumerate() {
        assert!(!seen[..n].contains(one), "two resumed machines are taken for each other: {one}");
    }

    // A snapshot takes nothing with it, neither of the workspace nor of others.
    done(&workspace, "snapshot", "delete", &["one"]);
    assert_eq!(workspace.script(files), "one\none\none\nfrom the host");
    assert_code(&call(&workspace, "workspace", "reset", &["--to", "one"]), 113);
    assert_code(&call(&workspace, "snapshot", "delete", &["one"]), 113);
    reset_to(&workspace, "two");
    assert_eq!(workspace.script("cat /workspace/file"), "two\n");

    // Stopped, it has no memory to snapshot, and boots from what it has.
    workspace.script("echo three > /workspace/file");
    done(&workspace, "workspace", "stop", &[]);
    assert_code(&call(&workspace, "snapshot", "create", &["three"]), 114);
    assert_eq!(names(&workspace), ["two"]);
    done(&workspace, "workspace", "start", &[]);
    assert_eq!(workspace.script("cat /workspace/file"), "three\n");
    let kinds: Vec<String> = done(&workspace, "workspace", "logs", &[])["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["event"]["kind"].as_str().unwrap().to_owned())
        .collect();
    let count = |kind: &str| kinds.iter().filter(|found| *found == kind).count();
    assert_eq!(
        (count("snapshot_created"), count("reset"), count("snapshot_deleted")),
        (2, 5, 1),
        "{kinds:?}"
    );
}

/// How many layers each drive has.
fn depths(workspace: &TestWorkspace) -> [usize; 2] {
    let chain = std::fs::read(workspace.directory().join("disks/chain.json")).unwrap();
    let chain: Value = serde_json::from_slice(&chain).unwrap();
    ["root", "workspace"].map(|drive| chain[drive].as_array().unwrap().len())
}

#[test]
fn many_snapshots_do_not_make_the_chains_of_layers_long() {
    let workspace = TestWorkspace::small();
    for number in 1..=16 {
        workspace.script(&format!("echo {number} > /workspace/{number}; sync"));
        let name = format!("after-{number}");
        done(&workspace, "snapshot", "create", &[&name]);
        // Two are kept, from before and after what becomes one layer.
        if number != 2 && number != 15 {
            done(&workspace, "snapshot", "delete", &[&name]);
        }
    }
    eventually("the layers have become few", || depths(&workspace).iter().all(|depth| *depth < 10));
    let files = |count: usize| (1..=count).map(|n| format!("{n}\n")).collect::<String>();
    assert_eq!(workspace.script("cat $(ls -v)"), files(16));
    reset_to(&workspace, "after-2");
    assert_eq!(workspace.script("cat $(ls -v)"), files(2));
    reset_to(&workspace, "after-15");
    assert_eq!(workspace.script("cat $(ls -v)"), files(15));
    // Nothing lies beside the layers on record, and it boots from those.
    let layers: usize = depths(&workspace).iter().sum();
    done(&workspace, "workspace", "stop", &[]);
    done(&workspace, "workspace", "start", &[]);
    assert_eq!(workspace.script("cat $(ls -v)"), files(15));
    let disks = std::fs::read_dir(workspace.directory().join("disks")).unwrap();
    assert_eq!(disks.count(), layers + 1, "a layer or the record of them is too many");
}

#[test]
fn bad_names_are_refused_and_change_nothing() {
    let workspace = TestWorkspace::create(&[]);
    for bad in ["../up", "Upper", "baseline", ""] {
        assert_code(&call(&workspace, "snapshot", "create", &[bad]), 2);
    }
    assert_code(&call(&workspace, "workspace", "reset", &["--to", "none"]), 113);
    assert_eq!(workspace.script("echo here"), "here\n");
    assert!(!workspace.directory().join("snapshots").exists());
}
