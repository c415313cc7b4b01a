//! Bundles from guests: unpacked aside, judged, kept.
//!
//! ```text
//! bundle ─size─▶ quarantine ─objects checked─▶ names ─shape─▶ history ─▶ changes
//!                                                                          │
//!                          references, in one transaction ◀─ pack is moved ┘
//! ```
//!
//! The quarantine borrows the store's objects, so a bundle need hold only what is
//! new. Nothing of it can be reached from the store before all of it was judged, and
//! whoever is killed begins again with the same bundle.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use batch_api::AttemptId;
use host_git::Git;

use crate::GitError;
use crate::capture::{WORK, of_capture};
use crate::names::{CommitId, file_of_attempt};
use crate::store::{Change, From, QUARANTINE, Store, commit_in, contains, remove};

/// Most commits of one attempt.
pub const COMMITS_MAX: u64 = 10_000;

/// Most branches and stashes of a workspace.
const NAMES_MAX: usize = 1000;

/// Most bytes of one such name.
const NAME_BYTES_MAX: usize = 255;

/// Most files that one attempt may have changed.
const CHANGES_MAX: usize = 200_000;

/// Most bytes of a pointer of Git LFS, by its specification.
const POINTER_BYTES_MAX: u64 = 1024;

/// What a pointer of Git LFS begins with, by its specification.
const POINTER_START: &[u8] = b"version https://git-lfs.github.com/spec/";

/// What names begin with in the quarantine.
const INCOMING: &str = "refs/incoming/";

/// What is taken of one attempt at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the bundle.
    pub bundle_bytes: u64,
    /// Bytes of what is new in it, unpacked.
    pub unpacked_bytes: u64,
    /// Time that unpacking may take.
    pub patience: Duration,
}

impl Default for Limits {
    /// A gibibyte, four gibibytes, ten minutes.
    fn default() -> Self {
        Self { bundle_bytes: 1 << 30, unpacked_bytes: 4 << 30, patience: Duration::from_secs(600) }
    }
}

/// What an attempt left, now safe in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// All that lay in the workspace, as one commit.
    pub work: CommitId,
    /// What the agent had checked out.
    pub head: CommitId,
    /// How many commits the agent made.
    pub commits: u64,
    /// How many files are not what they were when it began.
    pub changed: usize,
    /// What somebody should know before this is merged.
    pub findings: Vec<Finding>,
}

/// Something about what an agent left that nobody follows or repairs unasked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Its history does not contain the commit that it began with.
    OtherHistory,
    /// A repository within the repository: its files are not here.
    Repository {
        /// Where it lies.
        path: String,
    },
    /// A file whose content Git LFS keeps elsewhere.
    Pointer {
        /// Where it lies.
        path: String,
    },
}

impl Store {
    /// Takes in what an attempt that began at `base` left in a bundle. The same
    /// bundle may be taken again, and comes to the same.
    ///
    /// # Errors
    ///
    /// [`GitError::Refused`] if there is something wrong with the bundle; then
    /// nothing of it is in the store.
    pub async fn receive(
        &self,
        attempt: &AttemptId,
        base: &CommitId,
        bundle: &Path,
        limits: Limits,
    ) -> Result<Received, GitError> {
        let size = fs::metadata(bundle).map_err(GitError::at("look at", bundle))?.len();
        if size > limits.bundle_bytes {
            return Err(too_large("bundle", size, limits.bundle_bytes));
        }
        let place = self.git()?.place().join(QUARANTINE).join(file_of_attempt(attempt));
        let quarantine = Quarantine::open(self, place, base, bundle, limits.patience).await?;
        let (received, names) = quarantine.judge(base, limits).await?;
        quarantine.keep(self)?;
        let place = of_capture(attempt, &received.work);
        let changes = names.into_iter().map(|(name, to)| Change {
            name: format!("{place}/{name}"),
            to,
            from: From::Anywhere,
        });
        self.update(&changes.collect::<Vec<_>>()).await?;
        quarantine.close()?;
        Ok(received)
    }
}

/// A repository that is thrown away. Each attempt has one, and one at a time, so several
/// can be taken in beside each other.
struct Quarantine {
    git: Git,
}

impl Quarantine {
    async fn open(
        store: &Store,
        place: PathBuf,
        base: &CommitId,
        bundle: &Path,
        patience: Duration,
    ) -> Result<Self, GitError> {
        let step = "setting the quarantine up";
        remove(&place)?;
        for part in ["refs", "objects/info", "objects/pack"] {
            let part = place.join(part);
            fs::create_dir_all(&part).map_err(GitError::at("create", &part))?;
        }
        let settings = store.path().join("config");
        let config = place.join("config");
        fs::copy(&settings, &config).map_err(GitError::at("copy", &settings))?;
        for (file, content) in
            [("HEAD", "ref: refs/heads/none\n"), ("objects/info/alternates", "../../../objects\n")]
        {
            let file = place.join(file);
            fs::write(&file, content).map_err(GitError::at("write", &file))?;
        }
        let git = Git::of_engine(&place).within(patience);
        // git wants to reach what a bundle builds on from a name.
        git.run(&["update-ref", "refs/base", base.as_str()])
            .await
            .map_err(GitError::during(step))?;
        let (file, names) = (bundle.to_string_lossy(), format!("+refs/*:{INCOMING}*"));
        let fetch = [
            "-c",
            "fetch.unpackLimit=1",
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            &*file,
            &names,
        ];
        git.run(&fetch).await.map_err(unpacking)?;
        let quarantine = Self { git };
        quarantine.check_objects().await?;
        Ok(quarantine)
    }

    /// Checks every object on its own: names that no tree may hold, above all. It is
    /// done over packs as they are, for not every git does it while it fetches from a
    /// bundle.
    async fn check_objects(&self) -> Result<(), GitError> {
        let index = self.git.place().join("checked.idx");
        let index = index.to_string_lossy();
        for pack in self.packs()? {
            if pack.extension().is_some_and(|kind| kind == "pack") {
                let check = ["index-pack", "--strict", "-o", &*index, &*pack.to_string_lossy()];
                self.git.run(&check).await.map_err(unpacking)?;
            }
        }
        Ok(())
    }

    /// The files of its packs.
    fn packs(&self) -> Result<Vec<PathBuf>, GitError> {
        let packs = self.git.place().join("objects/pack");
        let mut files = Vec::new();
        for entry in fs::read_dir(&packs).map_err(GitError::at("read", &packs))? {
            files.push(entry.map_err(GitError::at("read", &packs))?.path());
        }
        Ok(files)
    }

    async fn run(&self, step: &'static str, question: &[&str]) -> Result<Vec<u8>, GitError> {
        self.git.run(question).await.map_err(GitError::during(step))
    }

    /// What is in it, and the names to keep, behind `refs/`.
    async fn judge(
        &self,
        base: &CommitId,
        limits: Limits,
    ) -> Result<(Received, Vec<(String, CommitId)>), GitError> {
        let names = self.names().await?;
        let work = names.iter().find(|(name, _)| name == WORK).map(|(_, commit)| commit.clone());
        let work = work.ok_or_else(|| refused("it does not say what lay in the workspace"))?;
        let head = match &*self.parents(&work).await? {
            [head, staged] if self.parents(staged).await? == [head.clone()] => head.clone(),
            _ => return Err(refused("its commits do not have the shape of a capture")),
        };
        let mut findings = Vec::new();
        if !contains(&self.git, &head, base).await? {
            findings.push(Finding::OtherHistory);
        }
        let commits = self.commits(base, &head).await?;
        self.check_size(limits.unpacked_bytes).await?;
        let changes = self.changes(base, &work).await?;
        findings.extend(self.foreign(&changes).await?);
        let received = Received { work, head, commits, changed: changes.len(), findings };
        Ok((received, names))
    }

    async fn names(&self) -> Result<Vec<(String, CommitId)>, GitError> {
        let step = "listing what the agent handed over";
        let format = "--format=%(objectname) %(objecttype) %(refname)";
        let listed = self.run(step, &["for-each-ref", format, INCOMING]).await?;
        let listed = String::from_utf8_lossy(&listed);
        let mut names = Vec::new();
        for line in listed.lines() {
            let mut words = line.splitn(3, ' ');
            let (Some(object), Some(kind), Some(name)) = (words.next(), words.next(), words.next())
            else {
                return Err(GitError::Answer { step, answer: line.to_owned() });
            };
            let name = name.strip_prefix(INCOMING).unwrap_or(name);
            let is_ours = name == WORK || name == "stash" || name.starts_with("heads/");
            if kind != "commit" || !is_ours || name.len() > NAME_BYTES_MAX {
                return Err(refused(&format!("it holds a {kind} called `{}`", shown(name))));
            }
            names.push((name.to_owned(), commit_in(step, object)?));
        }
        if names.len() > NAMES_MAX {
            return Err(too_large("number of branches", names.len() as u64, NAMES_MAX as u64));
        }
        Ok(names)
    }

    async fn parents(&self, commit: &CommitId) -> Result<Vec<CommitId>, GitError> {
        let step = "reading a commit";
        let question = ["rev-list", "--parents", "--max-count=1", commit.as_str()];
        let line = self.run(step, &question).await?;
        let line = String::from_utf8_lossy(&line);
        line.split_whitespace().skip(1).map(|parent| commit_in(step, parent)).collect()
    }

    async fn commits(&self, base: &CommitId, head: &CommitId) -> Result<u64, GitError> {
        let step = "counting commits";
        let range = format!("{base}..{head}");
        let counted = self.run(step, &["rev-list", "--count", &range]).await?;
        let counted = String::from_utf8_lossy(&counted).trim().to_owned();
        let commits = counted
            .parse::<u64>()
            .map_err(|_| GitError::Answer { step, answer: counted.clone() })?;
        if commits > COMMITS_MAX {
            return Err(too_large("number of commits", commits, COMMITS_MAX));
        }
        Ok(commits)
    }

    /// Objects are small in a pack and may be large outside of it.
    async fn check_size(&self, max: u64) -> Result<(), GitError> {
        let step = "measuring what the agent handed over";
        let everything =
            ["rev-list", "--objects", "--no-object-names", "--all", "--not", "refs/base"];
        let objects = self.run(step, &everything).await?;
        if objects.is_empty() {
            return Ok(());
        }
        let question = ["cat-file", "--batch-check=%(objectsize)"];
        let sizes = self.git.ask(&question, objects).await.map_err(GitError::during(step))?;
        let sizes = String::from_utf8_lossy(&sizes);
        let total = sizes.lines().filter_map(|line| line.parse::<u64>().ok()).sum::<u64>();
        if total > max { Err(too_large("content", total, max)) } else { Ok(()) }
    }

    async fn changes(&self, base: &CommitId, work: &CommitId) -> Result<Vec<Changed>, GitError> {
        let step = "comparing trees";
        let question = [
            "diff-tree",
            "-r",
            "-z",
            "--raw",
            "--no-renames",
            "--no-abbrev",
            base.as_str(),
            work.as_str(),
        ];
        let raw = self.run(step, &question).await?;
        let changes = Changed::all(&raw).ok_or_else(|| GitError::Answer {
            step,
            answer: String::from_utf8_lossy(raw.get(..200).unwrap_or(&raw)).into_owned(),
        })?;
        if changes.len() > CHANGES_MAX {
            return Err(too_large(
                "number of changed files",
                changes.len() as u64,
                CHANGES_MAX as u64,
            ));
        }
        Ok(changes)
    }

    /// What is not here, though a name for it is.
    async fn foreign(&self, changes: &[Changed]) -> Result<Vec<Finding>, GitError> {
        let step = "looking for pointers";
        let mut findings: Vec<Finding> = changes
            .iter()
            .filter(|change| change.kind == Kind::Repository)
            .map(|change| Finding::Repository { path: change.path.clone() })
            .collect();
        let files: Vec<&Changed> =
            changes.iter().filter(|change| change.kind == Kind::File).collect();
        if files.is_empty() {
            return Ok(findings);
        }
        let ask = |objects: String, question: [&'static str; 2]| async move {
            self.git.ask(&question, objects.into_bytes()).await.map_err(GitError::during(step))
        };
        let objects: String = files.iter().map(|file| format!("{}\n", file.object)).collect();
        let sizes = ask(objects, ["cat-file", "--batch-check=%(objectsize)"]).await?;
        let sizes = String::from_utf8_lossy(&sizes).into_owned();
        let small: Vec<&Changed> = files
            .into_iter()
            .zip(sizes.lines())
            .filter(|(_, size)| size.parse().is_ok_and(|size: u64| size <= POINTER_BYTES_MAX))
            .map(|(file, _)| file)
            .collect();
        if small.is_empty() {
            return Ok(findings);
        }
        let objects: String = small.iter().map(|file| format!("{}\n", file.object)).collect();
        let mut contents = &*ask(objects, ["cat-file", "--batch=%(objectsize)"]).await?;
        for file in small {
            let Some((size, rest)) = split_line(contents) else { break };
            let Some((content, rest)) = rest.split_at_checked(size) else { break };
            if content.starts_with(POINTER_START) {
                findings.push(Finding::Pointer { path: file.path.clone() });
            }
            contents = rest.get(1..).unwrap_or_default();
        }
        Ok(findings)
    }

    /// Moves what was unpacked into the store. A pack counts once its index is there.
    fn keep(&self, store: &Store) -> Result<(), GitError> {
        let to = store.path().join("objects/pack");
        let mut files = self.packs()?;
        files.sort_by_key(|file| file.extension().is_some_and(|kind| kind == "idx"));
        for file in files {
            let name = file.file_name().unwrap_or_default();
            fs::rename(&file, to.join(name)).map_err(GitError::at("keep", &file))?;
        }
        fs::File::open(&to).and_then(|packs| packs.sync_all()).map_err(|error| match error.kind() {
            ErrorKind::NotFound => GitError::NotOwned { path: store.path().to_owned() },
            _ => GitError::at("sync", &to)(error),
        })
    }

    fn close(&self) -> Result<(), GitError> {
        remove(self.git.place())
    }
}

/// A number in a line of its own, and what is behind it.
fn split_line(text: &[u8]) -> Option<(usize, &[u8])> {
    let end = text.iter().position(|byte| *byte == b'\n')?;
    let number = std::str::from_utf8(text.get(..end)?).ok()?.parse().ok()?;
    Some((number, text.get(end + 1..)?))
}

/// What a name in a tree stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Repository,
    /// A link, or nothing any more.
    Other,
}

/// A file that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Changed {
    kind: Kind,
    object: String,
    path: String,
}

impl Changed {
    /// Reads what `diff-tree --raw -z` prints: `:MODE MODE OBJECT OBJECT STATUS`,
    /// NUL, the path, NUL.
    fn all(raw: &[u8]) -> Option<Vec<Self>> {
        let mut parts = raw.split(|byte| *byte == 0);
        let mut found = Vec::new();
        while let Some(head) = parts.next().filter(|head| !head.is_empty()) {
            let head = std::str::from_utf8(head).ok()?;
            let mut words = head.strip_prefix(':')?.split(' ').skip(1);
            let (mode, object) = (words.next()?, words.nth(1)?);
            let kind = match mode {
                "100644" | "100755" => Kind::File,
                "160000" => Kind::Repository,
                _ => Kind::Other,
            };
            let path = String::from_utf8_lossy(parts.next()?).into_owned();
            found.push(Self { kind, object: object.to_owned(), path });
        }
        Some(found)
    }
}

/// What is wrong with a bundle, in git's words.
fn unpacking(failure: host_git::Failure) -> GitError {
    match failure {
        host_git::Failure::Said(text) => GitError::Refused(first_lines(&text)),
        host_git::Failure::TooSlow(patience) => {
            GitError::Refused(format!("unpacking it took longer than {} s", patience.as_secs()))
        }
        source => GitError::Git { step: "unpacking what the agent handed over", source },
    }
}

fn refused(why: &str) -> GitError {
    GitError::Refused(why.to_owned())
}

fn too_large(what: &str, is: u64, max: u64) -> GitError {
    GitError::Refused(format!("its {what} is {is}, and {max} is the most that is taken"))
}

/// The beginning of what git says, which may quote names that are not ours.
fn first_lines(text: &str) -> String {
    shown(&text.lines().take(3).collect::<Vec<_>>().join("; "))
}

fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_raw_comparison_is_read() {
        let raw = b":100644 100755 aa bb M\0a b\0:000000 160000 00 cc A\0lib\0:100644 000000 dd 00 D\0x\0";
        let changed = |kind, object: &str, path: &str| Changed {
            kind,
            object: object.to_owned(),
            path: path.to_owned(),
        };
        let expected = [
            changed(Kind::File, "bb", "a b"),
            changed(Kind::Repository, "cc", "lib"),
            changed(Kind::Other, "00", "x"),
        ];
        assert_eq!(Changed::all(raw).unwrap(), expected);
        assert_eq!(Changed::all(b"").unwrap(), []);
        assert!(Changed::all(b"nonsense\0").is_none());
    }

    proptest! {
        #[test]
        fn whatever_is_read_as_a_comparison_does_no_harm(raw: Vec<u8>) {
            let _ = Changed::all(&raw);
            let _ = split_line(&raw);
        }
    }
}
