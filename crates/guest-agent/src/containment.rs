//! Puts each command where it can be killed as a whole.
//!
//! ```text
//! /sys/fs/cgroup            agent
//!   └─ commands             memory.max, pids.max: what all commands may use
//!        ├─ 0, 1, 2 …       one command each, with all its descendants
//! ```
//!
//! The limits leave the agent enough to answer whatever commands do. Making a
//! directory there takes a while, so a few are kept ready and one is used
//! again once its last process is gone. A command's leftovers may live on for
//! long; their group waits in `lingering` until an orphan's death frees it.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::Pid;

use crate::sys;

/// Groups kept ready at most; more are removed.
const READY: usize = 4;

/// How trees of processes are held together.
#[derive(Debug)]
pub enum Containment {
    /// By one cgroup each: nothing escapes. What a guest uses.
    Cgroups(Cgroups),
    /// By one process group each: a host that lends no cgroups to a test.
    ProcessGroups,
}

/// A directory of the second cgroup hierarchy that belongs to the agent.
#[derive(Debug)]
pub struct Cgroups {
    root: PathBuf,
    made: u64,
    ready: Vec<Cgroup>,
    lingering: Vec<Cgroup>,
}

#[derive(Debug)]
pub(crate) struct Cgroup {
    path: PathBuf,
    directory: OwnedFd,
    fate: Cell<Fate>,
}

/// Whether a group may serve again. Some kernels (6.18 does) kill every process
/// that is born in a group whose processes were killed once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Spared,
    Killed,
}

/// What holds one command.
#[derive(Debug)]
pub(crate) enum Group {
    Cgroup(Cgroup),
    Process,
}

impl Cgroups {
    /// Takes over `root`, which need not exist yet.
    ///
    /// # Errors
    ///
    /// If groups cannot be made there.
    pub fn at(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let mut cgroups =
            Self { root: root.to_owned(), made: 0, ready: Vec::new(), lingering: Vec::new() };
        let first = cgroups.make()?;
        cgroups.ready.push(first);
        Ok(cgroups)
    }

    fn make(&mut self) -> io::Result<Cgroup> {
        let path = self.root.join(self.made.to_string());
        self.made += 1;
        fs::create_dir(&path)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(CWD, &path, flags, Mode::empty())?;
        Ok(Cgroup { path, directory, fate: Cell::new(Fate::Spared) })
    }
}

impl Containment {
    /// A group for a new command.
    pub(crate) fn take(&mut self) -> io::Result<Group> {
        match self {
            Self::ProcessGroups => Ok(Group::Process),
            Self::Cgroups(cgroups) => match cgroups.ready.pop() {
                Some(cgroup) => Ok(Group::Cgroup(cgroup)),
                None => cgroups.make().map(Group::Cgroup),
            },
        }
    }

    /// Makes the next group while nobody waits for it.
    pub(crate) fn refill(&mut self) {
        if let Self::Cgroups(cgroups) = self
            && cgroups.ready.is_empty()
            && let Ok(cgroup) = cgroups.make()
        {
            // Without it the next command makes its own, or says why it cannot.
            cgroups.ready.push(cgroup);
        }
    }

    /// Takes back the group of a command that has ended.
    pub(crate) fn give_back(&mut self, group: Group) {
        if let (Self::Cgroups(cgroups), Group::Cgroup(cgroup)) = (self, group) {
            if cgroups.ready.len() < READY && cgroup.reusable() {
                cgroups.ready.push(cgroup);
            } else if fs::remove_dir(&cgroup.path).is_err() {
                cgroups.lingering.push(cgroup);
            }
        }
    }

    /// Removes the groups whose last process has ended meanwhile.
    pub(crate) fn sweep(&mut self) {
        if let Self::Cgroups(cgroups) = self {
            cgroups.lingering.retain(|cgroup| fs::remove_dir(&cgroup.path).is_err());
        }
    }
}

impl Group {
    /// Where the command's process shall be born.
    pub(crate) fn birthplace(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Cgroup(cgroup) => Some(cgroup.directory.as_fd()),
            Self::Process => None,
        }
    }

    /// Whether no process of the command is left, as far as that can be told.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Cgroup(cgroup) => cgroup.is_empty(),
            Self::Process => true,
        }
    }

    /// Kills every process of the command.
    pub(crate) fn kill(&self, leader: Pid) {
        let done = match self {
            Self::Cgroup(cgroup) => {
                cgroup.fate.set(Fate::Killed);
                cgroup.open("cgroup.kill", OFlags::WRONLY).and_then(|mut file| file.write_all(b"1"))
            }
            Self::Process => Err(io::ErrorKind::Unsupported.into()),
        };
        if done.is_err() {
            sys::signal_group(leader, libc::SIGKILL);
        }
    }
}

impl Cgroup {
    fn open(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let file =
            rustix::fs::openat(&self.directory, name, flags | OFlags::CLOEXEC, Mode::empty())?;
        Ok(File::from(file))
    }

    /// Whether no process lives in it.
    fn is_empty(&self) -> bool {
        self.open("cgroup.events", OFlags::RDONLY).is_ok_and(|file| {
            let mut text = [0; 64];
            let read = rustix::io::read(&file, &mut text).unwrap_or(0);
            text[..read].windows(11).any(|word| word == b"populated 0")
        })
    }

    /// Whether nothing lives in it, died of it or was built into it.
    fn reusable(&self) -> bool {
        // A directory of a cgroup without children has two links.
        self.fate.get() == Fate::Spared
            && self.is_empty()
            && rustix::fs::fstat(&self.directory).is_ok_and(|stat| stat.st_nlink == 2)
    }
}
