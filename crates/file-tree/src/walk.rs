//! Everything that lies below a root.

use std::ffi::CStr;
use std::io::ErrorKind;

use rustix::fs::Dir;

use crate::beneath::Root;
use crate::entry::{Entry, Kind};
use crate::error::TreeError;
use crate::path::TreePath;

/// What a walk found.
#[derive(Debug, Default)]
pub struct Found {
    /// The root and everything below it, each directory followed by its content.
    pub entries: Vec<Entry>,
    /// Directories that could not be read; they are in `entries` as well.
    pub unreadable: Vec<TreePath>,
}

/// Lists what lies below a root, each directory followed by what is in it.
/// `enter` is asked about everything but the root;
/// what it refuses is left out with all that lies in it. At most `entries_max`
/// entries are taken.
///
/// # Errors
///
/// The root cannot be read, or there is more. What vanishes meanwhile is none.
pub fn walk(
    root: &Root,
    entries_max: usize,
    enter: &mut dyn FnMut(&Entry) -> bool,
) -> Result<Found, TreeError> {
    let mut found = Found::default();
    // The next one is the last, so that a directory's content follows it at once.
    let mut pending = vec![root.entry(TreePath::root())?];
    while let Some(entry) = pending.pop() {
        if found.entries.len() == entries_max {
            return Err(TreeError::TooMuch { what: "files", max: entries_max as u64 });
        }
        if entry.kind == Kind::Directory {
            match children(root, &entry.path) {
                Ok(children) => {
                    pending.extend(children.into_iter().rev().filter(|child| enter(child)));
                }
                Err(TreeError::File { source, .. })
                    if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
                {
                    continue;
                }
                Err(error) if entry.path.is_root() => return Err(error),
                Err(_) => found.unreadable.push(entry.path.clone()),
            }
        }
        found.entries.push(entry);
    }
    Ok(found)
}

/// What lies in a directory, in order of names.
fn children(root: &Root, directory: &TreePath) -> Result<Vec<Entry>, TreeError> {
    let failed = || TreeError::file("list", directory);
    let opened = root.directory(directory).map_err(failed())?;
    let mut children = Vec::new();
    for name in names(&opened).map_err(failed())? {
        let path = directory.join(&name)?;
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        // What is gone by now is none of it.
        let Ok(stat) = rustix::fs::statat(&opened, path.name(), flags) else { continue };
        children.push(Entry::new(path, &stat));
    }
    Ok(children)
}

/// The names in a directory, in order.
fn names(directory: &Root) -> Result<Vec<Vec<u8>>, rustix::io::Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = CStr::to_bytes(entry.file_name());
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    names.sort_unstable();
    Ok(names)
}
