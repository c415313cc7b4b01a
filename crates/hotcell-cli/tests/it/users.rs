//! The same as an ordinary user, where the machine allows it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;

use crate::support::*;

/// A user id that no account has.
const ORDINARY: u32 = 54_321;

/// As root this proves that nothing needs root; as anybody else all other tests
/// do.
#[test]
fn an_ordinary_user_prepares_and_runs() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let scratch = tempfile::tempdir_in("/var/tmp").unwrap();
    let program = scratch.path().join("hotcell");
    fs::copy(crate::support::program(), &program).unwrap();
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // What is prepared is copied, so that this does not build everything again.
    let own = scratch.path().join("home");
    fs::create_dir(&own).unwrap();
    let copied = Command::new("cp")
        .args(["-r", "--sparse=always"])
        .args(["environments", "kernels"].map(|name| home().join(name)))
        .arg(&own)
        .status()
        .unwrap();
    assert!(copied.success());
    give(&own);
    let as_user = |arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        command
            .args([
                &format!("--reuid={ORDINARY}"),
                &format!("--regid={ORDINARY}"),
                "--clear-groups",
            ])
            .arg(&program)
            .args(arguments)
            .env("HOTCELL_HOME", &own)
            .env("HOME", scratch.path())
            .current_dir("/")
            .output()
            .unwrap()
    };
    assert_code(&as_user(&["prepare", ENVIRONMENT]), 0);
    let output = as_user(&["run", ENVIRONMENT, "--", "sh", "-c", "id -u; git --version; exit 5"]);
    assert_code(&output, 5);
    assert!(text(&output.stdout).starts_with("0\ngit version"), "{}", text(&output.stdout));
    let doctor = as_user(&["--json", "doctor"]);
    assert_eq!(json(&doctor)["verdict"], "ready", "{}", text(&doctor.stdout));
}

fn give(path: &std::path::Path) {
    chown(path, Some(ORDINARY), Some(ORDINARY)).unwrap();
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap().flatten() {
            give(&entry.path());
        }
    }
}
