//! File operations whose result survives a crash of the host.

use std::fs::{self, DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use crate::error::EnvironmentError;

/// Only the owner may look into what this crate keeps.
const DIRECTORY_MODE: u32 = 0o700;

/// `st_blocks` counts in units of this many bytes.
const STAT_BLOCK_BYTES: u64 = 512;

/// Creates a directory and its parents, unless it is there.
pub(crate) fn create_directory(path: &Path) -> Result<(), EnvironmentError> {
    DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(path)
        .map_err(EnvironmentError::io("create", path))
}

/// Syncs a file or directory.
pub(crate) fn sync(path: &Path) -> Result<(), EnvironmentError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(EnvironmentError::io("sync", path))
}

/// Writes a file and syncs it.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), EnvironmentError> {
    File::create(path)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .map_err(EnvironmentError::io("write", path))
}

/// Moves something to its final place, so that it is there whole or not at all.
pub(crate) fn publish(from: &Path, to: &Path) -> Result<(), EnvironmentError> {
    if from.is_dir() {
        sync(from)?;
    }
    fs::rename(from, to).map_err(EnvironmentError::io("publish", to))?;
    to.parent().map_or(Ok(()), sync)
}

/// Bytes that a file or tree occupies on disk. What disappears meanwhile does
/// not count.
pub(crate) fn disk_bytes(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
    let own = metadata.blocks().saturating_mul(STAT_BLOCK_BYTES);
    if !metadata.is_dir() {
        return own;
    }
    let Ok(entries) = fs::read_dir(path) else { return own };
    entries.flatten().fold(own, |sum, entry| sum.saturating_add(disk_bytes(&entry.path())))
}
