//! Workspaces that are put back to how they were created.

use std::fs;

use crate::support::*;

fn reset(workspace: &TestWorkspace) {
    let output =
        hotcell().args(["--yes", "--json", "workspace", "reset", &workspace.id]).output().unwrap();
    assert_code(&output, 0);
    assert_eq!(json(&output)["id"], workspace.id.as_str());
    assert_eq!(json(&output)["state"], "running");
}

#[test]
fn disk_memory_and_processes_are_those_of_a_new_workspace() {
    let seed = tempfile::TempDir::new().unwrap();
    fs::write(seed.path().join("seeded"), "from the host").unwrap();
    let workspace = TestWorkspace::create(&["--seed-path", seed.path().to_str().unwrap()]);
    let keeper = keeper_of(&workspace.directory());
    let who = || workspace.script("cat /etc/machine-id; cat /proc/sys/kernel/random/uuid");
    let mut seen = vec![who()];
    for _ in 0..3 {
        workspace.script(
            "echo changed > /workspace/seeded; echo new > /workspace/new; echo new > /root/new
            echo new > /dev/shm/new; sleep 1000 < /dev/null > /dev/null 2>&1 & sync",
        );
        reset(&workspace);
        assert_eq!(workspace.script("cat /workspace/seeded"), "from the host");
        let left = "ls /workspace/new /root/new /dev/shm/new 2> /dev/null; pidof sleep; true";
        assert_eq!(workspace.script(left), "");
        // Two machines of one template are not taken for each other.
        let now = who();
        assert!(!seen.contains(&now), "{now}");
        seen.push(now);
    }
    assert_eq!(keeper_of(&workspace.directory()), keeper, "the keeper is another one");
    assert!(!workspace.directory().join("disks.other").exists());
}

#[test]
fn a_command_under_way_is_lost_and_says_so() {
    let workspace = TestWorkspace::create(&[]);
    let mut exec = workspace.exec_command(&[], &["sh", "-c", "echo ready; exec sleep 1000"]);
    exec.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = exec.spawn().unwrap();
    wait_for_word(&mut child, "ready");
    reset(&workspace);
    let output = child.wait_with_output().unwrap();
    assert_code(&output, 118);
    assert!(text(&output.stderr).contains("was reset"), "{}", text(&output.stderr));
    assert_eq!(workspace.script("echo here"), "here\n");
}

#[test]
fn a_keeper_killed_around_a_reset_leaves_a_stopped_workspace_with_whole_disks() {
    for delay_ms in [0, 20, 40, 80, 160] {
        let workspace = TestWorkspace::create(&[]);
        let keeper = keeper_of(&workspace.directory());
        let mut resetting =
            hotcell().args(["--yes", "workspace", "reset", &workspace.id]).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(delay_ms));
        kill(keeper);
        resetting.wait().unwrap();
        eventually("it is stopped", || workspace.status()["state"] == "stopped");
        eventually("no process is left", || processes_of(&workspace.directory()).is_empty());
        for disk in ["root.qcow2", "workspace.qcow2"] {
            let image = fs::read(workspace.directory().join("disks").join(disk)).unwrap();
            assert!(image.starts_with(b"QFI\xfb"), "{disk}");
        }
        let refused = hotcell().args(["--yes", "workspace", "reset", &workspace.id]).output();
        assert_code(&refused.unwrap(), 118);
    }
}
