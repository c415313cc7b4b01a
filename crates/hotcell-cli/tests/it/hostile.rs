//! Guests that do their worst: the host and its other commands go on.

use crate::support::*;

#[test]
fn a_fork_bomb_hits_a_wall() {
    let workspace = TestWorkspace::create(&[]);
    let output = workspace
        .exec(&["--timeout", "10s"], &["bash", "-c", "bomb() { bomb | bomb & }; bomb; sleep 1000"]);
    assert_code(&output, 124);
    // All of it is gone, and the machine is as good as before.
    assert_eq!(workspace.script("pgrep -x bash | wc -l").trim(), "0");
    assert_eq!(workspace.script("echo alive"), "alive\n");
}

#[test]
fn a_memory_hog_is_killed_and_nothing_else() {
    let workspace = TestWorkspace::create(&[]);
    let output = workspace.exec(&["--timeout", "100s"], &["sh", "-c", "tail /dev/zero"]);
    assert_ne!(output.status.code(), Some(0));
    assert_ne!(output.status.code(), Some(124), "it should have been killed for its memory");
    assert_eq!(workspace.script("echo alive"), "alive\n");
}

#[test]
fn a_guest_that_shuts_down_is_reported() {
    let workspace = TestWorkspace::create(&[]);
    let output = workspace.exec(&[], &["sh", "-c", "echo o > /proc/sysrq-trigger; sleep 100"]);
    assert_code(&output, 118);
    eventually("it is stopped", || workspace.status()["state"] == "stopped");
}

#[test]
fn a_process_that_kills_everything_it_can_does_not_end_the_machine() {
    let workspace = TestWorkspace::create(&[]);
    let output = workspace.exec(&[], &["sh", "-c", "kill -9 1; kill -9 -1; echo still here"]);
    assert!(text(&output.stdout).contains("still here"), "{}", text(&output.stdout));
    assert_eq!(workspace.script("echo alive"), "alive\n");
}

#[test]
fn there_is_no_network() {
    let workspace = TestWorkspace::create(&[]);
    let interfaces = workspace.script("ls /sys/class/net");
    assert_eq!(interfaces.trim(), "lo");
    let refused = workspace.exec(&[], &["bash", "-c", "exec 3<>/dev/tcp/192.0.2.1/80"]);
    assert_ne!(refused.status.code(), Some(0));
    assert!(text(&refused.stderr).contains("unreachable"), "{}", text(&refused.stderr));
}
