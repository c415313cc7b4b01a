//! Changes of a checkout: all of them, or none.
//!
//! ```text
//! begun ──▶ results in slots ──▶ decided ──▶ one rename each ──▶ begun ──▶ gone
//!                                   │            │ one fails        (originals go)
//!                                   │            └──▶ all undone ──▶ begun ──▶ gone
//!                                   └── SIGKILL: the next use of hotcell goes on here
//! ```
//!
//! New contents are written into a directory of ours in the checkout's root. The
//! journal lies in hotcell's own home, because a checkout may hold anything, also
//! a journal that somebody forged. Once it is decided, each change is one rename
//! or one exchange of two names; what was there before lies in the slot until
//! everything is done. Inode, size and time of modification tell whether a step
//! was done, and whether somebody else has changed the file meanwhile: then all is
//! undone. What can be neither done nor undone without losing somebody's change
//! stays as it is, journal and originals included, and is told.
//!
//! Directories with nothing in them are made after all renames. Every name is looked
//! up beneath the checkout's root, and no link is followed.

mod steps;

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use file_tree::{Entry, Root, TreePath};
use guest_protocol::path::{quote, unquote};
use operation::{ErrorKind, OpError};
use rustix::fs::Mode;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use self::steps::{Decided, Identity, Step, Trouble, backward, forward, look, parsed, path_of};
use super::plan::forbidden;
use crate::crossing::outgoing::discard;
use crate::files::{FileError, create_private, replace_file, sync_directory, try_lock};
use crate::home::Home;
use crate::trouble::tree_error;

/// What our directories in checkouts begin with.
pub(crate) const STAGING: &[u8] = b".hotcell-apply-";

/// The journal's name in its directory of the home.
const JOURNAL: &str = "journal.json";

/// The lock's name beside it.
const LOCK: &str = "lock";

/// The format of journals.
const FORMAT: u32 = 1;

/// What is to be done in a checkout, as it is written down.
#[derive(Debug, Serialize, Deserialize)]
struct Journal {
    format: u32,
    /// The checkout, as [`quote`] writes it.
    checkout: String,
    /// The name of our directory in it.
    staging: String,
    /// What was decided; before and after that, our directory only has to go.
    decided: Option<Decided>,
}

/// Changes of a checkout that are being put together. Dropping it removes them.
#[derive(Debug)]
pub(crate) struct Changes {
    /// Where journal and lock lie.
    records: PathBuf,
    _lock: File,
    checkout: PathBuf,
    root: Root,
    journal: Journal,
    staging: Root,
    decided: Decided,
    /// The journal must stay: see the module.
    is_stuck: bool,
}

/// What a file shall be allowed to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Permissions {
    /// What new files are, with or without execution; the user's mask counts.
    New { executable: bool },
    /// What the file that it replaces is, with or without execution.
    Of { mode: u16, executable: bool },
}

impl Changes {
    /// Begins, and settles what was killed before. `checkout` is resolved.
    pub(crate) fn begin(home: &Home, checkout: &Path) -> Result<Self, OpError> {
        let digest = Sha256::digest(checkout.as_os_str().as_bytes());
        let records = home.applies().join(crate::hex::hex(&digest[..16]));
        create_private(&records)?;
        let Some(lock) = try_lock(&records.join(LOCK))? else {
            let message = format!("something else is being applied to {}", checkout.display());
            return Err(OpError::plain(ErrorKind::Conflict, message));
        };
        settle(&records)?;
        let root = Root::open(checkout).map_err(tree_error)?;
        let staging = format!("{}{}", String::from_utf8_lossy(STAGING), Uuid::new_v4().simple());
        let journal = Journal {
            format: FORMAT,
            checkout: quote(checkout.as_os_str().as_bytes()),
            staging: staging.clone(),
            decided: None,
        };
        write(&records, &journal)?;
        let path = checkout.join(&staging);
        let opened = DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(FileError::at("create", &path))
            .map_err(OpError::from)
            .and_then(|()| Root::open(&path).map_err(tree_error));
        match opened {
            Ok(staging) => Ok(Self {
                records,
                _lock: lock,
                checkout: checkout.to_owned(),
                root,
                journal,
                staging,
                decided: Decided::default(),
                is_stuck: false,
            }),
            Err(error) => {
                let _ = fs::remove_file(records.join(JOURNAL));
                Err(error)
            }
        }
    }

    /// Has a file put at a place where `old` is.
    pub(crate) fn put_file(
        &mut self,
        path: &TreePath,
        old: Option<&Entry>,
        content: &mut impl Read,
        permissions: Permissions,
    ) -> Result<(), OpError> {
        let (slot, at) = self.slot();
        let failed = || FileError::at("write", &at);
        let mode = match permissions {
            Permissions::New { executable: true } => 0o777,
            Permissions::New { executable: false } => 0o666,
            Permissions::Of { .. } => 0o600,
        };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&at)
            .map_err(failed())?;
        io::copy(content, &mut file).map_err(failed())?;
        if let Permissions::Of { mode, executable } = permissions {
            let mode = u32::from(mode & 0o777);
            // Who may read it may execute it, as git has it.
            let mode = if executable { mode | (mode & 0o444) >> 2 } else { mode & !0o111 };
            rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))
                .map_err(|errno| failed()(errno.into()))?;
        }
        file.sync_all().map_err(failed())?;
        self.step(path, slot, old)
    }

    /// Has a symbolic link put at a place where `old` is.
    pub(crate) fn put_link(
        &mut self,
        path: &TreePath,
        old: Option<&Entry>,
        target: &[u8],
    ) -> Result<(), OpError> {
        let (slot, at) = self.slot();
        rustix::fs::symlinkat(target, &self.staging, slot.to_string())
            .map_err(|errno| FileError::at("write", &at)(errno.into()))?;
        self.step(path, slot, old)
    }

    /// Has what lies at a place removed.
    pub(crate) fn remove(&mut self, path: &TreePath, old: &Entry) -> Result<(), OpError> {
        check(path)?;
        let (slot, _) = self.slot();
        let old = Some(Identity::from(old));
        self.decided.steps.push(Step { path: quote(path.as_bytes()), slot, old, new: None });
        Ok(())
    }

    /// Has a directory be there, if only with nothing in it.
    pub(crate) fn make_directory(&mut self, path: &TreePath) -> Result<(), OpError> {
        check(path)?;
        self.decided.empty.push(quote(path.as_bytes()));
        Ok(())
    }

    fn slot(&self) -> (u32, PathBuf) {
        let slot = u32::try_from(self.decided.steps.len()).unwrap_or(u32::MAX);
        (slot, self.checkout.join(&self.journal.staging).join(slot.to_string()))
    }

    fn step(&mut self, path: &TreePath, slot: u32, old: Option<&Entry>) -> Result<(), OpError> {
        check(path)?;
        let stat = look(&self.staging, &slot.to_string()).map_err(|error| self.failed(error))?;
        let new = stat.as_ref().map(Identity::of);
        let old = old.map(Identity::from);
        self.decided.steps.push(Step { path: quote(path.as_bytes()), slot, old, new });
        Ok(())
    }

    /// Carries everything out: all of it, or nothing.
    pub(crate) fn commit(mut self) -> Result<(), OpError> {
        // What gives way goes first, as it may be where a directory has to be.
        self.decided.steps.sort_by_key(|step| step.new.is_some());
        self.decided.directories = self.missing_directories()?;
        self.journal.decided = Some(std::mem::take(&mut self.decided));
        let path = self.checkout.join(&self.journal.staging);
        sync_directory(&path)?;
        sync_directory(&self.checkout)?;
        write(&self.records, &self.journal)?;
        let decided = self.journal.decided.as_ref().expect("it was just decided");
        let Err(error) = forward(&self.root, &self.staging, decided) else {
            self.journal.decided = None;
            return write(&self.records, &self.journal).map_err(OpError::from);
        };
        if let Err(worse) = backward(&self.root, &self.staging, decided) {
            self.is_stuck = true;
            return Err(stuck(&self.checkout, &self.journal, &worse));
        }
        self.journal.decided = None;
        write(&self.records, &self.journal)?;
        Err(self.failed(error))
    }

    fn failed(&self, error: Trouble) -> OpError {
        error.told().during(format!("{} was not changed", self.checkout.display()))
    }

    fn missing_directories(&self) -> Result<Vec<String>, OpError> {
        let mut missing = BTreeSet::new();
        let files = self.decided.steps.iter().filter(|step| step.new.is_some());
        let places = files.map(|step| path_of(step).map(|path| path.parent()));
        let empty = self.decided.empty.iter().map(|path| parsed(path).map(Some));
        for place in places.chain(empty) {
            let mut place = place.map_err(|error| self.failed(error))?;
            while let Some(at) = place.filter(|at| !at.is_root() && !missing.contains(at)) {
                match self.root.directory(&at) {
                    Err(Errno::NOENT | Errno::NOTDIR) => {}
                    _ => break,
                }
                place = at.parent();
                missing.insert(at);
            }
        }
        Ok(missing.iter().map(|path| quote(path.as_bytes())).collect())
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        // What cannot be removed now is removed at the next use.
        if !self.is_stuck
            && self.journal.decided.is_none()
            && discard(&self.checkout.join(&self.journal.staging)).is_ok()
        {
            let _ = fs::remove_file(self.records.join(JOURNAL));
        }
    }
}

/// Settles what killed processes have left of applying to any checkout.
pub(crate) fn settle_all(home: &Home) {
    let Ok(all) = fs::read_dir(home.applies()) else { return };
    for records in all.flatten().map(|entry| entry.path()) {
        match try_lock(&records.join(LOCK)) {
            Ok(Some(_lock)) => {
                // Other work does not have to wait for what may need its user.
                if let Err(error) = settle(&records) {
                    tracing::warn!(%error, "a checkout could not be settled");
                }
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "a checkout's lock could not be looked at"),
        }
    }
}

/// Settles what is left; the lock is held.
fn settle(records: &Path) -> Result<(), OpError> {
    let path = records.join(JOURNAL);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(FileError::at("read", &path)(source).into()),
    };
    let mut journal: Journal = serde_json::from_slice(&text).map_err(|error| {
        OpError::new(ErrorKind::Internal, &error).during("cannot read a journal")
    })?;
    let checkout = unquote(&journal.checkout).unwrap_or_default();
    let checkout = PathBuf::from(std::ffi::OsString::from(std::ffi::OsStr::from_bytes(&checkout)));
    let staging_path = checkout.join(&journal.staging);
    if let Some(decided) = &journal.decided {
        // Without its directory there is nothing left that could be done.
        if let (Ok(root), Ok(staging)) = (Root::open(&checkout), Root::open(&staging_path)) {
            let settled =
                forward(&root, &staging, decided).or_else(|_| backward(&root, &staging, decided));
            settled.map_err(|worse| stuck(&checkout, &journal, &worse))?;
        }
        journal.decided = None;
        write(records, &journal)?;
    }
    discard(&staging_path)?;
    fs::remove_file(&path).map_err(FileError::at("remove", &path))?;
    Ok(())
}

fn write(records: &Path, journal: &Journal) -> Result<(), FileError> {
    let text = serde_json::to_vec(journal).expect("a journal is plain data");
    replace_file(&records.join(JOURNAL), &text)
}

fn stuck(checkout: &Path, journal: &Journal, worse: &Trouble) -> OpError {
    let originals = checkout.join(&journal.staging);
    worse
        .told()
        .during(format!("{} is changed in part", checkout.display()))
        .hinted(format!("what was there before lies in {}", originals.display()))
        .hinted("once the file named above is out of the way, any use of hotcell settles it")
}

fn check(path: &TreePath) -> Result<(), OpError> {
    match forbidden(path) {
        Some(why) => Err(OpError::plain(ErrorKind::Denied, format!("{path}: {why}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
