//! Directories that somebody fills for a while.
//!
//! Each is locked by the process that fills it. One whose lock is free belongs to
//! nobody any more: every use of the product removes those.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use operation::{ErrorKind, OpError};
use rustix::fs::{FlockOperation, flock};
use uuid::Uuid;

use crate::crossing::outgoing::discard;
use crate::files::{FileError, create_private};

/// How often a directory is made anew that was swept before it was locked.
const ATTEMPTS: u32 = 10;

/// A directory that is being filled. Dropping it removes what is left of it.
#[derive(Debug)]
pub(crate) struct ScratchDirectory {
    path: PathBuf,
    _lock: File,
}

impl ScratchDirectory {
    /// A new one in `parent`, empty.
    pub(crate) fn create(parent: &Path) -> Result<Self, OpError> {
        create_private(parent)?;
        for _ in 0..ATTEMPTS {
            let path = parent.join(Uuid::new_v4().to_string());
            DirBuilder::new().mode(0o700).create(&path).map_err(FileError::at("create", &path))?;
            if let Some(lock) = lock(&path)? {
                return Ok(Self { path, _lock: lock });
            }
        }
        Err(OpError::plain(ErrorKind::Conflict, "no directory to work in could be had"))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ScratchDirectory {
    fn drop(&mut self) {
        // What cannot be removed now is swept later.
        let _ = discard(&self.path);
    }
}

/// Removes what killed processes have left in `parent`.
pub(crate) fn sweep(parent: &Path) -> Result<(), OpError> {
    let Ok(left) = fs::read_dir(parent) else { return Ok(()) };
    for path in left.flatten().map(|entry| entry.path()) {
        if let Some(_lock) = lock(&path)? {
            discard(&path)?;
        }
    }
    Ok(())
}

/// Locks a directory; `None` if somebody else has, or it is gone.
fn lock(path: &Path) -> Result<Option<File>, FileError> {
    let opened = match File::open(path) {
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(FileError::at("open", path))?,
    };
    match flock(&opened, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
        Err(errno) => return Err(FileError::at("lock", path)(errno.into())),
    }
    // Who swept it held the lock before us.
    let is_there = fs::metadata(path)
        .is_ok_and(|named| opened.metadata().is_ok_and(|ours| ours.ino() == named.ino()));
    Ok(is_there.then_some(opened))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_fills_is_swept() {
        let directory = tempfile::tempdir().unwrap();
        let parent = directory.path().join("scratch");
        let mine = ScratchDirectory::create(&parent).unwrap();
        fs::write(mine.path().join("file"), "").unwrap();
        let left = parent.join("left");
        fs::create_dir(&left).unwrap();
        sweep(&parent).unwrap();
        assert!(mine.path().join("file").exists() && !left.exists());
        let path = mine.path().to_owned();
        drop(mine);
        assert!(!path.exists());
    }
}
