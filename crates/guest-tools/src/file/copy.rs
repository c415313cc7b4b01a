//! Copies files and whole directories.
//!
//! A copy is made aside and takes its place when it is whole. It has the modes,
//! owners and times of what it was made of; symbolic links stay links.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use guest_protocol::path::WorkspacePath;
use guest_protocol::tools::file::{Copied, Copy, Kind, Parents};

use super::change::target;
use crate::error::ToolError;
use crate::root::{Root, invalid, kind_name};
use crate::staging::Staging;

/// How deep directories may lie in each other: the walk holds one level per call.
const DEPTH_MAX: u32 = 512;

pub(crate) fn copy(root: &Root, copy: &Copy) -> Result<Copied, ToolError> {
    let from = root.place(&copy.from, Parents::Require, "copied")?;
    from.stat()?.ok_or_else(|| ToolError::Missing(copy.from.clone()))?;
    let mut staging = Staging::begin(root)?;
    // Before the work, and again when it is done.
    match target(root, &from, &copy.to, Parents::Require, copy.existing) {
        Err(ToolError::Missing(_)) if copy.parents == Parents::Create => {}
        checked => drop(checked?),
    }
    let slot = staging.slot();
    let mut work = Work { entries: 0, bytes: 0, links: HashMap::new() };
    let aside = staging.absolute().join(slot.name());
    work.copy(&root.absolute(&from.path), &aside, &from.path, 0)?;
    staging.lock()?;
    let to = target(root, &from, &copy.to, copy.parents, copy.existing)?;
    staging.put(slot, &to, copy.existing)?;
    Ok(Copied { entry: to.entry()?, entries: work.entries, bytes: work.bytes })
}

/// A copy that is under way.
struct Work {
    entries: u64,
    bytes: u64,
    /// Where files with several names have been copied to.
    links: HashMap<(u64, u64), PathBuf>,
}

impl Work {
    fn copy(
        &mut self,
        from: &Path,
        to: &Path,
        path: &WorkspacePath,
        depth: u32,
    ) -> Result<(), ToolError> {
        let failed = || ToolError::at::<io::Error>("copy", path);
        let metadata = fs::symlink_metadata(from).map_err(failed())?;
        self.entries += 1;
        let kind = metadata.file_type();
        if kind.is_symlink() {
            let target = fs::read_link(from).map_err(failed())?;
            return std::os::unix::fs::symlink(target, to).map_err(failed());
        }
        if kind.is_file() {
            return self.copy_file(from, to, &metadata, path);
        }
        if kind.is_block_device() || kind.is_char_device() || kind.is_fifo() || kind.is_socket() {
            let is = kind_name(Kind::Special);
            return Err(ToolError::WrongKind { path: path.clone(), is, wanted: "a file" });
        }
        if depth == DEPTH_MAX {
            return Err(failed()(invalid("directories lie too deep in each other")));
        }
        fs::create_dir(to).map_err(failed())?;
        for child in fs::read_dir(from).map_err(failed())? {
            let name = child.map_err(failed())?.file_name();
            let child = path.join(name.as_bytes());
            self.copy(&from.join(&name), &to.join(&name), &child, depth + 1)?;
        }
        let directory = File::open(to).map_err(failed())?;
        take_over(&directory, &metadata).map_err(failed())?;
        directory.sync_all().map_err(failed())
    }

    fn copy_file(
        &mut self,
        from: &Path,
        to: &Path,
        metadata: &fs::Metadata,
        path: &WorkspacePath,
    ) -> Result<(), ToolError> {
        let failed = || ToolError::at::<io::Error>("copy", path);
        if metadata.nlink() > 1 {
            let inode = (metadata.dev(), metadata.ino());
            if let Some(copied) = self.links.get(&inode) {
                return fs::hard_link(copied, to).map_err(failed());
            }
            self.links.insert(inode, to.to_owned());
        }
        self.bytes += fs::copy(from, to).map_err(failed())?;
        let file = File::options().write(true).open(to).map_err(failed())?;
        take_over(&file, metadata).map_err(failed())?;
        file.sync_all().map_err(failed())
    }
}

/// Owner, mode and time of what was copied.
fn take_over(file: &File, metadata: &fs::Metadata) -> io::Result<()> {
    match std::os::unix::fs::fchown(file, Some(metadata.uid()), Some(metadata.gid())) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        done => done?,
    }
    file.set_permissions(fs::Permissions::from_mode(metadata.mode()))?;
    file.set_modified(metadata.modified()?)
}

/// How many files, directories and links there are, the outermost included.
pub(super) fn census(at: &Path, path: &WorkspacePath) -> Result<u64, ToolError> {
    let mut entries = 1;
    let mut open = vec![at.to_owned()];
    while let Some(directory) = open.pop() {
        for child in fs::read_dir(&directory).map_err(ToolError::at("list", path))? {
            let child = child.map_err(ToolError::at("list", path))?;
            entries += 1;
            if child.file_type().map_err(ToolError::at("list", path))?.is_dir() {
                open.push(child.path());
            }
        }
    }
    Ok(entries)
}
