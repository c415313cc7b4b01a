//! A repository of a batch's own: bare, whole, and owned by one engine.
//!
//! ```text
//! state/app/new.git      being copied; whoever begins again removes it
//! state/app/epoch-3.git  owned by the engine of epoch 3
//!        │ claim(4): rename, then what the former engine had begun is cleared
//!        ▼
//! state/app/epoch-4.git
//! ```
//!
//! A store shares no object with the operator's repository but by hard links, so
//! nothing that is done to that one takes anything from a batch.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use batch_api::{AttemptId, Epoch};
use host_git::Git;

use crate::GitError;
use crate::names::{BASE, CommitId, INTEGRATION, of_attempt};

/// Time for a question about a few objects.
const QUESTION: Duration = Duration::from_secs(120);

/// Time for copying or checking a repository as a whole.
pub(crate) const WHOLE: Duration = Duration::from_secs(3600);

/// Time for a git that was killed with its engine, and what it had started, to be gone.
const GIT_ENDS_WITHIN: Duration = Duration::from_secs(10);

/// Settings of a store, whose objects are named as the operator's are.
const SETTINGS_SHA1: &str = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n";
const SETTINGS_SHA256: &str = "[core]\n\trepositoryformatversion = 1\n\tbare = true\n\
                               [extensions]\n\tobjectformat = sha256\n";

/// Where bundles are unpacked before they are judged, in the store's directory: each in
/// one of its own.
pub(crate) const QUARANTINE: &str = "quarantine";

/// A store, as one engine owns it.
#[derive(Debug, Clone)]
pub struct Store {
    path: PathBuf,
}

impl Store {
    /// The commit that a name stands for in the operator's repository.
    ///
    /// # Errors
    ///
    /// If there is none, or no repository.
    pub async fn base_of(operator: &Path, name: &str) -> Result<CommitId, GitError> {
        commit_of(operator, name).await
    }

    /// Copies the operator's repository for the engine of `epoch`, with an
    /// integration branch that begins at `base`, any name that a commit has there.
    /// If `directory` holds a store already, it is claimed and stays what it is.
    ///
    /// # Errors
    ///
    /// If there is no such commit, the repository borrows objects from another or
    /// lacks some, or a later engine has the store.
    pub async fn create(
        directory: &Path,
        epoch: Epoch,
        operator: &Path,
        base: &str,
    ) -> Result<Self, GitError> {
        fs::create_dir_all(directory).map_err(GitError::at("create", directory))?;
        if found(directory)?.is_some() {
            return Self::claim(directory, epoch);
        }
        let making = directory.join("new.git");
        remove(&making)?;
        let commit = commit_of(operator, base).await?;
        let (from, to) = (operator.to_string_lossy(), making.to_string_lossy());
        // Objects are linked or copied as they are, unless some of them are borrowed:
        // then all are sent.
        let step = "looking at the repository";
        let objects = ["rev-parse", "--git-path", "objects/info/alternates"];
        let asked = Git::of_operator(operator).line(&objects).await;
        let borrows =
            asked.map_err(GitError::during(step))?.is_some_and(|file| operator.join(file).exists());
        let how = if borrows { "--no-local" } else { "--local" };
        let clone = ["clone", "--bare", how, "--quiet", "--template=", "--", &*from, &*to];
        Git::of_operator(directory)
            .with("GIT_CONFIG_NOSYSTEM", "1")
            .within(WHOLE)
            .run(&clone)
            .await
            .map_err(GitError::during("copying the repository"))?;
        let store = Self { path: making.clone() };
        store.begin(&commit).await?;
        let owned = directory.join(name_of(epoch));
        fs::rename(&making, &owned).map_err(GitError::at("finish", &owned))?;
        sync(directory)?;
        Ok(Self { path: owned })
    }

    /// The store in `directory`, whoever has it, if there is one. It is nobody's new
    /// engine: what is done with it fails once one takes it over.
    ///
    /// # Errors
    ///
    /// If the directory cannot be read.
    pub fn find_in(directory: &Path) -> Result<Option<(Epoch, Self)>, GitError> {
        if !directory.exists() {
            return Ok(None);
        }
        Ok(found(directory)?.map(|(epoch, path)| (epoch, Self { path })))
    }

    /// Takes the store in `directory` over for the engine of `epoch`. From then on
    /// earlier engines cannot change it: its name is not the one that they know.
    ///
    /// # Errors
    ///
    /// [`GitError::NotOwned`] if a later engine has it.
    pub fn claim(directory: &Path, epoch: Epoch) -> Result<Self, GitError> {
        let Some((owner, path)) = found(directory)? else {
            return Err(GitError::Missing { what: "store".into(), path: directory.to_owned() });
        };
        let owned = directory.join(name_of(epoch));
        if owner > epoch {
            return Err(GitError::NotOwned { path: owned });
        }
        if owner < epoch {
            match fs::rename(&path, &owned) {
                // Another engine was faster.
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Err(GitError::NotOwned { path: owned });
                }
                renamed => renamed.map_err(GitError::at("take over", &path))?,
            }
            sync(directory)?;
        }
        // A git of the former engine that is still at work has lost its way, so what
        // it held locked is nobody's.
        remove_locks(&owned)?;
        remove(&owned.join(QUARANTINE))?;
        Ok(Self { path: owned })
    }

    /// Where it is now.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The tip of the integration branch.
    ///
    /// # Errors
    ///
    /// If there is none, or the store is not this engine's any more.
    pub async fn integration(&self) -> Result<CommitId, GitError> {
        self.tip(INTEGRATION).await
    }

    /// Where the batch began.
    ///
    /// # Errors
    ///
    /// As of [`Self::integration`].
    pub async fn base(&self) -> Result<CommitId, GitError> {
        self.tip(BASE).await
    }

    /// What an attempt came to, if that was committed.
    ///
    /// # Errors
    ///
    /// If git cannot be asked, or the store is not this engine's any more.
    pub async fn result(&self, attempt: &AttemptId) -> Result<Option<CommitId>, GitError> {
        self.find(&format!("{}/result", of_attempt(attempt))).await
    }

    /// Fails once another engine owns the store, or somebody removed it.
    ///
    /// # Errors
    ///
    /// [`GitError::NotOwned`], then.
    pub fn check_owner(&self) -> Result<(), GitError> {
        self.git().map(drop)
    }

    /// Whether the store holds a commit.
    ///
    /// # Errors
    ///
    /// As of [`Self::integration`].
    pub async fn holds(&self, commit: &CommitId) -> Result<bool, GitError> {
        Ok(self.find(commit.as_str()).await?.is_some())
    }

    /// Whether the store holds a commit for good: something refers to it, or to what
    /// came after it.
    ///
    /// # Errors
    ///
    /// As of [`Self::integration`].
    pub async fn keeps(&self, commit: &CommitId) -> Result<bool, GitError> {
        if !self.holds(commit).await? {
            return Ok(false);
        }
        let step = "looking for what refers to a commit";
        let question = ["for-each-ref", "--count=1", "--format=%(refname)", "--contains"];
        let question = question.into_iter().chain([commit.as_str()]).collect::<Vec<_>>();
        Ok(self.git()?.line(&question).await.map_err(GitError::during(step))?.is_some())
    }

    /// Whether the integration branch holds a commit.
    ///
    /// # Errors
    ///
    /// As of [`Self::integration`].
    pub async fn is_integrated(&self, commit: &CommitId) -> Result<bool, GitError> {
        let tip = self.integration().await?;
        Ok(self.holds(commit).await? && contains(&self.git()?, &tip, commit).await?)
    }

    /// Moves the integration branch, if it is where the caller believes it to be.
    /// Moving it to where it is already is done at once.
    ///
    /// # Errors
    ///
    /// If it is elsewhere, or `to` does not contain what it holds.
    pub async fn advance(&self, from: &CommitId, to: &CommitId) -> Result<(), GitError> {
        if self.integration().await? == *to {
            return Ok(());
        }
        if !contains(&self.git()?, to, from).await? {
            let what = format!("commit {from} in {to}");
            return Err(GitError::Missing { what, path: self.path.clone() });
        }
        let from = From::At(from.clone());
        self.update(&[Change { name: INTEGRATION.into(), to: to.clone(), from }]).await
    }

    /// Checks every object and reference.
    ///
    /// # Errors
    ///
    /// If one is broken or missing.
    pub async fn check(&self) -> Result<(), GitError> {
        let git = self.git()?.within(WHOLE);
        let check = ["fsck", "--full", "--strict", "--no-dangling", "--no-progress"];
        git.run(&check).await.map_err(GitError::during("checking the store"))?;
        Ok(())
    }

    /// git over this store; refused once it has another owner.
    pub(crate) fn git(&self) -> Result<Git, GitError> {
        if self.path.join("HEAD").exists() {
            Ok(Git::of_engine(&self.path).within(QUESTION))
        } else {
            Err(GitError::NotOwned { path: self.path.clone() })
        }
    }

    /// Changes references, all or none.
    pub(crate) async fn update(&self, changes: &[Change]) -> Result<(), GitError> {
        let mut orders = String::from("start\n");
        for Change { name, to, from } in changes {
            let from = match from {
                From::Nowhere => format!(" {}", "0".repeat(to.as_str().len())),
                From::At(commit) => format!(" {commit}"),
                From::Anywhere => String::new(),
            };
            orders.extend(["update ", name, " ", to.as_str(), &from, "\n"]);
        }
        orders.push_str("prepare\ncommit\n");
        self.git()?
            .ask(&["update-ref", "--no-deref", "--stdin"], orders.into_bytes())
            .await
            .map_err(GitError::during("moving references"))?;
        Ok(())
    }

    /// The commit that a reference names, if there is such a reference.
    pub(crate) async fn find(&self, reference: &str) -> Result<Option<CommitId>, GitError> {
        let question = format!("{reference}^{{commit}}");
        let question = ["rev-parse", "--verify", "--quiet", "--end-of-options", &question];
        let step = "looking up a commit";
        let line = self.git()?.line(&question).await.map_err(GitError::during(step))?;
        line.map(|line| commit_in(step, &line)).transpose()
    }

    async fn tip(&self, reference: &str) -> Result<CommitId, GitError> {
        self.find(reference).await?.ok_or_else(|| GitError::Missing {
            what: format!("commit {reference}"),
            path: self.path.clone(),
        })
    }

    /// Gives a fresh copy names and settings of its own. Of the operator's names none
    /// is needed: nothing is ever collected in a store, so what was copied stays.
    async fn begin(&self, base: &CommitId) -> Result<(), GitError> {
        let step = "setting the store up";
        let git = self.git()?.within(WHOLE);
        // A shallow copy, or one that borrows, would break with the operator's.
        for part in ["shallow", "objects/info/alternates"] {
            if self.path.join(part).exists() {
                return Err(GitError::InTheWay(format!(
                    "the repository is not whole (it has `{part}`), so no batch can rely on it"
                )));
            }
        }
        let format = git.line(&["rev-parse", "--show-object-format"]).await;
        let settings = match format.map_err(GitError::during(step))?.as_deref() {
            Some("sha256") => SETTINGS_SHA256,
            _ => SETTINGS_SHA1,
        };
        remove(&self.path.join("refs"))?;
        for (file, content) in
            [("packed-refs", ""), ("config", settings), ("HEAD", "ref: refs/heads/integration\n")]
        {
            let path = self.path.join(file);
            fs::write(&path, content).map_err(GitError::at("write", &path))?;
        }
        let heads = self.path.join("refs/heads");
        fs::create_dir_all(&heads).map_err(GitError::at("create", &heads))?;
        let walk = ["rev-list", "--objects", "--quiet", base.as_str()];
        git.run(&walk).await.map_err(GitError::during("reading the history of the base"))?;
        let first =
            |name: &str| Change { name: name.to_owned(), to: base.clone(), from: From::Nowhere };
        self.update(&[first(INTEGRATION), first(BASE)]).await
    }
}

/// A reference that is to be moved.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) name: String,
    pub(crate) to: CommitId,
    pub(crate) from: From,
}

/// Where a reference has to be before it is moved.
#[derive(Debug, Clone)]
pub(crate) enum From {
    /// It must not be there.
    Nowhere,
    /// Here.
    At(CommitId),
    /// Wherever: its name says what it can be.
    Anywhere,
}

fn name_of(epoch: Epoch) -> String {
    format!("epoch-{}.git", epoch.0)
}

/// The store in a directory, and whose it is.
fn found(directory: &Path) -> Result<Option<(Epoch, PathBuf)>, GitError> {
    let entries = fs::read_dir(directory).map_err(GitError::at("read", directory))?;
    let mut found = None;
    for entry in entries {
        let entry = entry.map_err(GitError::at("read", directory))?;
        let name = entry.file_name();
        let epoch = name.to_str().and_then(|name| {
            name.strip_prefix("epoch-")?.strip_suffix(".git")?.parse().ok().map(Epoch)
        });
        found = found.max(epoch.map(|epoch| (epoch, entry.path())));
    }
    Ok(found)
}

/// Whether `whole` is `part` or comes after it.
pub(crate) async fn contains(
    git: &Git,
    whole: &CommitId,
    part: &CommitId,
) -> Result<bool, GitError> {
    let step = "comparing commits";
    let question = ["merge-base", "--is-ancestor", part.as_str(), whole.as_str()];
    let answer = git.call(&question, Vec::new()).await.map_err(GitError::during(step))?;
    match answer.code {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => Err(GitError::Git { step, source: host_git::Failure::Said(answer.complaint) }),
    }
}

/// The commit that a name stands for in the operator's repository.
async fn commit_of(operator: &Path, name: &str) -> Result<CommitId, GitError> {
    let step = "looking for the commit to begin with";
    let question = format!("{name}^{{commit}}");
    let question = ["rev-parse", "--verify", "--quiet", "--end-of-options", &question];
    let line = Git::of_operator(operator).line(&question).await.map_err(GitError::during(step))?;
    let line = line.ok_or_else(|| GitError::Missing {
        what: format!("commit `{name}`"),
        path: operator.to_owned(),
    })?;
    commit_in(step, &line)
}

/// A commit that git named.
pub(crate) fn commit_in(step: &'static str, line: &str) -> Result<CommitId, GitError> {
    line.trim()
        .parse()
        .map_err(|_| GitError::Answer { step, answer: line.chars().take(200).collect() })
}

/// Removes locks on references: files called `….lock`, as git has them.
fn remove_locks(store: &Path) -> Result<(), GitError> {
    let mut pending = vec![store.join("refs")];
    let mut files = vec![store.join("packed-refs.lock"), store.join("HEAD.lock")];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).map_err(GitError::at("read", &directory))? {
            let entry = entry.map_err(GitError::at("read", &directory))?;
            let path = entry.path();
            if entry.file_type().map_err(GitError::at("look at", &path))?.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "lock") {
                files.push(path);
            }
        }
    }
    for file in files {
        match fs::remove_file(&file) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            removed => removed.map_err(GitError::at("remove", &file))?,
        }
    }
    Ok(())
}

/// Removes a directory of ours, if it is there. A git that ends with the engine that
/// started it may write to it for a moment longer.
pub(crate) fn remove(directory: &Path) -> Result<(), GitError> {
    let deadline = Instant::now() + GIT_ENDS_WITHIN;
    loop {
        match fs::remove_dir_all(directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error)
                if error.kind() == ErrorKind::DirectoryNotEmpty && Instant::now() < deadline =>
            {
                thread::sleep(Duration::from_millis(10));
            }
            removed => return removed.map_err(GitError::at("remove", directory)),
        }
    }
}

fn sync(directory: &Path) -> Result<(), GitError> {
    fs::File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(GitError::at("sync", directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_writes_to_for_a_moment_longer_is_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join("new.git/objects");
        let until = Instant::now() + Duration::from_millis(300);
        thread::scope(|scope| {
            for writer in 0..4 {
                let directory = &directory;
                scope.spawn(move || {
                    for number in 0.. {
                        if Instant::now() >= until {
                            break;
                        }
                        let _ = fs::create_dir_all(directory);
                        let _ = fs::write(directory.join(format!("{writer}-{number}")), "");
                    }
                });
            }
            while Instant::now() < until {
                remove(&scratch.path().join("new.git")).unwrap();
            }
        });
    }
}
