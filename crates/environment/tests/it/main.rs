//! The crate against the real tools: packages are fetched, images are made and
//! checked with the file system's own tools, and builders are killed.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod build;
mod crash;
mod kernel;
mod tree;

use std::path::Path;
use std::process::Command;

use environment::{Library, Progress};

/// A library in a directory of its own.
fn fresh() -> (tempfile::TempDir, Library) {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let library = Library::open(directory.path()).unwrap();
    (directory, library)
}

fn silent() -> impl FnMut(Progress) {
    |_| {}
}

/// What a program of the host writes; it must succeed.
fn output(program: &str, arguments: &[&str], path: &Path) -> String {
    let output = Command::new(program)
        .args(arguments)
        .arg(path)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// Checks an image; nothing in it may need to be repaired.
fn check(image: &Path) {
    output("e2fsck", &["-f", "-n"], image);
}

/// What `debugfs` says about an image.
fn debugfs(request: &str, image: &Path) -> String {
    output("debugfs", &["-R", request], image)
}

fn entries(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
