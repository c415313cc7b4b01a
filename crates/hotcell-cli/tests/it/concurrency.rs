//! Many at once: commands in one machine, machines on one host.

use std::process::Stdio;

use crate::support::*;

#[test]
fn thirty_two_commands_at_once() {
    let workspace = TestWorkspace::create(&[]);
    // Each waits until all have started, so they cannot have run in turn.
    let script = |n: usize| {
        format!(
            "touch /tmp/started-{n}; \
             until [ $(ls /tmp | grep -c started-) -eq 32 ]; do sleep 0.2; done; echo {n}"
        )
    };
    let children: Vec<_> = (0..32)
        .map(|n| {
            workspace
                .exec_command(&[], &["sh", "-c", &script(n)])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for (n, child) in children.into_iter().enumerate() {
        let output = child.wait_with_output().unwrap();
        assert_code(&output, 0);
        assert_eq!(text(&output.stdout), format!("{n}\n"));
    }
}

#[test]
fn a_command_that_nobody_reads_delays_no_other() {
    let workspace = TestWorkspace::create(&[]);
    let mut stuck = workspace.exec_command(&[], &["yes"]).stdout(Stdio::piped()).spawn().unwrap();
    wait_for_word(&mut stuck, "y");
    for _ in 0..5 {
        assert_eq!(workspace.script("echo through"), "through\n");
    }
    stuck.kill().unwrap();
    stuck.wait().unwrap();
}

#[test]
fn two_processes_use_one_workspace_and_make_machines_at_once() {
    let workspace = TestWorkspace::create(&[]);
    let writer = workspace
        .exec_command(&[], &["sh", "-c", "until [ -e /tmp/go ]; do sleep 0.1; done; echo went"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let other = hotcell()
        .args(["run", ENVIRONMENT, "--", "hostname"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    workspace.script("touch /tmp/go");
    assert_eq!(text(&writer.wait_with_output().unwrap().stdout), "went\n");
    let other = other.wait_with_output().unwrap();
    assert_code(&other, 0);
    assert_ne!(text(&other.stdout), workspace.script("hostname"));
}

#[test]
fn names_are_unique_and_ids_have_prefixes() {
    let name = format!("test-{}", std::process::id());
    let workspace = TestWorkspace::create(&["--name", &name]);
    let taken =
        hotcell().args(["workspace", "create", ENVIRONMENT, "--name", &name]).output().unwrap();
    assert_code(&taken, 114);
    assert!(text(&taken.stderr).contains(&name), "{}", text(&taken.stderr));
    let by_name = hotcell().args(["--json", "workspace", "status", &name]).output().unwrap();
    assert_eq!(json(&by_name)["id"], workspace.id.as_str());
    let prefix = &workspace.id[..20];
    let by_prefix = hotcell().args(["--json", "workspace", "status", prefix]).output().unwrap();
    assert_eq!(json(&by_prefix)["id"], workspace.id.as_str());
    assert_eq!(workspace.script("hostname").trim(), name);
}

#[test]
fn fifty_machines_leave_nothing() {
    let before = std::fs::read_dir(home().join("workspaces")).unwrap().count();
    for _ in 0..50 {
        assert_code(&run(&[], &["true"]), 0);
    }
    assert!(std::fs::read_dir(home().join("workspaces")).unwrap().count() <= before + 2);
}
