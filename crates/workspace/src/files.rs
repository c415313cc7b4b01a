//! Steps on files and directories of ours, and what is said when one fails.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use operation::{ErrorKind, OpError};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// How often a tree is removed that others remove as well.
const REMOVALS_MAX: u32 = 10;

/// A step on a file or directory of ours that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct FileError {
    /// What was tried.
    pub action: &'static str,
    /// With what.
    pub path: PathBuf,
    /// Why it failed.
    #[source]
    pub source: io::Error,
}

impl FileError {
    /// Makes the error of a step from why it failed.
    pub fn at<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self { action, path: path.to_owned(), source }
    }
}

impl From<FileError> for io::Error {
    fn from(error: FileError) -> Self {
        Self::new(error.source.kind(), error)
    }
}

impl From<FileError> for OpError {
    fn from(error: FileError) -> Self {
        match error.source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::new(ErrorKind::Exhausted, &error)
                    .hinted("free some space on the disk that holds hotcell's files")
            }
            io::ErrorKind::PermissionDenied => Self::new(ErrorKind::Denied, &error),
            _ => Self::new(ErrorKind::Internal, &error),
        }
    }
}

/// Creates a directory that only we can enter, and its parents, unless it is there.
///
/// # Errors
///
/// If it cannot be created.
pub fn create_private(path: &Path) -> Result<(), FileError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(FileError::at("create", path))
}

/// Creates a file that only we can read, unless it is there.
pub(crate) fn create_private_file(path: &Path) -> Result<(), FileError> {
    // One that is there is not even opened: if it is a database, closing any
    // descriptor of it frees the locks that this process has on it.
    match OpenOptions::new().create_new(true).write(true).mode(0o600).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(FileError::at("create", path)(error))
        }
        _ => Ok(()),
    }
}

/// Takes a lock if nobody holds it.
///
/// The lock ends with the last process that holds the returned descriptor, so a
/// free lock proves that its owner is dead.
pub(crate) fn try_lock(path: &Path) -> Result<Option<File>, FileError> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(FileError::at("open", path))?;
    lock_now(file, path)
}

/// Held by whoever makes a directory in another one, until it has its own name and lock.
pub(crate) fn while_making(parent: &Path) -> Result<File, FileError> {
    let held = File::open(parent).map_err(FileError::at("open", parent))?;
    flock(&held, FlockOperation::LockShared)
        .map_err(|errno| FileError::at("lock", parent)(errno.into()))?;
    Ok(held)
}

/// Removes directories in another one that have no name yet. Whoever was making them was
/// killed if nobody makes any now; if somebody does, the next one who comes removes them.
pub(crate) fn remove_unmade(parent: &Path, unnamed: &[PathBuf]) -> Result<(), FileError> {
    if unnamed.is_empty() {
        return Ok(());
    }
    let held = File::open(parent).map_err(FileError::at("open", parent))?;
    match flock(&held, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => unnamed.iter().try_for_each(|path| remove_tree(path)),
        Err(Errno::WOULDBLOCK) => Ok(()),
        Err(errno) => Err(FileError::at("lock", parent)(errno.into())),
    }
}

/// What became of a lock.
#[derive(Debug)]
pub(crate) enum LockState {
    /// Somebody holds it.
    Held,
    /// Nobody held it; now the caller does.
    Free(File),
    /// There is no lock, and so nothing that it could protect.
    Missing,
}

/// Takes a lock if nobody holds it, and never creates one: a new lock in a
/// directory that is being removed would look like an abandoned workspace.
pub(crate) fn probe_lock(path: &Path) -> Result<LockState, FileError> {
    let file = match OpenOptions::new().write(true).open(path) {
        Ok(file) => file,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(LockState::Missing),
        Err(source) => return Err(FileError::at("open", path)(source)),
    };
    Ok(match lock_now(file, path)? {
        Some(file) => LockState::Free(file),
        None => LockState::Held,
    })
}

fn lock_now(file: File, path: &Path) -> Result<Option<File>, FileError> {
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(FileError::at("lock", path)(errno.into())),
    }
}

/// Takes a lock together with others, creating it if it is not there; `None` if
/// somebody has it for himself alone.
pub(crate) fn share_lock(path: &Path) -> Result<Option<File>, FileError> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(FileError::at("open", path))?;
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(FileError::at("lock", path)(errno.into())),
    }
}

/// Removes a directory tree; one that is not there is fine, and so is somebody
/// else who removes it at the same time.
///
/// # Errors
///
/// If something of it stays.
pub fn remove_tree(path: &Path) -> Result<(), FileError> {
    let mut result = Ok(());
    for _ in 0..REMOVALS_MAX {
        result = fs::remove_dir_all(path);
        // What another process removed first is reported as missing.
        match &result {
            Err(source) if source.kind() == io::ErrorKind::NotFound && path.exists() => {}
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(()),
            _ => break,
        }
    }
    result.map_err(FileError::at("remove", path))
}

/// Tells whether a file was written to: `ctime` cannot be set by programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileStamp {
    inode: u64,
    length: u64,
    changed_s: i64,
    changed_ns: i64,
}

impl FileStamp {
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self {
            inode: metadata.ino(),
            length: metadata.len(),
            changed_s: metadata.ctime(),
            changed_ns: metadata.ctime_nsec(),
        })
    }
}

/// Disk space of a file, in bytes; none if it is not there.
pub(crate) fn disk_space(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.blocks() * 512)
}

/// Disk space of the files in a directory, in bytes. What has another name
/// outside of it is shared and counts nothing, nor does what vanishes meanwhile.
pub(crate) fn disk_bytes(directory: &Path) -> u64 {
    let mut named_elsewhere = HashMap::new();
    let alone = count(directory, &mut named_elsewhere);
    let inside = named_elsewhere.into_values().filter(|names| names.met >= names.links);
    alone + inside.map(|names| names.bytes).sum::<u64>()
}

/// A file with several names: how many of them were met, and how many there were when
/// the last one was. A directory that changes meanwhile may show one twice.
#[derive(Default)]
struct Names {
    met: u64,
    links: u64,
    bytes: u64,
}

fn count(directory: &Path, several: &mut HashMap<u64, Names>) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    let mut alone = 0;
    for entry in entries.flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        let bytes = metadata.blocks() * 512;
        if metadata.is_dir() {
            alone += count(&entry.path(), several);
        } else if metadata.nlink() > 1 {
            let names = several.entry(metadata.ino()).or_default();
            *names = Names { met: names.met + 1, links: metadata.nlink(), bytes };
        } else {
            alone += bytes;
        }
    }
    alone
}

/// Writes a file so that it is either the old one or the new one, whatever
/// happens in between.
pub(crate) fn replace_file(path: &Path, content: &[u8]) -> Result<(), FileError> {
    use std::io::Write as _;
    let temporary = path.with_extension(format!("tmp-{}", std::process::id()));
    let written = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path));
    if let Err(source) = written {
        let _ = fs::remove_file(&temporary);
        return Err(FileError::at("write", path)(source));
    }
    sync_directory(path.parent().expect("files of ours have a directory"))
}

/// Makes renames and creations in a directory survive a power loss.
///
/// # Errors
///
/// If the directory cannot be synced.
pub fn sync_directory(path: &Path) -> Result<(), FileError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(FileError::at("sync", path))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// Names that come and go while they are counted are met more often than a look at
    /// the first of them had promised.
    #[test]
    fn space_is_counted_while_names_come_and_go() {
        const LOOKS: u32 = 300;
        let directory = tempfile::tempdir().unwrap();
        let original = directory.path().join("original");
        fs::write(&original, [b'x'; 5000]).unwrap();
        let counted = directory.path().join("counted");
        let name = |number: u32| counted.join(format!("{number}/{number}"));
        for number in 0..20 {
            fs::create_dir_all(name(number).parent().unwrap()).unwrap();
        }
        let done = AtomicBool::new(false);
        let space = fs::metadata(&original).unwrap().blocks() * 512;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    (0..20).for_each(|number| fs::hard_link(&original, name(number)).unwrap());
                    (0..20).for_each(|number| fs::remove_file(name(number)).unwrap());
                }
            });
            let looks = scope.spawn(|| (0..LOOKS).map(|_| disk_bytes(&counted)).max());
            let most = looks.join();
            done.store(true, Ordering::Relaxed);
            assert!(most.unwrap() <= Some(space));
        });
        assert_eq!(disk_bytes(&counted), 0);
        fs::hard_link(&original, name(0)).unwrap();
        assert_eq!(disk_bytes(&counted), 0, "it has a name outside");
        fs::hard_link(name(0), name(1)).unwrap();
        fs::remove_file(&original).unwrap();
        assert_eq!(disk_bytes(&counted), space, "both names are inside");
    }
}
