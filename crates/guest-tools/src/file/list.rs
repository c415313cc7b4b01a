//! Lists what lies in a directory.

use std::os::unix::fs::MetadataExt as _;

use guest_protocol::path::{WorkspacePath, quote};
use guest_protocol::tools::file::{ENTRIES_MAX, Entry, Kind, List, Listing};

use crate::error::ToolError;
use crate::root::{PERMISSIONS, Root};
use crate::selection::{Selected, Walked};

/// How many bytes of names one listing may hold, so that it fits into a header.
const NAMES_MAX: usize = 1 << 20;

pub(crate) fn list(root: &Root, list: &List) -> Result<Listing, ToolError> {
    let start = root.real(&list.path)?;
    let limit = usize::try_from(list.limit.min(ENTRIES_MAX)).unwrap_or(usize::MAX);
    let mut listing = Listing { entries: Vec::new(), more: false };
    let mut names = 0;
    for walked in Selected::new(root, start, list.depth, &list.selection)? {
        let walked = walked?;
        if list.after.as_ref().is_some_and(|after| walked.path <= *after) {
            continue;
        }
        if listing.entries.len() >= limit || names >= NAMES_MAX {
            listing.more = true;
            break;
        }
        if let Some(entry) = describe(walked)? {
            names += entry.path.as_bytes().len() + entry.target.as_ref().map_or(0, String::len);
            listing.entries.push(entry);
        }
    }
    Ok(listing)
}

/// What is told of an entry; `None` if it has gone away.
fn describe(Walked { entry, path }: Walked) -> Result<Option<Entry>, ToolError> {
    let metadata = match std::fs::symlink_metadata(entry.path()) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ToolError::at("look at", &path)(error)),
    };
    let kind = match metadata.file_type() {
        kind if kind.is_file() => Kind::File,
        kind if kind.is_dir() => Kind::Directory,
        kind if kind.is_symlink() => Kind::Symlink,
        _ => Kind::Special,
    };
    Ok(Some(Entry {
        kind,
        size: metadata.len(),
        mode: metadata.mode() & PERMISSIONS,
        modified_ns: metadata
            .mtime()
            .saturating_mul(1_000_000_000)
            .saturating_add(metadata.mtime_nsec()),
        owner: (metadata.uid(), metadata.gid()),
        target: if kind == Kind::Symlink { target(&entry, &path)? } else { None },
        path,
    }))
}

fn target(entry: &ignore::DirEntry, path: &WorkspacePath) -> Result<Option<String>, ToolError> {
    use std::os::unix::ffi::OsStrExt as _;
    let target = std::fs::read_link(entry.path()).map_err(ToolError::at("read", path))?;
    Ok(Some(quote(target.as_os_str().as_bytes())))
}
