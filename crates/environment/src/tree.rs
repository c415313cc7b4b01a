//! Images of trees: what a workspace is seeded with.
//!
//! The source is only read. In the image everything belongs to root; modes,
//! symbolic and hard links, modification times (whole seconds, as `mke2fs`
//! copies them), empty directories, holes and names of any bytes are kept.
//! Sockets and named pipes become new ones that nobody listens to. `mke2fs`
//! adds `/lost+found`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, FileType};

use crate::cancel::Cancel;
use crate::command::Invocation;
use crate::error::EnvironmentError;
use crate::ext4::{self, Layout, Owners};

/// What the guest sees as the label of such an image.
pub const LABEL: &str = "hotcell-tree";

/// Makes an image of nothing but a root directory (0755, root's).
///
/// # Errors
///
/// `dest` exists, its storage is full, or `mke2fs` failed. Nothing is left at
/// `dest` then, except what was there before.
pub fn empty(dest: &Path, virtual_bytes: u64, cancel: &Cancel) -> Result<(), EnvironmentError> {
    make(None, dest, virtual_bytes, cancel)
}

/// Makes an image of the tree below `source`.
///
/// # Errors
///
/// Something in `source` cannot be read, it does not fit, `dest` exists, its
/// storage is full, or `mke2fs` failed. Nothing is left at `dest` then, except
/// what was there before.
pub fn from_directory(
    source: &Path,
    dest: &Path,
    virtual_bytes: u64,
    cancel: &Cancel,
) -> Result<(), EnvironmentError> {
    // The resolved path cannot be taken for an option, and names the tree if
    // the caller named a symbolic link to it.
    let source = fs::canonicalize(source).map_err(EnvironmentError::io("find", source))?;
    match make(Some(&source), dest, virtual_bytes, cancel) {
        Err(error @ EnvironmentError::ToolFailed { .. }) => {
            Err(find_unreadable(&source, cancel)?.unwrap_or(error))
        }
        other => other,
    }
}

fn make(
    source: Option<&Path>,
    dest: &Path,
    virtual_bytes: u64,
    cancel: &Cancel,
) -> Result<(), EnvironmentError> {
    let dest = std::path::absolute(dest).map_err(EnvironmentError::io("find", dest))?;
    if dest.symlink_metadata().is_ok() {
        let exists = io::Error::from(io::ErrorKind::AlreadyExists);
        return Err(EnvironmentError::io("create", &dest)(exists));
    }
    let storage = dest.parent().unwrap_or(&dest);
    let invocation = Invocation::new("mke2fs", "e2fsprogs", storage)?;
    let layout =
        Layout { virtual_bytes, label: LABEL, uuid: uuid::Uuid::new_v4(), owners: Owners::Root };
    let made = ext4::make(invocation, source, &dest, &layout, cancel);
    if made.is_err() {
        // The first failure is the one to tell.
        let _also_failed = fs::remove_file(&dest);
    }
    made
}

/// Looks for what may have made `mke2fs` fail. Only done after a failure: on
/// success nobody pays for a second walk.
fn find_unreadable(
    root: &Path,
    cancel: &Cancel,
) -> Result<Option<EnvironmentError>, EnvironmentError> {
    let mut pending: Vec<PathBuf> = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        if cancel.is_cancelled() {
            return Err(EnvironmentError::Cancelled);
        }
        let unreadable = |path: &Path, source: io::Error| {
            Ok(Some(EnvironmentError::TreeUnreadable { path: path.to_owned(), source }))
        };
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(source) => return unreadable(&directory, source),
        };
        for entry in entries {
            let path = match entry {
                Ok(entry) => entry.path(),
                Err(source) => return unreadable(&directory, source),
            };
            let stat = match rustix::fs::lstat(&path) {
                Ok(stat) => stat,
                Err(source) => return unreadable(&path, source.into()),
            };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => pending.push(path),
                FileType::RegularFile => {
                    if let Err(source) =
                        rustix::fs::accessat(CWD, &path, Access::READ_OK, AtFlags::EACCESS)
                    {
                        return unreadable(&path, source.into());
                    }
                }
                _ => {}
            }
        }
    }
    Ok(None)
}
