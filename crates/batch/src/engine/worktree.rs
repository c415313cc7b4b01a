//! Checkouts of attempts whose agents work on this host, with tools of their own.
//!
//! ```text
//! lanes/<attempt>.<epoch>/    made as `.new-…`, renamed when all is there
//!   workspace/    a repository of its own, which shares nothing with the store
//!   packet/       PROMPT.md, STATUS.md, and what is told and said in files
//!   base          the commit that it began with
//!   attempt       whose it is
//!   capture.bundle, capture.stderr, tmp/     of capturing
//! ```
//!
//! **What is hostile.** All below `workspace` and `packet`: an agent wrote there, and may
//! have put links, pipes or settings of git there. So files are opened beneath their
//! directory, following no link, plain and bounded; what is written there is written aside
//! and renamed; and git is never run there by the engine, but by a process in the same
//! custody as the agent, which can do no more than the agent could (`capturing`). This
//! keeps accidents away from the engine. It is no wall: the agent is the same user, and
//! can change anything that the engine can.
//!
//! **Stale engines.** An engine that is stopped and replaced knows a checkout by its path.
//! A path is used once: its end is the epoch of whoever made it, and the one of the highest
//! epoch counts. So what such an engine still makes counts for nothing, and what it still
//! throws away is what its successor was told to throw away, or made anew elsewhere.
//!
//! **SIGKILL.** While it is made: `.new-…`, swept by the next engine. While it is thrown
//! away: `.gone-…`, the same. In between it is whole, and found by its name.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use batch_api::{AttemptId, Epoch};
use batch_git::CommitId;
use file_tree::{Root, TreePath};
use rustix::fs::{AtFlags, Dir, Mode, OFlags, mkdirat, renameat, unlinkat};
use rustix::io::Errno;
use tokio::task::spawn_blocking;

use super::claims::FILE_BYTES_MAX;
use super::lane::workspace_name;
use super::removal::remove_foreign_tree;
use super::world::{Trouble, World};
use crate::discovery;

/// The directory of all checkouts within a batch's.
const LANES: &str = "lanes";

/// How a checkout is called while it is made.
const MAKING: &str = ".new-";

/// How it is called when it is thrown away.
const GOING: &str = ".gone-";

/// The file that says whose a checkout is.
const ATTEMPT: &str = "attempt";

/// The file that says what it began with.
const BASE: &str = "base";

/// Where its capture is put.
const BUNDLE: &str = "capture.bundle";

/// What was complained while it was captured.
const COMPLAINTS: &str = "capture.stderr";

/// How a file of a packet is called until it is whole.
const ASIDE: &str = ".hotcell-new";

/// Most bytes of a file that says something about a checkout.
const NOTE_BYTES_MAX: u64 = 1024;

/// Most names in a directory of a packet that are looked at.
const NAMES_MAX: usize = 10_000;

/// A checkout.
#[derive(Debug, Clone)]
pub(crate) struct Worktree(PathBuf);

impl Worktree {
    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Its repository.
    pub(super) fn workspace(&self) -> PathBuf {
        self.0.join("workspace")
    }

    /// Fails if its repository is not the directory that it was: a file or a link there
    /// would lead git to somebody else's.
    pub(super) fn check_repository(&self) -> Result<(), Trouble> {
        let git = self.workspace().join(".git");
        match git.symlink_metadata() {
            Ok(found) if found.is_dir() => Ok(()),
            Ok(_) => Err(format!("{} is no directory any more", git.display()).into()),
            Err(error) => Err(format!("{} cannot be found: {error}", git.display()).into()),
        }
    }

    /// Its packet.
    pub(super) fn packet(&self) -> PathBuf {
        self.0.join("packet")
    }

    /// Where capturing has its files.
    pub(super) fn scratch(&self) -> PathBuf {
        self.0.join("tmp")
    }

    /// The file in which its capture comes.
    pub(super) fn bundle(&self) -> PathBuf {
        self.0.join(BUNDLE)
    }

    /// The file of what is complained while it is captured.
    pub(super) fn complaints(&self) -> PathBuf {
        self.0.join(COMPLAINTS)
    }

    /// The beginning of what was complained.
    pub(super) async fn complaint(&self) -> Result<Vec<u8>, Trouble> {
        let from = self.0.clone();
        let read = spawn_blocking(move || -> Result<Vec<u8>, Trouble> {
            let mut said = Vec::new();
            if let Some(file) = plain(&Root::open(&from)?, COMPLAINTS)? {
                file.take(NOTE_BYTES_MAX).read_to_end(&mut said)?;
            }
            Ok(said)
        });
        read.await?
    }

    /// What it began with.
    pub(super) fn base(&self) -> Result<CommitId, Trouble> {
        Ok(note(&self.0, BASE)?.parse()?)
    }

    /// Returns once all that was written in it is on its disk: a file that power took would
    /// be taken for one that the agent had emptied.
    pub(super) async fn sync(&self) -> Result<(), Trouble> {
        let opened = File::open(&self.0)?;
        Ok(spawn_blocking(move || rustix::fs::syncfs(opened)).await??)
    }

    /// Takes the capture out, to where nothing is, unless it is larger than so many bytes.
    pub(super) async fn take_bundle(&self, to: PathBuf, max: u64) -> Result<(), Trouble> {
        let from = self.0.clone();
        let copied = spawn_blocking(move || -> Result<(), Trouble> {
            let file = plain(&Root::open(&from)?, BUNDLE)?.ok_or("there is no capture")?;
            let mut out = File::create_new(to)?;
            if io::copy(&mut file.take(max.saturating_add(1)), &mut out)? > max {
                return Err(format!("the capture has more than {max} bytes").into());
            }
            Ok(())
        });
        copied.await?
    }

    pub(super) async fn read_packet(&self, file: &str) -> Result<Option<Vec<u8>>, Trouble> {
        read(self.packet(), file).await
    }

    pub(super) async fn read_project(&self, file: &str) -> Result<Option<Vec<u8>>, Trouble> {
        read(self.workspace(), file).await
    }

    pub(super) async fn write_packet(&self, file: &str, content: Vec<u8>) -> Result<(), Trouble> {
        let (packet, file) = (self.packet(), file.to_owned());
        spawn_blocking(move || write(&Root::open(&packet)?, &file, &content)).await?
    }

    pub(super) async fn remove_packet(&self, file: &str) -> Result<(), Trouble> {
        let (packet, file) = (self.packet(), file.to_owned());
        let removed = spawn_blocking(move || -> Result<(), Trouble> {
            let path = TreePath::parse(file.as_bytes())?;
            let parent = Root::open(&packet)?.directory(&path.parent().unwrap_or_default())?;
            match unlinkat(parent.as_fd(), path.name(), AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => Ok(()),
                Err(errno) => Err(format!("{file} cannot be removed: {errno}").into()),
            }
        });
        removed.await?
    }

    /// The names in a directory of the packet that do not begin with a dot.
    pub(super) async fn names(&self, directory: &str) -> Result<Vec<String>, Trouble> {
        let (packet, directory) = (self.packet(), directory.to_owned());
        let listed = spawn_blocking(move || -> Result<Vec<String>, Trouble> {
            let path = TreePath::parse(directory.as_bytes())?;
            let opened = match Root::open(&packet)?.directory(&path) {
                Ok(opened) => opened,
                Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Vec::new()),
                Err(errno) => return Err(format!("{directory} cannot be read: {errno}").into()),
            };
            let mut names = Vec::new();
            for entry in Dir::read_from(opened.as_fd())?.take(NAMES_MAX) {
                let name = String::from_utf8_lossy(entry?.file_name().to_bytes()).into_owned();
                if !name.starts_with('.') {
                    names.push(name);
                }
            }
            names.sort_unstable();
            Ok(names)
        });
        listed.await?
    }

    /// Throws it away. Nobody finds it from the first step on.
    pub(super) async fn discard(self) -> Result<(), Trouble> {
        let discarded = spawn_blocking(move || -> Result<(), Trouble> {
            let name = self.0.file_name().unwrap_or_default().to_string_lossy();
            let going = self.0.with_file_name(format!("{GOING}{name}"));
            remove_foreign_tree(&going)?;
            fs::rename(&self.0, &going)?;
            Ok(remove_foreign_tree(&going)?)
        });
        discarded.await?
    }
}

impl World {
    /// Makes a checkout for an attempt.
    pub(super) async fn make_worktree(
        &self,
        attempt: &AttemptId,
        start: &CommitId,
    ) -> Result<Worktree, Trouble> {
        let lanes = self.setup.directory.join(LANES);
        let name = format!("{}.{}", self.worktree_name(attempt), self.epoch()?.0);
        let (making, made) = (lanes.join(format!("{MAKING}{name}")), lanes.join(&name));
        let left = making.clone();
        spawn_blocking(move || remove_foreign_tree(&left)).await??;
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&making)?;
        let tree = Worktree(making);
        fs::create_dir(tree.packet())?;
        fs::create_dir(tree.scratch())?;
        fs::write(tree.0.join(ATTEMPT), attempt.to_string())?;
        fs::write(tree.0.join(BASE), start.to_string())?;
        self.store()?.check_out(start, &tree.workspace()).await?;
        self.store()?.check_owner()?;
        fs::rename(&tree.0, &made)?;
        Ok(Worktree(made))
    }

    /// The checkout of an attempt, if there is one.
    pub(super) fn worktree(&self, attempt: &AttemptId) -> Result<Option<Worktree>, Trouble> {
        let wanted = self.worktree_name(attempt);
        let of = |name: &str| {
            let epoch = name.strip_prefix(&wanted)?.strip_prefix('.')?;
            epoch.parse().ok().map(Epoch)
        };
        let lanes = self.setup.directory.join(LANES);
        let names = entries(&lanes)?.into_iter();
        let newest = names.filter_map(|name| Some((of(&name)?, name))).max();
        Ok(newest.map(|(_, name)| Worktree(lanes.join(name))))
    }

    fn worktree_name(&self, attempt: &AttemptId) -> String {
        workspace_name(self.setup.batch, &attempt.to_string())
    }
}

/// The checkouts of a batch: whose each is, and where.
pub(crate) fn worktrees_of(batch: &Path) -> io::Result<Vec<(String, String)>> {
    let lanes = batch.join(LANES);
    let named = |name: String| {
        let path = lanes.join(&name);
        let whose = note(&path, ATTEMPT).unwrap_or(name);
        (whose, path.display().to_string())
    };
    let whole = |name: &String| !name.starts_with('.');
    Ok(entries(&lanes)?.into_iter().filter(whole).map(named).collect())
}

/// Removes what nobody finished making or throwing away. What cannot be removed serves
/// nobody, and is in nobody's way.
pub(super) fn sweep(batch: &Path) {
    let lanes = batch.join(LANES);
    for name in entries(&lanes).unwrap_or_default() {
        if (name.starts_with(MAKING) || name.starts_with(GOING))
            && let Err(error) = remove_foreign_tree(&lanes.join(&name))
        {
            tracing::warn!(name, %error, "a checkout that is of no use stays");
        }
    }
}

fn entries(lanes: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(lanes) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let name = |entry: io::Result<fs::DirEntry>| entry.map(|it| it.file_name().into_string().ok());
    let names: Vec<Option<String>> = entries.map(name).collect::<io::Result<_>>()?;
    Ok(names.into_iter().flatten().collect())
}

/// What a file about a checkout says.
fn note(checkout: &Path, file: &str) -> io::Result<String> {
    let mut text = String::new();
    File::open(checkout.join(file))?.take(NOTE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// A plain file beneath a directory; none if there is none.
fn plain(root: &Root, file: &str) -> Result<Option<File>, Trouble> {
    let path = TreePath::parse(file.as_bytes())?;
    // A pipe would not be opened before somebody writes to it.
    match root.open_file(&path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()) {
        Ok(file) if file.metadata()?.is_file() => Ok(Some(file)),
        Ok(_) => Err(format!("{file} is no plain file").into()),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(format!("{file} cannot be opened: {errno}").into()),
    }
}

async fn read(directory: PathBuf, file: &str) -> Result<Option<Vec<u8>>, Trouble> {
    let path = TreePath::parse(file.as_bytes())?;
    let read = spawn_blocking(move || -> Result<Option<Vec<u8>>, Trouble> {
        let read = discovery::bytes(&Root::open(&directory)?, &path, FILE_BYTES_MAX);
        // What is no plain file, or too large, is as good as nothing.
        Ok(read.ok().flatten().filter(|content| content.len() <= FILE_BYTES_MAX))
    });
    read.await?
}

/// Writes a file beneath a directory, in place of whatever is there.
fn write(root: &Root, file: &str, content: &[u8]) -> Result<(), Trouble> {
    let path = TreePath::parse(file.as_bytes())?;
    let parent = path.parent().unwrap_or_default();
    if !parent.is_root() {
        match mkdirat(root.as_fd(), parent.as_path(), Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(format!("{parent} cannot be created: {errno}").into()),
        }
    }
    let parent = root.directory(&parent)?;
    match unlinkat(parent.as_fd(), ASIDE, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(format!("{ASIDE} is in the way of {file}: {errno}").into()),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let aside = TreePath::parse(ASIDE.as_bytes())?;
    let mut out = parent.open_file(&aside, flags, Mode::RUSR | Mode::WUSR)?;
    out.write_all(content)?;
    out.sync_all()?;
    renameat(parent.as_fd(), ASIDE, parent.as_fd(), path.name())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_an_agent_put_in_its_packet_leads_nowhere() {
        let scratch = tempfile::tempdir().unwrap();
        let (inside, outside) = (scratch.path().join("packet"), scratch.path().join("outside"));
        fs::create_dir(&inside).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("secret"), "secret").unwrap();
        symlink(outside.join("secret"), inside.join("STATUS.md")).unwrap();
        symlink(&outside, inside.join("answers")).unwrap();
        let root = Root::open(&inside).unwrap();
        assert!(plain(&root, "STATUS.md").is_err());
        assert!(plain(&root, "answers/secret").is_err());
        assert!(write(&root, "answers/secret", b"written").is_err());
        // A link is replaced, not followed.
        write(&root, "STATUS.md", b"status").unwrap();
        assert_eq!(fs::read_to_string(inside.join("STATUS.md")).unwrap(), "status");
        assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), "secret");
        write(&root, ".reviews/R001-plan-step1.md", b"fine").unwrap();
        assert!(plain(&root, ".reviews/R001-plan-step1.md").unwrap().is_some());
        assert!(plain(&root, "nothing").unwrap().is_none());
    }
}
