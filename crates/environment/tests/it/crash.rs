//! Builders that are killed, and builders that run out of storage.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use environment::{BuildOptions, BuildOutcome, Cancel};

use crate::{check, entries, fresh, silent};

/// Sizes of storage, from one that cannot hold the lists of packages to one
/// that holds everything.
const STORAGE_MIB: &[u32] = &[40, 100, 125, 145, 165, 180, 195, 210, 400];

/// The example program that builds in a process of its own. It is built with
/// the tests, beside them.
fn builder() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.parent().and_then(Path::parent).unwrap();
    target.join("examples/build_base")
}

/// The processes whose command line names a directory.
fn processes_in(directory: &Path) -> Vec<String> {
    let wanted = directory.as_os_str().to_string_lossy().into_owned();
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(&wanted) {
            found.push(line);
        }
    }
    found
}

fn kill_at(child: &mut Child, phase: &str) {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reached = lines.map_while(Result::ok).any(|line| line.contains(phase));
    assert!(reached, "{phase} was not reached");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_killed_builder_leaves_nothing_half() {
    let (directory, library) = fresh();
    let staging = directory.path().join("staging");
    for phase in ["Downloading", "Installing", "Packing", "Finishing"] {
        let mut builder = Command::new(builder())
            .arg(directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        kill_at(&mut builder, &format!("phase {phase}"));
        let deadline = Instant::now() + Duration::from_secs(5);
        while !processes_in(&staging).is_empty() {
            assert!(Instant::now() < deadline, "{:?}", processes_in(&staging));
            std::thread::sleep(Duration::from_millis(20));
        }
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains(&*staging.to_string_lossy()), "{mounts}");
        // A build that was killed while it published is either there or not.
        for record in library.list().unwrap() {
            check(&record.root_image());
        }
        assert_eq!(entries(&staging).len(), 1, "a stale entry, until it is swept");
        // An orphan that is about to die may still hold the entry's lock.
        while !entries(&staging).is_empty() {
            assert!(Instant::now() < deadline, "{:?}", entries(&staging));
            library.prune(&|_| environment::InUse::No, &Cancel::new()).unwrap();
        }
    }
    let name = "debian:12-base".parse().unwrap();
    let built =
        library.build(&name, &BuildOptions::default(), &mut silent(), &Cancel::new()).unwrap();
    assert!(matches!(built.outcome, BuildOutcome::Built | BuildOutcome::AlreadyPresent));
    check(&built.record.root_image());
}

#[test]
fn a_full_storage_is_told_and_leaves_nothing_half() {
    // Lists, packages, the installed system, the archive, the unpacked tree,
    // the image: as the storage grows, another one is the first not to fit.
    let fitting = STORAGE_MIB.iter().position(|&size| !runs_out(size));
    assert!(fitting.is_some_and(|position| position >= 5), "{fitting:?}");
}

/// Builds on a storage of that size: whether it runs out, which must be told
/// and leave nothing half.
fn runs_out(mib: u32) -> bool {
    let (directory, _library) = fresh();
    let script = r#"mount -t tmpfs -o "$1" none "$2" && shift 2 && "$@" && find "$2" -name root.ext4 -exec e2fsck -f -n {} \;"#;
    let mut unshare = Command::new("unshare");
    unshare.arg("--mount");
    if !is_root() {
        unshare.args(["--user", "--map-root-user", "--map-auto"]);
    }
    let output = unshare
        .args(["sh", "-c", script, "sh", &format!("size={mib}m")])
        .arg(directory.path())
        .arg(builder())
        .arg(directory.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{mib} MiB: {text}{errors}");
    let says = |start: &str| text.lines().any(|line| line.starts_with(start));
    assert!(says("phase "), "{text}");
    assert!(says("staging []"), "{text}");
    if says("built ") {
        return false;
    }
    assert!(says(&format!("storage full {}", directory.path().display())), "{text}");
    assert!(says("hint "), "{text}");
    assert!(says("environments [\"names\"]"), "{text}");
    true
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}
