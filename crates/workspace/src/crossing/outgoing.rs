//! What leaves a workspace: from the guest's bytes to a name on the host.
//!
//! ```text
//! staged ──unpacked, within limits──▶ sealed ──▶ published
//!    └────────── dropped: removed ───────┘
//! ```
//!
//! Whatever leaves is first put together in a directory beside its new place,
//! whose name follows from that place. Nothing leaves a workspace by another way,
//! so [`Sealed`] is where content can be judged before anybody sees it.
//!
//! **SIGKILL here.** The new place has what it had, or all of the new. What was
//! put together stays beside it until something is copied to the same place
//! again: its lock is free then, and it is removed. If something was replaced,
//! the old lies there for the moment between the exchange and its removal.

mod packing;

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use file_tree::archive::Reader;
use file_tree::{
    Entry, Kind, Limits, Replacing, Root, SetId, TreeError, TreePath, Unpacked, unpack, walk,
};
use operation::{ErrorKind, OpError};
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, RenameFlags, flock, open};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use workspace_api::workspace::{ArchiveFormat, Existing, ExportedKind};

use crate::files::{FileError, sync_directory};
use crate::secrets::leaving::{Gate, refused};
use crate::trouble::tree_error;

/// What our directories beside a new place begin with.
const PREFIX: &str = ".hotcell-export-";

/// A place on the host that something is copied to.
#[derive(Debug, Clone)]
pub(crate) struct HostPlace {
    /// The directory, held open: its path may come to mean something else.
    opened: Arc<OwnedFd>,
    /// Where it is, for people.
    shown: PathBuf,
    name: OsString,
}

impl HostPlace {
    /// The place that a path means: its directory must exist, and links on the way
    /// to it are followed, as the path is the caller's own.
    pub(crate) fn find(path: &str) -> Result<Self, OpError> {
        let path = Path::new(path);
        let name = path.file_name().ok_or_else(|| {
            let message = format!("{} is no place for a copy", path.display());
            OpError::plain(ErrorKind::InvalidRequest, message)
        })?;
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let found = open(parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(io::Error::from)
            .and_then(|opened| Ok((fs::read_link(meaning(&opened))?, opened)));
        let (shown, opened) = found.map_err(|source| {
            let kind = match source.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ErrorKind::NotFound,
                io::ErrorKind::PermissionDenied => ErrorKind::Denied,
                _ => ErrorKind::Internal,
            };
            OpError::new(kind, &FileError { action: "find", path: parent.to_owned(), source })
        })?;
        Ok(Self { opened: Arc::new(opened), shown, name: name.to_owned() })
    }

    /// Where it is, for people.
    pub(crate) fn path(&self) -> PathBuf {
        self.shown.join(&self.name)
    }

    /// A path that means something in the directory as long as this lives, whatever
    /// becomes of the directory's own path.
    fn beside(&self, name: impl AsRef<Path>) -> PathBuf {
        meaning(&self.opened).join(name)
    }

    /// Refuses early what would be refused at the end.
    pub(crate) fn check(&self, existing: Existing) -> Result<(), OpError> {
        match (existing, self.beside(&self.name).symlink_metadata()) {
            (Existing::Refuse, Ok(_)) => Err(self.taken()),
            _ => Ok(()),
        }
    }

    fn taken(&self) -> OpError {
        let message = format!("{} exists already", self.path().display());
        OpError::plain(ErrorKind::Conflict, message)
            .hinted("name another place, or ask for it to be replaced (--existing replace)")
    }
}

/// A path that means an open directory.
fn meaning(opened: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd()))
}

/// What is being put together.
#[derive(Debug)]
pub(crate) struct Staged {
    place: HostPlace,
    /// A path that means it as long as the place lives.
    directory: PathBuf,
    /// The directory, locked.
    lock: File,
    root: Root,
}

impl Staged {
    /// Begins, and removes what a killed process has left.
    pub(crate) fn begin(place: HostPlace) -> Result<Self, OpError> {
        let digest = Sha256::digest(place.name.as_bytes());
        let name = format!("{PREFIX}{}", crate::hex::hex(&digest[..8]));
        let directory = place.beside(&name);
        let shown = place.shown.join(&name);
        let during = |error: OpError| {
            error.during(format!("cannot put anything at {}", place.path().display()))
        };
        // One that was left is locked before it is removed; then there is a new one.
        for _ in 0..2 {
            match DirBuilder::new().mode(0o700).create(&directory) {
                Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(during(FileError::at("create", &shown)(source).into()));
                }
                _ => {}
            }
            let lock = File::open(&directory).map_err(FileError::at("open", &shown))?;
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => {
                    let message = "another copy to the same place is under way";
                    return Err(during(OpError::plain(ErrorKind::Conflict, message)));
                }
                Err(errno) => return Err(FileError::at("lock", &shown)(errno.into()).into()),
            }
            let is_new = fs::read_dir(&directory).is_ok_and(|mut left| left.next().is_none());
            if is_new {
                let root = Root::open(&directory).map_err(tree_error)?;
                return Ok(Self { place, directory, lock, root });
            }
            discard(&directory)?;
        }
        Err(during(OpError::plain(ErrorKind::Conflict, "another copy fills the same place")))
    }

    /// Unpacks an archive of the guest's.
    pub(crate) fn unpack(
        self,
        archive: impl Read,
        limits: Limits,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<(Sealed, Unpacked), OpError> {
        match receive(&self.root, archive, limits, go_on) {
            Ok(unpacked) => Ok((Sealed { staged: Some(self) }, unpacked)),
            Err(error) => {
                let _ = discard(&self.directory);
                Err(match error {
                    TreeError::TooMuch { .. } => OpError::new(ErrorKind::Exhausted, &error)
                        .hinted("allow more with --max-mib and --max-files"),
                    error => tree_error(error),
                })
            }
        }
    }
}

/// Unpacks an archive of a guest's into an empty directory of ours. Everything that
/// leaves a workspace comes through here.
pub(crate) fn receive(
    root: &Root,
    archive: impl Read,
    limits: Limits,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Unpacked, TreeError> {
    let mut reader = Reader::new(archive, limits);
    let unpacked = unpack(&mut reader, root, Replacing::Unseen, SetId::Dropped, go_on)?;
    reader.finish()?;
    Ok(unpacked)
}

/// What shall leave as a file or link of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Everything that was unpacked, as one directory.
    Directory,
    /// The one thing that was unpacked.
    Single,
}

/// What is whole and may leave. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct Sealed {
    /// `None` once it is published.
    staged: Option<Staged>,
}

impl Sealed {
    /// Refuses a tree in which something holds the value of a secret.
    pub(crate) fn judge(&self, gate: &Gate) -> Result<(), OpError> {
        if gate.lets_all_pass() {
            return Ok(());
        }
        let staged = self.staged.as_ref().expect("it is judged before it is published");
        // The archive's limits have bounded it.
        let found = walk(&staged.root, usize::MAX, &mut |_| true).map_err(tree_error)?;
        for entry in found.entries.iter().filter(|entry| entry.kind == Kind::File) {
            let path = staged.directory.join(entry.path.as_path());
            let unread = |source| FileError { action: "read", path: path.clone(), source };
            let file = staged
                .root
                .open_file(&entry.path, OFlags::RDONLY, Mode::empty())
                .map_err(|errno| unread(errno.into()))?;
            if let Some(secret) = gate.found(file).map_err(unread)? {
                return Err(refused(&entry.path.to_string(), &secret));
            }
        }
        Ok(())
    }

    /// Gives it its name; tells what it is. Fails if it shall be of another kind.
    pub(crate) fn publish(
        mut self,
        shape: Shape,
        wanted: Option<ExportedKind>,
        archive: Option<ArchiveFormat>,
        existing: Existing,
    ) -> Result<Kind, OpError> {
        let staged = self.staged.as_ref().expect("it is published once");
        // The archive's limits have bounded it.
        let found = walk(&staged.root, usize::MAX, &mut |_| true).map_err(tree_error)?;
        let (kind, inner) = match shape {
            Shape::Directory => (Kind::Directory, None),
            Shape::Single => {
                let single = single(&found.entries)?;
                (single.kind, Some(single.path.clone()))
            }
        };
        check_kind(wanted, kind)?;
        if let Some(format) = archive {
            let packed = staged.directory.join(PACKED);
            let failed = FileError::at("open up", &staged.directory);
            // The tree's own modes may not let us.
            fs::set_permissions(&staged.directory, Permissions::from_mode(0o700))
                .map_err(failed)?;
            packing::write(&staged.root, &found.entries, format, &packed)?;
            let name =
                TreePath::parse(PACKED.as_bytes()).map_err(|error| tree_error(error.into()))?;
            staged.rename(Some(&name), existing)?;
            return Ok(kind);
        }
        // What has its name must not be empty after a power loss.
        rustix::fs::syncfs(&staged.lock)
            .map_err(|errno| FileError::at("sync", &staged.directory)(errno.into()))?;
        let left = staged.rename(inner.as_ref(), existing)?;
        if inner.is_none() && left == LeftBehind::Nothing {
            self.staged = None;
        }
        Ok(kind)
    }
}

/// What something of a kind is called.
pub(crate) fn exported(kind: Kind) -> ExportedKind {
    match kind {
        Kind::Symlink => ExportedKind::Symlink,
        Kind::File => ExportedKind::File,
        _ => ExportedKind::Directory,
    }
}

/// Refuses what is of another kind than was asked for.
pub(crate) fn check_kind(wanted: Option<ExportedKind>, is: Kind) -> Result<(), OpError> {
    match wanted {
        Some(wanted) if wanted != exported(is) => {
            let message = format!("it is a {}, not a {}", word(exported(is)), word(wanted));
            Err(OpError::plain(ErrorKind::InvalidRequest, message))
        }
        _ => Ok(()),
    }
}

const fn word(kind: ExportedKind) -> &'static str {
    match kind {
        ExportedKind::File => "regular file",
        ExportedKind::Directory => "directory",
        ExportedKind::Symlink => "symbolic link",
    }
}

impl Drop for Sealed {
    fn drop(&mut self) {
        if let Some(staged) = &self.staged {
            // What cannot be removed now is removed by the next copy to this place.
            let _ = discard(&staged.directory);
        }
    }
}

/// What lies where the new was, once it has its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LeftBehind {
    Nothing,
    /// What was replaced.
    Old,
}

impl Staged {
    /// Gives the directory, or something in it, the new name. What was replaced
    /// then lies where the new was.
    fn rename(&self, inner: Option<&TreePath>, existing: Existing) -> Result<LeftBehind, OpError> {
        let from = match inner {
            Some(inner) => self.directory.join(inner.as_path()),
            None => self.directory.clone(),
        };
        let to = self.place.beside(&self.place.name);
        let rename = |flags| rustix::fs::renameat_with(CWD, &from, CWD, &to, flags);
        let renamed = match existing {
            Existing::Refuse => rename(RenameFlags::NOREPLACE).map(|()| LeftBehind::Nothing),
            Existing::Replace => match rename(RenameFlags::EXCHANGE) {
                Err(Errno::NOENT) => rename(RenameFlags::NOREPLACE).map(|()| LeftBehind::Nothing),
                other => other.map(|()| LeftBehind::Old),
            },
        };
        match renamed {
            Ok(left) => {
                sync_directory(&meaning(&self.place.opened))?;
                Ok(left)
            }
            Err(Errno::EXIST) => Err(self.place.taken()),
            Err(errno) => {
                Err(FileError::at("put in place", &self.place.path())(errno.into()).into())
            }
        }
    }
}

/// The name of an archive while it is written. A member of that name would have
/// been refused: only a directory's content may have several members.
const PACKED: &str = ".hotcell-packed";

/// The only thing in a tree.
fn single(entries: &[Entry]) -> Result<&Entry, OpError> {
    match entries {
        [_, single] if matches!(single.kind, Kind::File | Kind::Symlink) => Ok(single),
        _ => Err(OpError::plain(ErrorKind::Internal, "the guest sent something else than it said")),
    }
}

/// Removes a tree whose directories may forbid it.
pub(crate) fn discard(path: &Path) -> Result<(), FileError> {
    fn open_up(directory: &Path) -> io::Result<()> {
        fs::set_permissions(directory, Permissions::from_mode(0o700))?;
        for child in fs::read_dir(directory)? {
            let child = child?;
            if child.file_type()?.is_dir() {
                open_up(&child.path())?;
            }
        }
        Ok(())
    }
    match path.symlink_metadata() {
        Err(_) => return Ok(()),
        Ok(found) if !found.is_dir() => {
            return fs::remove_file(path).map_err(FileError::at("remove", path));
        }
        Ok(_) => {}
    }
    open_up(path).map_err(FileError::at("open up", path))?;
    crate::files::remove_tree(path)
}
