//! Where results wait until they take their place.
//!
//! Nothing that a tool makes is ever seen half done: it is made in a directory
//! of the tool's own below `/workspace/.hotcell-staging`, brought to the disk,
//! and renamed to where it belongs. What is to be removed goes the other way.
//!
//! ```text
//! begin ─▶ results in slots ─▶ lock ─▶ one rename ───────────────────────▶ clean up
//!                                └───▶ journal ─▶ steps ─▶ journal gone ──▶ clean up
//!                                                   └─ one fails: all undone ─┘
//! ```
//!
//! A patch changes many files at once. Its steps are first written down in a
//! **journal**: from the moment that this has its name the patch is applied,
//! whatever happens. Each step is one rename or one exchange of two names, and
//! the numbers of the inodes tell whether it was done, so steps can be repeated
//! and undone at any time.
//!
//! **SIGKILL, or a machine that is lost.** The kernel frees the locks of a dead
//! tool. Whoever opens the root next finds its directory: without a journal it is
//! rubbish; with one its steps are carried out to the end, or, should that no
//! longer be possible, all undone. Until then commands in the guest may see some
//! files new and others old.
//!
//! **Locks.** A lock on a tool's directory says that its owner lives. A lock on the
//! root makes changes wait for each other; it is held only while names change and
//! while a file is read that is about to be replaced.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::time::{Duration, Instant};

use guest_protocol::path::{STAGING, WorkspacePath};
use guest_protocol::tools::file::{Existing, Kind, Parents};
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::error::ToolError;
use crate::root::{Place, Root, kind_of, sync};

/// How long a change waits for others.
const LOCK_WAIT: Duration = Duration::from_secs(60);

/// How often it tries.
const LOCK_POLL: Duration = Duration::from_millis(5);

/// The journal's name in a tool's directory.
const JOURNAL: &str = "journal";

/// Longest journal, in bytes: so many files do not fit into a patch.
const JOURNAL_MAX: u64 = 256 << 20;

/// A tool's own directory for what it makes.
#[derive(Debug)]
pub(crate) struct Staging<'a> {
    root: &'a Root,
    directory: OwnedFd,
    name: OsString,
    slots: u32,
    is_locked: bool,
    /// The journal could neither be carried out nor undone.
    is_stuck: bool,
}

/// Something that waits in a staging directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Slot(u32);

impl Slot {
    pub(crate) fn name(self) -> String {
        self.0.to_string()
    }
}

/// What is to be done, as the journal keeps it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Journal {
    /// Directories that do not exist yet, the outer ones first.
    pub(crate) directories: Vec<WorkspacePath>,
    /// Each is about another path; removals come first.
    pub(crate) steps: Vec<Step>,
}

/// One change of one name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) path: WorkspacePath,
    /// Where the new thing waits, and the old one will.
    pub(crate) slot: Slot,
    /// Inode of what lies there and goes.
    pub(crate) old: Option<u64>,
    /// Inode of what comes.
    pub(crate) new: Option<u64>,
}

impl<'a> Staging<'a> {
    /// A new directory, locked by this process.
    pub(crate) fn begin(root: &'a Root) -> Result<Self, ToolError> {
        lock(root)?;
        let made = Self::make(root);
        unlock(root);
        made
    }

    fn make(root: &'a Root) -> Result<Self, ToolError> {
        settle_locked(root)?;
        make_directory(root.directory(), STAGING)?;
        let home = open_directory(root.directory(), STAGING)?;
        let process = std::process::id();
        for number in 0_u32.. {
            let name = format!("{process}-{number}");
            match rustix::fs::mkdirat(&home, &name, Mode::RWXU) {
                Err(Errno::EXIST) => {}
                made => {
                    made.map_err(ToolError::staging("create"))?;
                    let directory = open_directory(home.as_fd(), &name)?;
                    rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive)
                        .map_err(ToolError::staging("lock"))?;
                    return Ok(Self {
                        root,
                        directory,
                        name: name.into(),
                        slots: 0,
                        is_locked: false,
                        is_stuck: false,
                    });
                }
            }
        }
        unreachable!("there are fewer tools than numbers")
    }

    /// Where the directory lies in the whole file system.
    pub(crate) fn absolute(&self) -> std::path::PathBuf {
        self.root.absolute(&WorkspacePath::root()).join(STAGING).join(&self.name)
    }

    /// The directory, for what is made in it otherwise.
    pub(crate) fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// Brings everything that was made to the disk at once, which is cheaper than
    /// one file after the other.
    pub(crate) fn sync(&self) -> Result<(), ToolError> {
        rustix::fs::syncfs(&self.directory).map_err(ToolError::staging("sync"))
    }

    /// A slot that nothing waits in yet.
    pub(crate) fn slot(&mut self) -> Slot {
        self.slots += 1;
        Slot(self.slots - 1)
    }

    /// A new file in a slot. Only its maker may read it until it is finished.
    pub(crate) fn file(&mut self) -> Result<(Slot, File), ToolError> {
        let slot = self.slot();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        rustix::fs::openat(&self.directory, slot.name(), flags, Mode::RUSR | Mode::WUSR)
            .map(|file| (slot, File::from(file)))
            .map_err(ToolError::staging("write into"))
    }

    /// A new file with this content, already on the disk.
    pub(crate) fn finished_file(
        &mut self,
        content: &[u8],
        mode: u32,
        owner: Option<(u32, u32)>,
    ) -> Result<Slot, ToolError> {
        let (slot, mut file) = self.file()?;
        file.write_all(content).map_err(ToolError::staging("write into"))?;
        finish(&file, mode, owner)?;
        Ok(slot)
    }

    /// A new symbolic link.
    pub(crate) fn link(&mut self, target: &[u8]) -> Result<Slot, ToolError> {
        let slot = self.slot();
        rustix::fs::symlinkat(target, &self.directory, slot.name())
            .map_err(ToolError::staging("write into"))?;
        Ok(slot)
    }

    /// Inode of what waits in a slot.
    pub(crate) fn inode(&self, slot: Slot) -> Result<u64, ToolError> {
        self.waiting(slot)?.ok_or_else(|| ToolError::staging("find again in")(Errno::NOENT))
    }

    fn waiting(&self, slot: Slot) -> Result<Option<u64>, ToolError> {
        waiting(&self.directory, slot)
    }

    /// Makes all others wait who want to change something.
    pub(crate) fn lock(&mut self) -> Result<(), ToolError> {
        if !self.is_locked {
            lock(self.root)?;
            self.is_locked = true;
        }
        Ok(())
    }

    /// Gives what waits in a slot its place, atomically, and brings it to the disk.
    pub(crate) fn put(
        &mut self,
        slot: Slot,
        place: &Place,
        existing: Existing,
    ) -> Result<(), ToolError> {
        let flags = match existing {
            Existing::Replace => RenameFlags::empty(),
            Existing::Keep => RenameFlags::NOREPLACE,
        };
        let (from, to) = (slot.name(), &place.name);
        rustix::fs::renameat_with(&self.directory, from, &place.directory, to, flags)
            .map_err(ToolError::at("put in place", &place.path))?;
        sync(&place.directory, &place.path)
    }

    /// Takes something away from its place, atomically; it is gone for good when
    /// this directory is.
    pub(crate) fn take(&mut self, place: &Place) -> Result<Slot, ToolError> {
        let slot = self.slot();
        rustix::fs::renameat(&place.directory, &place.name, &self.directory, slot.name())
            .map_err(ToolError::at("remove", &place.path))?;
        Ok(slot)
    }

    /// Carries a journal out: all of it, or nothing.
    pub(crate) fn commit(&mut self, journal: &Journal) -> Result<(), ToolError> {
        self.lock()?;
        self.write_journal(journal)?;
        if let Err(error) = forward(self.root, &self.directory, journal) {
            if let Err(worse) = backward(self.root, &self.directory, journal) {
                self.is_stuck = true;
                return Err(worse);
            }
            self.remove_journal()?;
            return Err(error);
        }
        self.remove_journal()
    }

    /// From here on the journal will be carried out, whoever dies.
    fn write_journal(&self, journal: &Journal) -> Result<(), ToolError> {
        let json = serde_json::to_vec(journal).expect("a journal is plain data");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let temporary = "journal.tmp";
        let file = rustix::fs::openat(&self.directory, temporary, flags, Mode::RUSR | Mode::WUSR)
            .map_err(ToolError::staging("write into"))?;
        let mut file = File::from(file);
        file.write_all(&json)
            .and_then(|()| file.sync_all())
            .map_err(ToolError::staging("write into"))?;
        // Its own name, and those of the directories that it lies in, must be on
        // the disk before anything else changes.
        let home = open_directory(self.root.directory(), STAGING)?;
        rustix::fs::fsync(&home)
            .and_then(|()| rustix::fs::fsync(self.root.directory()))
            .and_then(|()| rustix::fs::fsync(&self.directory))
            .and_then(|()| {
                rustix::fs::renameat(&self.directory, temporary, &self.directory, JOURNAL)
            })
            .and_then(|()| rustix::fs::fsync(&self.directory))
            .map_err(ToolError::staging("sync"))
    }

    fn remove_journal(&self) -> Result<(), ToolError> {
        rustix::fs::unlinkat(&self.directory, JOURNAL, AtFlags::empty())
            .and_then(|()| rustix::fs::fsync(&self.directory))
            .map_err(ToolError::staging("clean"))
    }
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        // What stays is rubbish to the next tool, which tries again.
        if !self.is_stuck && (self.is_locked || lock(self.root).is_ok()) {
            let _ = fs::remove_dir_all(self.absolute());
            let _ = rustix::fs::unlinkat(self.root.directory(), STAGING, AtFlags::REMOVEDIR);
        }
        unlock(self.root);
    }
}

/// Gives a finished file its mode and owner and brings it to the disk.
pub(crate) fn finish(file: &File, mode: u32, owner: Option<(u32, u32)>) -> Result<(), ToolError> {
    if let Some((user, group)) = owner {
        let (user, group) =
            (rustix::process::Uid::from_raw(user), rustix::process::Gid::from_raw(group));
        // Who may not give files away keeps them; in the guest it is root.
        match rustix::fs::fchown(file, Some(user), Some(group)) {
            Err(Errno::PERM) => {}
            done => done.map_err(ToolError::staging("write into"))?,
        }
    }
    // After the owner: a change of owner takes special bits away.
    rustix::fs::fchmod(file, Mode::from_raw_mode(mode))
        .map_err(ToolError::staging("write into"))?;
    file.sync_all().map_err(ToolError::staging("write into"))
}

/// Settles what tools that were killed have left.
pub(crate) fn settle(root: &Root) -> Result<(), ToolError> {
    match rustix::fs::statat(root.directory(), STAGING, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(()),
        other => other.map_err(ToolError::staging("look at"))?,
    };
    // Whoever holds the lock has settled everything before.
    if rustix::fs::flock(root.directory(), FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(());
    }
    let settled = settle_locked(root);
    unlock(root);
    settled
}

fn settle_locked(root: &Root) -> Result<(), ToolError> {
    let home = match open_directory(root.directory(), STAGING) {
        Err(ToolError::Staging { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(());
        }
        other => other?,
    };
    let listed = rustix::fs::Dir::read_from(&home).map_err(ToolError::staging("list"))?;
    for left in listed {
        let left = left.map_err(ToolError::staging("list"))?;
        let name = left.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let name = std::ffi::OsStr::from_bytes(name.to_bytes());
        let Ok(directory) = open_directory(home.as_fd(), name) else { continue };
        if rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        if let Some(journal) = read_journal(&directory)? {
            forward(root, &directory, &journal)
                .or_else(|_| backward(root, &directory, &journal))?;
        }
        let path = root.absolute(&WorkspacePath::root()).join(STAGING).join(name);
        fs::remove_dir_all(path).map_err(ToolError::staging("clean"))?;
    }
    // It stays if a tool that lives has a directory in it.
    let _ = rustix::fs::unlinkat(root.directory(), STAGING, AtFlags::REMOVEDIR);
    Ok(())
}

fn read_journal(directory: &OwnedFd) -> Result<Option<Journal>, ToolError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(directory, JOURNAL, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        other => File::from(other.map_err(ToolError::staging("open"))?),
    };
    let bounded = io::BufReader::new(io::Read::take(file, JOURNAL_MAX));
    serde_json::from_reader(bounded)
        .map(Some)
        .map_err(|error| ToolError::staging("understand the journal in")(io::Error::from(error)))
}

/// Does what has not been done yet.
fn forward(root: &Root, staging: &OwnedFd, journal: &Journal) -> Result<(), ToolError> {
    // The journal stays until all of them are on the disk, so none is waited for
    // before the last step.
    let mut changed_in: BTreeMap<WorkspacePath, WorkspacePath> = BTreeMap::new();
    let mut note = |place: &Place| {
        if let Some((parent, _)) = place.path.split() {
            changed_in.entry(parent).or_insert_with(|| place.path.clone());
        }
    };
    for step in &journal.steps {
        let parents = if step.new.is_some() { Parents::Create } else { Parents::Require };
        let place = match root.place(&step.path, parents, "changed") {
            // What was to be removed may be gone with its directory.
            Err(ToolError::Missing(_)) if step.new.is_none() => continue,
            other => other?,
        };
        let stat = place.stat()?;
        let now = stat.map(|stat| stat.st_ino);
        let slot = step.slot.name();
        let changed = || ToolError::Exists(step.path.clone());
        let flags = match (step.old, step.new) {
            (_, Some(new)) if now == Some(new) => continue,
            (Some(old), Some(_)) if now == Some(old) => RenameFlags::EXCHANGE,
            (None, Some(_)) => {
                if stat.is_some_and(|stat| kind_of(&stat) == Kind::Directory) {
                    remove_empty(root, &step.path)?;
                }
                RenameFlags::NOREPLACE
            }
            (Some(_), Some(_)) => return Err(changed()),
            (Some(old), None) if now == Some(old) => {
                rustix::fs::renameat(&place.directory, &place.name, staging, &slot)
                    .map_err(ToolError::at("remove", &step.path))?;
                note(&place);
                continue;
            }
            (_, None) => continue,
        };
        rustix::fs::renameat_with(staging, &slot, &place.directory, &place.name, flags)
            .map_err(ToolError::at("put in place", &step.path))?;
        note(&place);
    }
    for path in changed_in.values() {
        match root.place(path, Parents::Require, "changed") {
            Ok(place) => sync(&place.directory, &place.path)?,
            // It was removed by a later step, whose directory is among these.
            Err(ToolError::Missing(_) | ToolError::WrongKind { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    // As git does, a directory that has lost its last file goes too.
    for step in journal.steps.iter().filter(|step| step.new.is_none()) {
        let mut path = step.path.clone();
        while let Some((parent, _)) = path.split() {
            if parent.is_root() || remove_one_empty(root, &parent).is_err() {
                break;
            }
            path = parent;
        }
    }
    Ok(())
}

/// Undoes what has been done.
fn backward(root: &Root, staging: &OwnedFd, journal: &Journal) -> Result<(), ToolError> {
    for step in journal.steps.iter().rev() {
        let place = match root.place(&step.path, Parents::Create, "changed") {
            // Something that came is where its directory was: its turn is later.
            Err(_) if step.old.is_none() => continue,
            other => other?,
        };
        let now = place.stat()?.map(|stat| stat.st_ino);
        let slot = step.slot.name();
        let flags = match (step.old, step.new) {
            (Some(_), Some(new)) if now == Some(new) => RenameFlags::EXCHANGE,
            (None, Some(new)) if now == Some(new) => {
                rustix::fs::renameat(&place.directory, &place.name, staging, &slot)
                    .map_err(ToolError::at("take back", &step.path))?;
                sync(&place.directory, &place.path)?;
                continue;
            }
            (Some(old), None) if waiting(staging, step.slot)? == Some(old) => {
                RenameFlags::NOREPLACE
            }
            _ => continue,
        };
        rustix::fs::renameat_with(staging, &slot, &place.directory, &place.name, flags)
            .map_err(ToolError::at("bring back", &step.path))?;
        sync(&place.directory, &place.path)?;
    }
    for directory in journal.directories.iter().rev() {
        let _ = remove_one_empty(root, directory);
    }
    Ok(())
}

/// Removes a directory that has nothing but empty directories in it.
fn remove_empty(root: &Root, path: &WorkspacePath) -> Result<(), ToolError> {
    let (directory, _) = root.open_directory(path)?;
    let listed = rustix::fs::Dir::read_from(&directory).map_err(ToolError::at("list", path))?;
    for child in listed {
        let child = child.map_err(ToolError::at("list", path))?;
        if !matches!(child.file_name().to_bytes(), b"." | b"..") {
            remove_empty(root, &path.join(child.file_name().to_bytes()))?;
        }
    }
    remove_one_empty(root, path)
}

fn remove_one_empty(root: &Root, path: &WorkspacePath) -> Result<(), ToolError> {
    let place = root.place(path, Parents::Require, "removed")?;
    rustix::fs::unlinkat(&place.directory, &place.name, AtFlags::REMOVEDIR)
        .map_err(ToolError::at("remove", path))?;
    sync(&place.directory, &place.path)
}

fn waiting(staging: &OwnedFd, slot: Slot) -> Result<Option<u64>, ToolError> {
    match rustix::fs::statat(staging, slot.name(), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat.st_ino)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(ToolError::staging("look at")(error)),
    }
}

fn lock(root: &Root) -> Result<(), ToolError> {
    let deadline = Instant::now() + LOCK_WAIT;
    loop {
        match rustix::fs::flock(root.directory(), FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::WOULDBLOCK) if Instant::now() < deadline => std::thread::sleep(LOCK_POLL),
            Err(Errno::WOULDBLOCK) => return Err(ToolError::Busy),
            Err(error) => return Err(ToolError::staging("lock")(error)),
        }
    }
}

fn unlock(root: &Root) {
    // It ends with the process in any case.
    let _ = rustix::fs::flock(root.directory(), FlockOperation::Unlock);
}

fn make_directory(parent: impl AsFd, name: &str) -> Result<(), ToolError> {
    match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
        Err(Errno::EXIST) => Ok(()),
        made => made.map_err(ToolError::staging("create")),
    }
}

fn open_directory(parent: impl AsFd, name: impl rustix::path::Arg) -> Result<OwnedFd, ToolError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(ToolError::staging("open"))
}

#[cfg(test)]
mod tests;
