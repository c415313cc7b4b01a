//! What is done in a checkout name by name, and undone.

use std::collections::BTreeSet;
use std::io;

use file_tree::{Entry, Root, TreePath};
use guest_protocol::path::unquote;
use operation::{ErrorKind, OpError};
use rustix::fs::{AtFlags, FileType, Mode, RenameFlags, Stat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::super::plan::forbidden;

/// All that is to be done.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Decided {
    /// Directories that do not exist yet, the outer ones first.
    pub(super) directories: Vec<String>,
    pub(super) steps: Vec<Step>,
    /// Directories that shall be there with nothing in them.
    #[serde(default)]
    pub(super) empty: Vec<String>,
}

/// One change of one name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Step {
    pub(super) path: String,
    /// Where the new file waits, and the old one will.
    pub(super) slot: u32,
    /// What lies there and goes.
    pub(super) old: Option<Identity>,
    /// What comes.
    pub(super) new: Option<Identity>,
}

/// What tells a file from another one and from itself after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    inode: u64,
    bytes: u64,
    seconds: i64,
    nanoseconds: u32,
}

impl From<&Entry> for Identity {
    fn from(entry: &Entry) -> Self {
        Self {
            inode: entry.inode.1,
            bytes: entry.bytes,
            seconds: entry.modified.seconds,
            nanoseconds: entry.modified.nanoseconds,
        }
    }
}

impl Identity {
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            inode: stat.st_ino,
            bytes: u64::try_from(stat.st_size).unwrap_or(0),
            seconds: stat.st_mtime,
            nanoseconds: u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
        }
    }
}

/// Why a step could not be done or undone.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("{0} was changed by somebody else meanwhile")]
    Changed(TreePath),
    #[error("{0} lies behind a symbolic link now")]
    BehindLink(TreePath),
    #[error("cannot {action} {path}")]
    Step {
        action: &'static str,
        path: TreePath,
        #[source]
        source: io::Error,
    },
    #[error("the journal names a path that may not be written")]
    Path,
}

impl Trouble {
    fn at(action: &'static str, path: &TreePath) -> impl FnOnce(Errno) -> Self {
        let path = path.clone();
        move |errno| match errno {
            Errno::LOOP => Self::BehindLink(path),
            _ => Self::Step { action, path, source: errno.into() },
        }
    }

    pub(super) fn told(&self) -> OpError {
        let kind = match self {
            Self::Changed(_) | Self::BehindLink(_) => ErrorKind::Conflict,
            Self::Step { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Exhausted,
                io::ErrorKind::PermissionDenied => ErrorKind::Denied,
                _ => ErrorKind::Internal,
            },
            Self::Path => ErrorKind::Internal,
        };
        OpError::new(kind, self)
    }
}

pub(super) fn path_of(step: &Step) -> Result<TreePath, Trouble> {
    parsed(&step.path)
}

pub(super) fn parsed(text: &str) -> Result<TreePath, Trouble> {
    let bytes = unquote(text).ok_or(Trouble::Path)?;
    let path = TreePath::parse(&bytes).map_err(|_| Trouble::Path)?;
    if forbidden(&path).is_some() { Err(Trouble::Path) } else { Ok(path) }
}

/// Does what has not been done yet.
pub(super) fn forward(root: &Root, staging: &Root, decided: &Decided) -> Result<(), Trouble> {
    let mut changed_in = BTreeSet::new();
    for step in &decided.steps {
        let path = path_of(step)?;
        let parent = path.parent().unwrap_or_default();
        let directory = match step.new {
            Some(_) => make_directory(root, &parent)?,
            None => match root.directory(&parent) {
                // It was removed, and its directory with it.
                Err(Errno::NOENT) => continue,
                other => other.map_err(Trouble::at("open", &parent))?,
            },
        };
        let (name, slot) = (path.name(), step.slot.to_string());
        let now = look(&directory, name)?;
        let is = now.as_ref().map(Identity::of);
        let rename = |from: &Root, to: &Root, put: Put, flags| {
            let renamed = match put {
                Put::Slot => rustix::fs::renameat_with(from, &slot, to, name, flags),
                Put::Place => rustix::fs::renameat_with(from, name, to, &slot, flags),
            };
            renamed.map_err(Trouble::at("change", &path))
        };
        match (step.old, step.new) {
            (_, Some(new)) if is.is_some_and(|is| is.inode == new.inode) => {}
            (Some(old), Some(_)) if is == Some(old) => {
                rename(staging, &directory, Put::Slot, RenameFlags::EXCHANGE)?;
                // Between looking and renaming somebody may have been faster.
                if look(staging, &slot)?.as_ref().map(Identity::of) != Some(old) {
                    rename(staging, &directory, Put::Slot, RenameFlags::EXCHANGE)?;
                    return Err(Trouble::Changed(path));
                }
            }
            (None, Some(_)) => {
                match rename(staging, &directory, Put::Slot, RenameFlags::NOREPLACE) {
                    Err(Trouble::Step { source, .. })
                        if source.kind() == io::ErrorKind::AlreadyExists =>
                    {
                        return Err(Trouble::Changed(path));
                    }
                    other => other?,
                }
            }
            (Some(old), None) if is == Some(old) => {
                rename(&directory, staging, Put::Place, RenameFlags::NOREPLACE)?;
                if look(staging, &slot)?.as_ref().map(Identity::of) != Some(old) {
                    rename(staging, &directory, Put::Slot, RenameFlags::NOREPLACE)?;
                    return Err(Trouble::Changed(path));
                }
            }
            // A directory may have taken its place by now.
            (Some(old), None)
                if now.is_none_or(|now| FileType::from_raw_mode(now.st_mode).is_dir())
                    && look(staging, &slot)?.is_some_and(|at| at.st_ino == old.inode) => {}
            _ => return Err(Trouble::Changed(path)),
        }
        changed_in.insert(parent);
    }
    let mut empty = BTreeSet::new();
    for directory in &decided.empty {
        let path = parsed(directory)?;
        make_directory(root, &path)?;
        changed_in.insert(path.parent().unwrap_or_default());
        empty.insert(path);
    }
    for parent in &changed_in {
        match root.directory(parent) {
            Ok(directory) => {
                rustix::fs::fsync(&directory).map_err(Trouble::at("sync", parent))?;
            }
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(Trouble::at("sync", parent)(errno)),
        }
    }
    // As git does, a directory that has lost its last file goes too.
    for step in decided.steps.iter().filter(|step| step.new.is_none()) {
        let mut inner = path_of(step)?.parent();
        while let Some(parent) = inner.filter(|at| !at.is_root() && !empty.contains(at)) {
            if remove_directory(root, &parent).is_err() {
                break;
            }
            inner = parent.parent();
        }
    }
    Ok(())
}

/// Which name a rename begins with.
#[derive(Debug, Clone, Copy)]
enum Put {
    Slot,
    Place,
}

/// Undoes what has been done.
pub(super) fn backward(root: &Root, staging: &Root, decided: &Decided) -> Result<(), Trouble> {
    for step in decided.steps.iter().rev() {
        let path = path_of(step)?;
        let parent = path.parent().unwrap_or_default();
        let slot = step.slot.to_string();
        let waits = look(staging, &slot)?.map(|stat| stat.st_ino);
        let is_taken =
            step.new.is_none() && waits.is_some() && waits == step.old.map(|old| old.inode);
        let directory = if is_taken {
            make_directory(root, &parent)?
        } else {
            match root.directory(&parent) {
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                other => other.map_err(Trouble::at("open", &parent))?,
            }
        };
        let now = look(&directory, path.name())?.as_ref().map(Identity::of);
        let failed = || Trouble::at("bring back", &path);
        match (step.old, step.new) {
            (old, Some(new)) if now.is_some_and(|now| now.inode == new.inode) => {
                if now != Some(new) {
                    return Err(Trouble::Changed(path));
                }
                match old {
                    Some(_) => {
                        let flags = RenameFlags::EXCHANGE;
                        rustix::fs::renameat_with(staging, &slot, &directory, path.name(), flags)
                    }
                    None => {
                        let flags = RenameFlags::NOREPLACE;
                        rustix::fs::renameat_with(&directory, path.name(), staging, &slot, flags)
                    }
                }
                .map_err(failed())?;
            }
            (Some(_), None) if is_taken => {
                remove_made(root, decided, &path)?;
                let flags = RenameFlags::NOREPLACE;
                match rustix::fs::renameat_with(staging, &slot, &directory, path.name(), flags) {
                    Err(Errno::EXIST) => return Err(Trouble::Changed(path)),
                    other => other.map_err(failed())?,
                }
            }
            _ => continue,
        }
        rustix::fs::fsync(&directory).map_err(Trouble::at("sync", &parent))?;
    }
    remove_made(root, decided, &TreePath::root())
}

/// Removes the directories that were made at a place or below it, but for those in
/// which something else lies by now.
fn remove_made(root: &Root, decided: &Decided, place: &TreePath) -> Result<(), Trouble> {
    for directory in decided.directories.iter().rev() {
        let path = parsed(directory)?;
        if path.is_within(place) {
            let _ = remove_directory(root, &path);
        }
    }
    Ok(())
}

/// Opens a directory, making what is missing of it.
fn make_directory(root: &Root, path: &TreePath) -> Result<Root, Trouble> {
    match root.directory(path) {
        Err(Errno::NOENT) => {}
        other => return other.map_err(Trouble::at("open", path)),
    }
    let parent = path.parent().unwrap_or_default();
    let outer = make_directory(root, &parent)?;
    let mode = Mode::RWXU | Mode::RWXG | Mode::RWXO;
    match rustix::fs::mkdirat(&outer, path.name(), mode) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(Trouble::at("create", path)(errno)),
    }
    root.directory(path).map_err(Trouble::at("open", path))
}

fn remove_directory(root: &Root, path: &TreePath) -> Result<(), Errno> {
    let parent = root.directory(&path.parent().unwrap_or_default())?;
    rustix::fs::unlinkat(&parent, path.name(), AtFlags::REMOVEDIR)
}

/// What lies at a name; directories are nothing that could be exchanged.
pub(super) fn look(
    directory: &Root,
    name: impl rustix::path::Arg + Copy,
) -> Result<Option<Stat>, Trouble> {
    match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(Trouble::at("look at", &TreePath::root())(errno)),
    }
}
