//! Helpers of the tests.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use machine::launcher::{Launcher, UidPolicy, UidUse};

/// A user that exists nowhere.
pub(crate) const OTHER_UID: u32 = 61_234;

/// The longest wait for something that takes milliseconds, in seconds.
const PATIENCE_S: u64 = 30;

/// The example program that stands in for stage, monitor and keeper. It is
/// built with the tests, beside them.
pub(crate) fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.parent().and_then(Path::parent).unwrap();
    target.join("examples/confinement_probe")
}

pub(crate) fn launcher() -> Launcher {
    Launcher { program: program(), arguments: vec!["stage".into()] }
}

/// Another user to run as, if we are root.
pub(crate) fn other_user() -> Option<UidPolicy> {
    let root = rustix::process::geteuid().is_root();
    // Tests run side by side and share the user, so nothing is counted by it.
    root.then_some(UidPolicy::Drop { uid: OTHER_UID, gid: OTHER_UID, uid_use: UidUse::Shared })
}

/// Whether a process is there and not just waiting to be reaped.
pub(crate) fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| stat.rsplit_once(") ").map(|(_, rest)| !rest.starts_with('Z')))
        .unwrap_or(false)
}

pub(crate) fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let started = Instant::now();
    while !check() {
        assert!(started.elapsed() < Duration::from_secs(PATIENCE_S), "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
