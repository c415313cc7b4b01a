//! An operator's repository, a store of it, and workspaces of agents.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use batch_api::{AttemptId, Epoch};
use batch_git::{CommitId, GitError, Limits, Note, Received, Signature, Store};
use tempfile::TempDir;

pub(crate) struct Scene {
    pub(crate) operator: PathBuf,
    pub(crate) stores: PathBuf,
    pub(crate) store: Store,
    pub(crate) base: CommitId,
    scratch: TempDir,
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Runs git in a directory, as somebody who works there, and returns what it prints.
#[track_caller]
pub(crate) fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org"])
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Whether git does as it is told.
pub(crate) fn git_may(directory: &Path, arguments: &[&str]) -> bool {
    Command::new("git").args(arguments).current_dir(directory).output().unwrap().status.success()
}

pub(crate) fn write(directory: &Path, name: &str, content: &str) {
    let path = directory.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

pub(crate) fn attempt(number: u32) -> AttemptId {
    format!("TP-7@app/1#{number}").parse().unwrap()
}

pub(crate) fn note(subject: &str) -> Note {
    Note { subject: subject.into(), trailers: vec![("Hotcell-Unit", "TP-7@app/1".into())] }
}

pub(crate) fn signature() -> Signature {
    Signature { name: "Hotcell".into(), email: "hotcell@localhost".into(), seconds: 1_700_000_000 }
}

impl Scene {
    pub(crate) fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let operator = scratch.path().join("operator");
        fs::create_dir(&operator).unwrap();
        git(&operator, &["init", "--quiet", "--initial-branch=main"]);
        write(&operator, "lines", "one\ntwo\nthree\nfour\nfive\n");
        write(&operator, "src/code", "code\n");
        write(&operator, ".gitignore", "built\n");
        git(&operator, &["add", "--all"]);
        git(&operator, &["commit", "--quiet", "--message=first"]);
        let stores = scratch.path().join("stores");
        let store =
            runtime().block_on(Store::create(&stores, Epoch(1), &operator, "HEAD")).unwrap();
        let base = git(&operator, &["rev-parse", "HEAD"]).parse().unwrap();
        Self { operator, stores, store, base, scratch }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// What a lane starts with: files and history, no remotes.
    pub(crate) fn workspace(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        let from = self.store.path().to_string_lossy().into_owned();
        git(self.scratch.path(), &["clone", "--quiet", &from, name]);
        git(&path, &["remote", "remove", "origin"]);
        path
    }

    /// What the agent left, packed by the script that guests run.
    pub(crate) fn captured(&self, workspace: &Path) -> PathBuf {
        let bundle = workspace.with_extension("bundle");
        let output = Command::new("sh")
            .args(["-c", batch_git::capture::SCRIPT, "capture", self.base.as_str()])
            .arg(&bundle)
            .current_dir(workspace)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        bundle
    }

    pub(crate) fn receive(&self, number: u32, bundle: &Path) -> Result<Received, GitError> {
        let attempt = attempt(number);
        let taken = self.store.receive(&attempt, &self.base, bundle, Limits::default());
        runtime().block_on(taken)
    }

    /// All that an attempt goes through.
    pub(crate) fn result(&self, number: u32, workspace: &Path) -> CommitId {
        self.taken(number, &self.captured(workspace))
    }

    /// What becomes of a bundle.
    pub(crate) fn taken(&self, number: u32, bundle: &Path) -> CommitId {
        let received = self.receive(number, bundle).unwrap();
        let (attempt, note, signature) = (attempt(number), note("the rest"), signature());
        let made = self.store.commit(&attempt, &self.base, &received.work, &note, &signature);
        runtime().block_on(made).unwrap()
    }

    /// Files of a commit in the store, with their content.
    pub(crate) fn file(&self, commit: &CommitId, name: &str) -> String {
        git(self.store.path(), &["show", &format!("{commit}:{name}")])
    }
}
