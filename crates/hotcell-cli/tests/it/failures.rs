//! What happens when something dies, fills up or is interrupted.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::*;

fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// A machine of its own that runs a command for ever.
fn endless_run() -> (Child, PathBuf) {
    endless_run_in(home())
}

fn endless_run_in(home: &Path) -> (Child, PathBuf) {
    let script = "echo ready; sleep 1000";
    let mut child = start(hotcell_in(home).args(["run", ENVIRONMENT, "--", "sh", "-c", script]));
    wait_for_word(&mut child, "ready");
    let directory = directory_of_child(home, &child);
    (child, directory)
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn the_monitor_is_killed_under_a_command() {
    let (child, directory) = endless_run();
    kill(monitor_of(&directory));
    let output = child.wait_with_output().unwrap();
    assert_code(&output, 118);
    assert!(text(&output.stderr).contains("signal 9"), "{}", text(&output.stderr));
    assert_gone(&directory);
}

#[test]
fn the_keeper_is_killed_under_a_command() {
    // A home of its own, in which nobody else's command tidies up.
    let scratch = tempfile::tempdir().unwrap();
    let own = sharing_home(scratch.path(), PREPARED);
    let (child, directory) = endless_run_in(&own);
    let monitor = monitor_of(&directory);
    kill(keeper_of(&directory));
    let output = child.wait_with_output().unwrap();
    assert_code(&output, 118);
    eventually("the monitor is gone", || !Path::new(&format!("/proc/{monitor}")).exists());
    assert_gone(&directory);
}

#[test]
fn the_caller_is_killed_under_a_command() {
    let (mut child, directory) = endless_run();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_gone(&directory);
}

#[test]
fn a_workspace_outlives_neither_monitor_nor_keeper_unnoticed() {
    let killers: [fn(&Path) -> u32; 2] = [monitor_of, keeper_of];
    for victim in killers {
        let workspace = TestWorkspace::create(&[]);
        workspace.script("echo kept > /workspace/file; sync");
        kill(victim(&workspace.directory()));
        eventually("it is stopped", || workspace.status()["state"] == "stopped");
        assert!(workspace.status()["reason"].is_string());
        assert_code(&workspace.exec(&[], &["true"]), 118);
        // Its state is known before the last of them is gone.
        eventually("no process is left", || processes_of(&workspace.directory()).is_empty());
        // Its disks are the only copy of somebody's work.
        assert!(workspace.directory().join("disks/root.qcow2").exists());
    }
}

#[test]
fn interrupting_a_run_cancels_the_command_and_cleans_up() {
    let (child, directory) = endless_run();
    signal(&child, Signal::INT);
    let output = child.wait_with_output().unwrap();
    assert_code(&output, 130);
    assert_gone(&directory);
}

#[test]
fn a_cancelled_command_may_tidy_up_and_its_children_die() {
    let workspace = TestWorkspace::create(&[]);
    let script = "trap 'echo caught > /tmp/caught; exit 0' INT; echo ready; sleep 1000 & wait";
    let mut child = start(&mut workspace.exec_command(&[], &["bash", "-c", script]));
    wait_for_word(&mut child, "ready");
    signal(&child, Signal::INT);
    assert_code(&child.wait_with_output().unwrap(), 130);
    assert_eq!(workspace.script("cat /tmp/caught"), "caught\n");

    let script = "trap '' INT; echo ready; while :; do sleep 1; done";
    let mut stubborn = start(&mut workspace.exec_command(&[], &["bash", "-c", script]));
    wait_for_word(&mut stubborn, "ready");
    signal(&stubborn, Signal::INT);
    assert_code(&stubborn.wait_with_output().unwrap(), 130);
    assert_eq!(workspace.script("pgrep -x bash | wc -l").trim(), "0");

    // Background jobs of such a shell ignore the signal; they go all the same.
    let script = "sleep 1000 & echo ready; wait";
    let mut parent = start(&mut workspace.exec_command(&[], &["sh", "-c", script]));
    wait_for_word(&mut parent, "ready");
    signal(&parent, Signal::INT);
    assert_code(&parent.wait_with_output().unwrap(), 130);
    assert_eq!(workspace.script("pgrep -x sleep | wc -l").trim(), "0");
}

/// Wherever a creation is ended, there is either a workspace or nothing.
#[test]
fn a_creation_that_is_ended_leaves_no_machine_without_an_owner() {
    let delays_ms = [5, 15, 30, 50, 70, 90, 110, 130, 160, 200];
    for (n, (delay_ms, sent)) in
        delays_ms.into_iter().flat_map(|ms| [(ms, Signal::KILL), (ms, Signal::INT)]).enumerate()
    {
        let name = format!("ended-{}-{n}", std::process::id());
        let mut create = hotcell();
        let child = start(create.args(["workspace", "create", ENVIRONMENT, "--name", &name]));
        std::thread::sleep(std::time::Duration::from_millis(delay_ms));
        signal(&child, sent);
        child.wait_with_output().unwrap();
        let mut state = None;
        eventually("it is there whole or not at all", || {
            let status = hotcell().args(["--json", "workspace", "status", &name]).output().unwrap();
            state = (status.status.code() == Some(0)).then(|| json(&status)["state"].clone());
            state.as_ref().is_none_or(|state| state == "running")
        });
        if state.is_some() {
            // A creation that was just completed is either kept or on its way out.
            hotcell().args(["--yes", "workspace", "delete", &name]).output().unwrap();
        }
        eventually("nothing is left", || {
            let status = hotcell().args(["workspace", "status", &name]).output().unwrap();
            status.status.code() == Some(113)
        });
    }
    eventually("no machine is left without a record", || {
        let listed = hotcell().args(["--json", "workspace", "list"]).output().unwrap();
        let listed = text(&listed.stdout);
        fs::read_dir("/proc").unwrap().flatten().all(|process| {
            let Ok(links) = fs::read_dir(process.path().join("fd")) else { return true };
            links.flatten().filter_map(|link| fs::read_link(link.path()).ok()).all(|path| {
                let path = path.to_string_lossy();
                match path.find("/workspaces/ws_") {
                    Some(at) if path.starts_with(&*home().to_string_lossy()) => {
                        listed.contains(&path[at + 12..at + 12 + 35])
                    }
                    _ => true,
                }
            })
        })
    });
}

#[test]
fn nothing_is_booted_behind_the_users_back() {
    let output = run(&["--memory-mib", "300"], &["true"]);
    assert_code(&output, 116);
    let words = text(&output.stderr);
    assert!(words.contains("hotcell prepare debian:12 --memory-mib 300"), "{words}");
}

const PREPARED: &[&str] = &["environments", "kernels", "initrds", "templates", "seeds"];

/// Runs a script as root of a mount namespace of its own.
fn in_mount_namespace(script: &str) -> Command {
    let mut command = Command::new("unshare");
    let flags = if rustix::process::geteuid().is_root() { "-m" } else { "-rm" };
    command.args([flags, "sh", "-euc", script]).stdin(Stdio::null());
    command
}

#[test]
fn the_hosts_disk_fills_up_during_a_run() {
    let scratch = tempfile::tempdir().unwrap();
    let own = sharing_home(scratch.path(), PREPARED);
    fs::create_dir(own.join("workspaces")).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=24m,mode=700 tmpfs {home}/workspaces
         set +e
         HOTCELL_HOME={home} {program} --json run {ENVIRONMENT} -- \
             sh -c 'dd if=/dev/urandom of=/root/big bs=1M count=64; sync; echo survived'
         code=$?
         ls {home}/workspaces >&2
         exit $code",
        home = own.display(),
        program = program().display(),
    );
    let output = in_mount_namespace(&script).output().unwrap();
    assert_code(&output, 117);
    let error = &json(&output)["error"];
    assert_eq!(error["kind"], "exhausted", "{error}");
    assert!(!text(&output.stderr).contains("ws_"), "left over: {}", text(&output.stderr));
}

#[test]
fn the_hosts_disk_is_full_during_a_build() {
    let scratch = tempfile::tempdir().unwrap();
    let script = format!(
        "mount -t tmpfs -o size=60m,mode=700 tmpfs {at}
         set +e
         export HOTCELL_HOME={at}/home
         {program} --json env build debian:12-base
         code=$?
         {program} --json env inspect debian:12-base | grep -q '\"installed\": null' || exit 99
         find {at}/home/staging -mindepth 1 | sed 's/^/left over: /' >&2
         exit $code",
        at = scratch.path().display(),
        program = program().display(),
    );
    let output = in_mount_namespace(&script).output().unwrap();
    assert_code(&output, 117);
    assert!(!text(&output.stderr).contains("left over"), "{}", text(&output.stderr));
}

#[test]
fn an_interrupted_build_leaves_no_half_environment() {
    let scratch = tempfile::tempdir().unwrap();
    for (sent, code) in [(Signal::INT, Some(130)), (Signal::KILL, None)] {
        let mut build = hotcell_in(scratch.path());
        let mut child = start(build.args(["env", "build", "debian:12-base"]));
        let staging = scratch.path().join("staging");
        eventually("the build is under way", || {
            fs::read_dir(&staging).is_ok_and(|mut entries| entries.next().is_some())
        });
        std::thread::sleep(std::time::Duration::from_secs(2));
        signal(&child, sent);
        assert_eq!(child.wait().unwrap().code(), code);
        let mut inspect = hotcell_in(scratch.path());
        let seen = inspect.args(["--json", "env", "inspect", "debian:12-base"]).output().unwrap();
        assert!(json(&seen)["environment"]["installed"].is_null());
    }
    // What the killed build left is swept, and nothing keeps it mounted or open.
    let pruned = hotcell_in(scratch.path()).args(["env", "prune"]).output().unwrap();
    assert_code(&pruned, 0);
    eventually("the leftovers are gone", || {
        hotcell_in(scratch.path()).args(["env", "prune"]).output().unwrap();
        fs::read_dir(scratch.path().join("staging")).unwrap().next().is_none()
    });
}

#[test]
fn a_guest_that_does_not_come_up_shows_its_console() {
    let scratch = tempfile::tempdir().unwrap();
    let own = sharing_home(scratch.path(), &["environments", "kernels", "seeds"]);
    // An initial file system without an agent in it.
    fs::create_dir(own.join("initrds")).unwrap();
    for image in fs::read_dir(home().join("initrds")).unwrap().flatten() {
        fs::write(own.join("initrds").join(image.file_name()), [0; 4096]).unwrap();
    }
    let output = hotcell_in(&own).args(["--json", "prepare", ENVIRONMENT]).output().unwrap();
    assert_code(&output, 118);
    let words = text(&output.stderr);
    assert!(words.contains("the guest's console ends with"), "{words}");
    assert!(words.contains("panic"), "{words}");
    let left = fs::read_dir(own.join("templates")).unwrap().flatten();
    assert!(left.into_iter().all(|entry| entry.path().extension().is_some_and(|x| x == "lock")));
}

/// A home of its own with copies of the templates, which a copy makes invalid.
fn home_with_copied_templates(at: &Path) -> PathBuf {
    let own = sharing_home(at, &["environments", "kernels", "initrds", "seeds"]);
    let copied = Command::new("cp")
        .args(["-r", "--sparse=always"])
        .arg(home().join("templates"))
        .arg(&own)
        .status()
        .unwrap();
    assert!(copied.success());
    own
}

#[test]
fn a_damaged_template_is_noticed_before_it_is_used() {
    let scratch = tempfile::tempdir().unwrap();
    let own = home_with_copied_templates(scratch.path());
    let output = hotcell_in(&own).args(["run", ENVIRONMENT, "--", "true"]).output().unwrap();
    assert_code(&output, 116);
    assert!(text(&output.stderr).contains("written to"), "{}", text(&output.stderr));
}

#[test]
fn a_resumed_guest_that_stays_silent_is_given_up() {
    let scratch = tempfile::tempdir().unwrap();
    let own = home_with_copied_templates(scratch.path());
    // Its agent waits for a token that nobody knows any more.
    for template in fs::read_dir(own.join("templates")).unwrap().flatten() {
        let path = template.path().join("manifest.json");
        let Ok(text) = fs::read(&path) else { continue };
        let mut manifest: serde_json::Value = serde_json::from_slice(&text).unwrap();
        manifest["token"] = vec![0; 32].into();
        let ram = fs::metadata(template.path().join("ram")).unwrap();
        manifest["ram"] = serde_json::json!({
            "inode": ram.ino(), "length": ram.len(),
            "changed_s": ram.ctime(), "changed_ns": ram.ctime_nsec(),
        });
        fs::write(&path, manifest.to_string()).unwrap();
    }
    let output = hotcell_in(&own).args(["run", ENVIRONMENT, "--", "true"]).output().unwrap();
    assert_code(&output, 124);
    let words = text(&output.stderr);
    assert!(words.contains("did not answer within"), "{words}");
    assert!(words.contains("hotcell prepare --force"), "{words}");
    assert_eq!(fs::read_dir(own.join("workspaces")).unwrap().count(), 0);
}
