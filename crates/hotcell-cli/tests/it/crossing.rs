//! What crosses between host and guest after a workspace was created.

mod apply_back;
mod export;
mod push;

use std::fs;

use crate::support::git;

/// A checkout with 300 tracked files, and directories that are ignored.
fn checkout() -> tempfile::TempDir {
    let source = tempfile::tempdir().unwrap();
    let at = |name: &str| source.path().join(name);
    git(source.path(), &["init", "--quiet", "--initial-branch=main"]);
    fs::create_dir(at("src")).unwrap();
    for n in 0..300 {
        fs::write(at(&format!("file-{n}")), vec![b'x'; n * 10]).unwrap();
    }
    fs::write(at("src/code"), "code\n").unwrap();
    fs::write(at(".gitignore"), "build/\n").unwrap();
    git(source.path(), &["add", "."]);
    git(source.path(), &["commit", "--quiet", "-m", "all"]);
    fs::create_dir(at("build")).unwrap();
    fs::write(at("build/output"), "ours\n").unwrap();
    source
}
