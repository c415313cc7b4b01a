//! Checkouts of a commit that an agent of the host works in: a repository of its own
//! each, that shares no object, no reference and no setting with the store.
//!
//! A linked worktree would: whoever works in it could change what the store refers to,
//! and how git behaves there. Objects are sent, not linked, for what somebody writes into
//! a file with two names is in both. Of history there is the commit itself, so what is
//! captured later can be told apart from nothing before it.
//!
//! git runs here before an agent does, and never again: see [`crate::capture`].

use std::fs;
use std::path::Path;

use host_git::Git;

use crate::GitError;
use crate::names::CommitId;
use crate::store::{Store, WHOLE};

/// The branch that is checked out.
const BRANCH: &str = "main";

impl Store {
    /// Makes a repository in a new directory, with a commit checked out and no remotes.
    ///
    /// # Errors
    ///
    /// If something is there, or the store has no such commit, or another owner.
    pub async fn check_out(&self, commit: &CommitId, directory: &Path) -> Result<(), GitError> {
        let step = "checking a commit out";
        let format = self.git()?.line(&["rev-parse", "--show-object-format"]).await;
        let format = format.map_err(GitError::during(step))?.unwrap_or_else(|| "sha1".into());
        fs::create_dir(directory).map_err(GitError::at("create", directory))?;
        let inside = directory.join(".git");
        fs::create_dir(&inside).map_err(GitError::at("create", &inside))?;
        let git = Git::of_engine(&inside).within(WHOLE);
        let (store, tree) = (self.path().to_string_lossy(), directory.to_string_lossy());
        let format = format!("--object-format={format}");
        let branch = format!("--initial-branch={BRANCH}");
        let (objects, work) =
            (format!("{commit}:refs/heads/{BRANCH}"), ["-C", &tree, "--work-tree", &tree]);
        let init = ["init", "--quiet", "--template=", &format, &branch];
        let fetch = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--update-head-ok"];
        let fetch = [&fetch[..], &["--depth=1", "--", &store, &objects]].concat();
        let fill = [&work[..], &["checkout", "--quiet", "--force", BRANCH]].concat();
        let whole = ["config", "core.bare", "false"];
        // What the agent commits reaches the disk before what names it.
        let durable = ["config", "core.fsync", "all"];
        for question in [&init[..], &whole, &durable, &fetch, &fill] {
            git.run(question).await.map_err(GitError::during(step))?;
        }
        Ok(())
    }
}
