//! What a monitor can and cannot do, tried by a monitor.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use machine::launcher::{Descriptors, LaunchPlan, Limits, Reopen, UidPolicy, abilities};
use serde_json::Value;
use tempfile::TempDir;

use crate::probe::{self, OTHER_UID, eventually, is_alive, other_user};

const REFUSED: &str = "PermissionDenied";

const LIMITS: Limits =
    Limits { descriptors: 64, file_bytes: 1 << 20, address_space_bytes: 1 << 32, threads: 16 };

#[tokio::test]
async fn a_monitor_gets_its_own_files_and_nothing_else() {
    check_probe(UidPolicy::Keep).await;
}

#[tokio::test]
async fn a_monitor_started_by_root_runs_as_another_user() {
    let Some(user) = other_user() else { return };
    let report = check_probe(user).await;
    assert_eq!(report["uid"], OTHER_UID);
    assert_eq!(report["groups"], 0);
    assert_eq!(report["signal-parent"], REFUSED);
}

async fn check_probe(user: UidPolicy) -> Value {
    let report = run_probe(user).await;
    assert_eq!(report["found"], "a word from the caller");
    assert_eq!(report["no-new-privs"], true);
    assert_eq!(report["own-session"], true);
    assert_eq!(report["environment"], 0);
    assert_eq!(report["core-limit"], 0);
    // Standard input, output, error, the report, and the report opened again.
    assert_eq!(report["descriptors"], serde_json::json!([0, 1, 2, 3, 4]));
    assert_eq!(report["inet-socket"], REFUSED);
    assert_eq!(report["unix-socket"], REFUSED);
    assert_eq!(report["steal-descriptor"], REFUSED);
    let landlock = abilities().landlock_abi;
    if landlock.is_some() {
        let attempts = ["read-shadow", "read-passwd", "read-forbidden", "list-root"];
        for attempt in attempts.into_iter().chain(["create-in-tmp", "execute"]) {
            assert_eq!(report[attempt], REFUSED, "{attempt}");
        }
        assert_eq!(report["write-parent-memory"], REFUSED);
    }
    if landlock >= Some(6) {
        assert_eq!(report["signal-parent"], REFUSED);
    }
    report
}

async fn run_probe(user: UidPolicy) -> Value {
    let place = TempDir::new().unwrap();
    // The user that the monitor becomes cannot reach the file by its path.
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let report = place.path().join("report");
    let forbidden = place.path().join("forbidden");
    fs::write(&report, "a word from the caller").unwrap();
    fs::write(&forbidden, "not for monitors").unwrap();
    fs::set_permissions(&forbidden, fs::Permissions::from_mode(0o666)).unwrap();
    fs::set_permissions(&report, fs::Permissions::from_mode(0o666)).unwrap();
    // Something that the caller leaks must not reach the monitor.
    let leaked = rustix::io::fcntl_dupfd_cloexec(fs::File::open(&report).unwrap(), 70).unwrap();
    rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty()).unwrap();

    // Anyone can execute this copy, wherever the build directory lies.
    let tools = TempDir::new_in(std::env::temp_dir()).unwrap();
    fs::set_permissions(tools.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = tools.path().join("probe");
    fs::copy(probe::program(), &program).unwrap();
    let mut descriptors = Descriptors::new();
    let file = fs::OpenOptions::new().read(true).write(true).open(&report).unwrap();
    let number = descriptors.add(OwnedFd::from(file), Reopen::ReadWrite);
    let arguments = [
        "probe".to_owned(),
        number.to_string(),
        forbidden.display().to_string(),
        std::process::id().to_string(),
    ];
    let plan = LaunchPlan {
        program,
        arguments: arguments.to_vec(),
        user,
        groups: Vec::new(),
        limits: LIMITS,
        devices: Vec::new(),
    };
    let child = probe::launcher().start(plan, descriptors).unwrap();
    let output = child.wait_with_output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {text}", output.status);
    serde_json::from_slice(&fs::read(&report).unwrap()).unwrap()
}

#[test]
fn a_monitor_dies_with_its_keeper() {
    let place = TempDir::new().unwrap();
    let pid_file = place.path().join("pid");
    let mut keeper = Command::new(probe::program()).arg("keeper").arg(&pid_file).spawn().unwrap();
    let read_pid = || fs::read_to_string(&pid_file).ok()?.parse::<u32>().ok();
    eventually("the keeper starts its monitor", || {
        read_pid().is_some_and(|pid| has_argument(pid, "sleep"))
    });
    let pid = read_pid().unwrap();
    keeper.kill().unwrap();
    keeper.wait().unwrap();
    eventually("the monitor is gone", || !is_alive(pid));
}

#[tokio::test]
async fn a_stage_that_fails_says_at_which_step() {
    let plan = LaunchPlan {
        program: "/nonexistent/monitor".into(),
        arguments: Vec::new(),
        user: UidPolicy::Keep,
        groups: Vec::new(),
        limits: LIMITS,
        devices: Vec::new(),
    };
    let child = probe::launcher().start(plan, Descriptors::new()).unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert!(!output.status.success());
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("Execute") && words.contains("/nonexistent/monitor"), "{words}");
}

#[test]
fn abilities_are_told() {
    let abilities = abilities();
    let root = fs::metadata(Path::new("/proc/self")).unwrap().uid() == 0;
    assert_eq!(abilities.runs_as_root, root);
    assert!(abilities.landlock_abi.is_none_or(|abi| (1..=9).contains(&abi)));
}

fn has_argument(pid: u32, argument: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/cmdline"))
        .is_ok_and(|line| line.split('\0').any(|word| word == argument))
}
