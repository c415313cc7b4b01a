//! Trees that come out as they went in.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use file_tree::{Root, copy};

use crate::support::*;

#[test]
fn a_tree_survives_packing_and_unpacking() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    rich_tree(from.path());
    let archive = packed(from.path());
    assert!(archive.len() < 2_000_000, "holes were written: {}", archive.len());
    unpacked(&archive, to.path()).unwrap();
    assert_same(from.path(), to.path(), 1);
}

#[test]
fn a_tree_survives_copying() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    rich_tree(from.path());
    let (source, target) = (Root::open(from.path()).unwrap(), Root::open(to.path()).unwrap());
    copy(&source, &list(from.path()), &target, &mut |_, error| Err(error)).unwrap();
    assert_same(from.path(), to.path(), 1);
}

#[test]
fn tar_reads_what_is_written() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    rich_tree(from.path());
    let mut tar = Command::new("tar")
        .args(["-x", "-p", "-S", "-C"])
        .arg(to.path())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    tar.stdin.take().unwrap().write_all(&packed(from.path())).unwrap();
    assert!(tar.wait().unwrap().success());
    assert_same(from.path(), to.path(), 1);
}

#[test]
fn what_tar_writes_is_read() {
    let formats: &[(&[&str], u32)] = &[
        (&["--format=posix", "--sparse"], 1),
        (&["--format=posix", "--sparse", "--sparse-version=0.1"], 1),
        (&["--format=gnu", "--sparse"], 1_000_000_000),
        (&["--format=gnu"], 1_000_000_000),
    ];
    for (format, nanoseconds) in formats {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        rich_tree(from.path());
        if !format.contains(&"--sparse") {
            fs::remove_file(from.path().join("sparse")).unwrap();
            fs::remove_file(from.path().join("hole-only")).unwrap();
        }
        let made = Command::new("tar")
            .args(*format)
            .arg("-c")
            .arg("-C")
            .arg(from.path())
            .arg(".")
            .output()
            .unwrap();
        assert!(made.status.success());
        unpacked(&made.stdout, to.path()).unwrap_or_else(|error| panic!("{format:?}: {error:?}"));
        assert_same(from.path(), to.path(), *nanoseconds);
    }
}
