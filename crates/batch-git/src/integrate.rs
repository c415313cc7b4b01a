//! Handing verified work over to the operator's repository.
//!
//! A batch only ever adds a branch of its own there ([`Store::publish`]), which
//! touches neither checkout, index nor any other branch. What goes further is done
//! because the operator says so ([`Store::integrate`]), with the operator's settings,
//! and forwards only: a branch that has moved on is refused or merged, never reset.
//!
//! What is brought is one commit, told beforehand. So it can be done again whatever became
//! of the first time, and looked up ([`Store::has_arrived`]): branches of the operator's,
//! and those of a remote, tell.

use std::path::{Path, PathBuf};

use host_git::Git;

use crate::GitError;
use crate::commit::{Note, Signature};
use crate::merge::Merged;
use crate::names::CommitId;
use crate::store::{Change, From, Store, commit_in, contains};

/// What is handed over.
const HANDED: &str = "refs/hotcell/handed-over";

/// Where the operator's branch is kept while it is merged.
const TARGET: &str = "refs/hotcell/operator/target";

/// What was made of both.
const INTEGRATED: &str = "refs/hotcell/integrated";

/// The operator's repository, and what git gets of the operator's environment there.
#[derive(Debug, Clone)]
pub struct Operator {
    checkout: PathBuf,
    variables: Vec<(String, String)>,
}

impl Operator {
    /// A checkout, with the environment of this process.
    #[must_use]
    pub fn at(checkout: &Path) -> Self {
        Self { checkout: checkout.to_owned(), variables: Vec::new() }
    }

    /// With variables more.
    #[must_use]
    pub fn with(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.variables.extend(variables);
        self
    }

    fn git(&self) -> Git {
        self.git_in(&self.checkout)
    }

    fn git_in(&self, checkout: &Path) -> Git {
        Git::of_operator(checkout).among(self.variables.iter().cloned())
    }
}

/// How work comes to where it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// A branch moves forward to it.
    FastForward {
        /// Which.
        into: String,
    },
    /// A merge commit is made, and a branch moves forward to that.
    Merge {
        /// Which.
        into: String,
    },
    /// The batch's own branch is pushed to a remote, for a pull request.
    Push {
        /// A remote of the operator's repository, by its name.
        remote: String,
    },
}

/// Where the work is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Integrated {
    /// The branch is at this commit.
    At(CommitId),
    /// The branch held it already.
    Already,
    /// The remote has the batch's branch, at this commit.
    Pushed(CommitId),
}

impl Store {
    /// Makes a commit of the integration branch a branch of the operator's repository,
    /// called `branch`.
    ///
    /// # Errors
    ///
    /// If that branch is checked out somewhere, or holds what is not the batch's.
    pub async fn publish(
        &self,
        operator: &Operator,
        tip: &CommitId,
        branch: &str,
    ) -> Result<(), GitError> {
        checked(operator, branch).await?;
        if !self.is_integrated(tip).await? {
            let what = format!("commit {tip} on the integration branch");
            return Err(GitError::Missing { what, path: self.path().to_owned() });
        }
        let (name, to) = (HANDED.to_owned(), tip.clone());
        self.update(&[Change { name, to, from: From::Anywhere }]).await?;
        self.give(operator, branch, &format!("{HANDED}:refs/heads/{branch}")).await
    }

    /// Brings a commit of the integration branch, published as `branch`, to where the
    /// operator wants it.
    ///
    /// # Errors
    ///
    /// [`GitError::InTheWay`] with what is to be done about it; then nothing has
    /// changed but the published branch.
    pub async fn integrate(
        &self,
        operator: &Operator,
        tip: &CommitId,
        branch: &str,
        way: &Way,
        note: &Note,
        signature: &Signature,
    ) -> Result<Integrated, GitError> {
        self.publish(operator, tip, branch).await?;
        match way {
            Way::FastForward { into } => forward(operator, into, tip).await,
            Way::Merge { into } => {
                let theirs = tip_of(operator, into).await?;
                self.take(operator, into, &theirs).await?;
                match self.merge(&theirs, tip, note, signature).await? {
                    Merged::Already => Ok(Integrated::Already),
                    Merged::Conflict(paths) => Err(GitError::InTheWay(format!(
                        "`{into}` and the batch changed the same: {}",
                        paths.join(", ")
                    ))),
                    Merged::Commit(merged) => {
                        let name = INTEGRATED.to_owned();
                        let to = merged.clone();
                        self.update(&[Change { name, to, from: From::Anywhere }]).await?;
                        self.give(operator, into, &format!("+{INTEGRATED}:{INTEGRATED}")).await?;
                        forward(operator, into, &merged).await
                    }
                }
            }
            Way::Push { remote } => push(operator, remote, branch, tip).await,
        }
    }

    /// Whether a commit is where it was to be brought; the commit that is there, then.
    ///
    /// # Errors
    ///
    /// If the operator's repository, or the remote, cannot be asked.
    pub async fn has_arrived(
        &self,
        operator: &Operator,
        tip: &CommitId,
        branch: &str,
        way: &Way,
    ) -> Result<Option<CommitId>, GitError> {
        // One that was replaced says nothing.
        self.check_owner()?;
        let (into, git) = match way {
            Way::FastForward { into } | Way::Merge { into } => (into, operator.git()),
            Way::Push { remote } => return pushed(operator, remote, branch, tip).await,
        };
        let theirs = match tip_of(operator, into).await {
            Err(GitError::Missing { .. }) => return Ok(None),
            theirs => theirs?,
        };
        let question = format!("{tip}^{{commit}}");
        let question = ["rev-parse", "--verify", "--quiet", "--end-of-options", &question];
        let step = "looking for what was handed over";
        let is_there = git.line(&question).await.map_err(GitError::during(step))?.is_some();
        Ok((is_there && contains(&git, &theirs, tip).await?).then_some(theirs))
    }

    /// Fetches one of our names over there, for the sake of `branch`.
    async fn give(&self, operator: &Operator, branch: &str, names: &str) -> Result<(), GitError> {
        let from = self.git()?.place().to_string_lossy().into_owned();
        let fetch = [
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--no-recurse-submodules",
            "--",
            &*from,
            names,
        ];
        operator.git().run(&fetch).await.map_err(|failure| in_the_way(branch, failure))?;
        Ok(())
    }

    /// Fetches a branch from over there.
    async fn take(
        &self,
        operator: &Operator,
        target: &str,
        tip: &CommitId,
    ) -> Result<(), GitError> {
        let from = operator.checkout.to_string_lossy();
        let names = format!("+refs/heads/{target}:{TARGET}");
        let fetch =
            ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", &*from, &names];
        self.git()?
            .run(&fetch)
            .await
            .map_err(GitError::during("fetching the operator's branch"))?;
        match self.find(TARGET).await? {
            Some(taken) if taken == *tip => Ok(()),
            _ => Err(GitError::InTheWay(format!("`{target}` is being moved; try again"))),
        }
    }
}

/// The branch of the operator's that is checked out, if one is.
///
/// # Errors
///
/// If git cannot be asked.
pub async fn current_branch(operator: &Path) -> Result<Option<String>, GitError> {
    let question = ["symbolic-ref", "--quiet", "--short", "HEAD"];
    let line = Git::of_operator(operator).line(&question).await;
    let line = line.map_err(GitError::during("looking up the branch that is checked out"))?;
    Ok(line.map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()))
}

/// Moves a branch of the operator's forward, in its checkout if it is checked out.
async fn forward(operator: &Operator, target: &str, to: &CommitId) -> Result<Integrated, GitError> {
    let git = operator.git();
    let from = tip_of(operator, target).await?;
    if contains(&git, &from, to).await? {
        return Ok(Integrated::Already);
    }
    if !contains(&git, to, &from).await? {
        return Err(GitError::InTheWay(format!(
            "`{target}` has moved on since the batch began: merge instead of fast-forwarding"
        )));
    }
    match checkout_of(&git, target).await? {
        Some(checkout) => {
            // It refuses to write over what is not committed, and then changes nothing.
            let merge = ["merge", "--ff-only", "--quiet", to.as_str()];
            let git = operator.git_in(&checkout);
            git.run(&merge).await.map_err(|failure| in_the_way(target, failure))?;
        }
        None => {
            let name = format!("refs/heads/{target}");
            let message =
                ["update-ref", "-m", "hotcell: integrated", &name, to.as_str(), from.as_str()];
            git.run(&message).await.map_err(|failure| in_the_way(target, failure))?;
        }
    }
    Ok(Integrated::At(to.clone()))
}

async fn push(
    operator: &Operator,
    remote: &str,
    branch: &str,
    tip: &CommitId,
) -> Result<Integrated, GitError> {
    let git = operator.git();
    if !has_remote(&git, remote).await? {
        let (what, path) = (format!("remote `{remote}`"), operator.checkout.clone());
        return Err(GitError::Missing { what, path });
    }
    let names = format!("{tip}:refs/heads/{branch}");
    let push =
        ["push", "--quiet", "--no-follow-tags", "--recurse-submodules=no", "--", remote, &names];
    git.run(&push).await.map_err(|failure| in_the_way(remote, failure))?;
    Ok(Integrated::Pushed(tip.clone()))
}

async fn has_remote(git: &Git, remote: &str) -> Result<bool, GitError> {
    let remotes = git.run(&["remote"]).await.map_err(GitError::during("listing remotes"))?;
    Ok(String::from_utf8_lossy(&remotes).lines().any(|known| known == remote))
}

/// Whether a remote has the batch's branch at a commit.
async fn pushed(
    operator: &Operator,
    remote: &str,
    branch: &str,
    tip: &CommitId,
) -> Result<Option<CommitId>, GitError> {
    let git = operator.git();
    if !has_remote(&git, remote).await? {
        return Ok(None);
    }
    let name = format!("refs/heads/{branch}");
    let asked = git.run(&["ls-remote", "--quiet", "--", remote, &name]).await;
    let asked = asked.map_err(GitError::during("asking the remote for the branch"))?;
    let asked = String::from_utf8_lossy(&asked);
    let is_there = asked.lines().any(|line| line == format!("{tip}\t{name}"));
    Ok(is_there.then(|| tip.clone()))
}

async fn tip_of(operator: &Operator, branch: &str) -> Result<CommitId, GitError> {
    checked(operator, branch).await?;
    let step = "looking up the operator's branch";
    let question = format!("refs/heads/{branch}^{{commit}}");
    let question = ["rev-parse", "--verify", "--quiet", "--end-of-options", &question];
    let line = operator.git().line(&question).await.map_err(GitError::during(step))?;
    let line = line.ok_or_else(|| GitError::Missing {
        what: format!("branch `{branch}`"),
        path: operator.checkout.clone(),
    })?;
    commit_in(step, &line)
}

/// Refuses what cannot be the name of a branch.
async fn checked(operator: &Operator, branch: &str) -> Result<(), GitError> {
    let name = format!("refs/heads/{branch}");
    let git = operator.git();
    let step = "checking the name of a branch";
    let answer = git.call(&["check-ref-format", &name], Vec::new()).await;
    match answer.map_err(GitError::during(step))?.code {
        Some(0) if !branch.starts_with('-') => Ok(()),
        _ => Err(GitError::InTheWay(format!("`{branch}` cannot be the name of a branch"))),
    }
}

/// Where a branch is checked out, if it is.
async fn checkout_of(git: &Git, branch: &str) -> Result<Option<PathBuf>, GitError> {
    let listed = git.run(&["worktree", "list", "--porcelain", "-z"]).await;
    let listed = listed.map_err(GitError::during("listing checkouts"))?;
    let listed = String::from_utf8_lossy(&listed);
    let wanted = format!("branch refs/heads/{branch}");
    let mut checkout = None;
    for line in listed.split('\0') {
        if let Some(path) = line.strip_prefix("worktree ") {
            checkout = Some(PathBuf::from(path));
        } else if line == wanted {
            return Ok(checkout);
        }
    }
    Ok(None)
}

fn in_the_way(what: &str, failure: host_git::Failure) -> GitError {
    match failure {
        host_git::Failure::Said(text) => GitError::InTheWay(format!("`{what}`: {text}")),
        source => GitError::Git { step: "handing the work over", source },
    }
}
