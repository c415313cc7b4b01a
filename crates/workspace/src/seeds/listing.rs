//! What `stat` says of a tree: it decides which image is the tree's.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use file_tree::{Directories, Entry, Kind, Root, TreeError, TreePath};
use sha2::{Digest, Sha256};

/// Most files of a tree: as many as its image has room for.
pub(super) const FILES_MAX: usize = 1_000_000;

/// Most bytes of a tree: what its image has room for, with some to work with.
pub(super) const BYTES_MAX: u64 = 12 * 1024 * 1024 * 1024;

/// The kernel's clock for files moves in steps that are shorter than this. A file
/// that changes twice within one looks the same after the second time.
const CLOCK_STEP: Duration = Duration::from_millis(20);

/// The entries of some files and of all directories that they lie in. A file that
/// is gone, or lies behind a link by now, is none.
pub(super) fn of_files(root: &Root, files: &[TreePath]) -> Result<Vec<Entry>, TreeError> {
    let mut directories: BTreeSet<TreePath> = BTreeSet::new();
    let mut entries = Vec::with_capacity(files.len());
    let mut open = Directories::new(root);
    let mut last_parent = None;
    for file in files {
        match open.entry(file.clone()) {
            Ok(entry) => entries.push(entry),
            Err(TreeError::BehindLink { .. }) => continue,
            Err(TreeError::File { source, .. })
                if matches!(
                    source.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                ) =>
            {
                continue;
            }
            Err(error) => return Err(error),
        }
        let mut parent = file.parent();
        if parent == last_parent {
            continue;
        }
        last_parent.clone_from(&parent);
        while let Some(directory) = parent {
            parent = directory.parent();
            if !directories.insert(directory) {
                break;
            }
        }
    }
    for directory in directories {
        match open.entry(directory) {
            Ok(entry) => entries.push(entry),
            Err(TreeError::File { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    entries.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    entries.dedup_by(|one, other| one.path == other.path);
    Ok(entries)
}

/// Waits until every change from now on will be seen in a file's times.
pub(super) fn settle(entries: &[Entry]) {
    let newest = entries.iter().map(|entry| entry.changed).max();
    let newest = newest.and_then(file_tree::Moment::system_time);
    let is_fresh = newest.is_some_and(|newest| {
        SystemTime::now().duration_since(newest).map_or(true, |age| age < CLOCK_STEP)
    });
    if is_fresh {
        std::thread::sleep(CLOCK_STEP);
    }
}

/// Whether files are still what was listed.
pub(super) fn is_unchanged(root: &Root, entries: &[Entry]) -> bool {
    let mut open = Directories::new(root);
    entries.iter().filter(|entry| entry.kind != Kind::Directory).all(|entry| {
        open.entry(entry.path.clone()).is_ok_and(|now| identity(&now) == identity(entry))
    })
}

/// What tells one state of a file from another.
fn identity(entry: &Entry) -> impl PartialEq + use<> {
    (entry.kind, entry.mode, entry.bytes, entry.modified, entry.changed, entry.inode)
}

/// Adds a list of files to a key.
pub(super) fn hash(key: &mut Sha256, entries: &[Entry]) {
    for entry in entries {
        hash_name(key, entry);
        if entry.kind == Kind::Directory {
            continue;
        }
        for moment in [entry.modified, entry.changed] {
            key.update(moment.seconds.to_le_bytes());
            key.update(moment.nanoseconds.to_le_bytes());
        }
        key.update(entry.inode.0.to_le_bytes());
        key.update(entry.inode.1.to_le_bytes());
    }
}

/// Adds a list of files to a key whose names and sizes say what is in them.
pub(super) fn hash_names(key: &mut Sha256, entries: &[Entry]) {
    for entry in entries {
        hash_name(key, entry);
    }
}

fn hash_name(key: &mut Sha256, entry: &Entry) {
    key.update(entry.path.as_bytes());
    key.update([0, entry.kind as u8]);
    key.update(entry.mode.to_le_bytes());
    if entry.kind != Kind::Directory {
        key.update(entry.bytes.to_le_bytes());
    }
}

/// Refuses a tree that no image has room for, before anything is copied.
pub(super) fn check_size(entries: &[Entry]) -> Result<(), TreeError> {
    let bytes: u64 = entries
        .iter()
        .filter(|entry| entry.kind == Kind::File)
        .map(|entry| entry.bytes.min(entry.disk_bytes))
        .fold(0, u64::saturating_add);
    if bytes > BYTES_MAX {
        return Err(TreeError::TooMuch { what: "bytes", max: BYTES_MAX });
    }
    if entries.len() > FILES_MAX {
        return Err(TreeError::TooMuch { what: "files", max: FILES_MAX as u64 });
    }
    Ok(())
}
