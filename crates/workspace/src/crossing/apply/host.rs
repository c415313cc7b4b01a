//! What a tree of the host has at a place.

use std::io::Read;

use file_tree::{Directories, Entry, Kind, Root, TreeError, TreePath};
use sha1::{Digest as _, Sha1};

use super::plan::{Content, MERGED_MAX, State};

/// How much of a file is read at once, in bytes.
const CHUNK_BYTES: usize = 128 * 1024;

/// Describes a place. Nothing is followed and nothing is changed.
pub(crate) fn state(root: &Root, path: &TreePath) -> Result<(State, Option<Entry>), TreeError> {
    let entry = match root.find(path) {
        Ok(Some(entry)) => entry,
        Ok(None) => return Ok((State::Nothing, None)),
        Err(TreeError::BehindLink { .. }) => {
            return Ok((State::Unknown("on the host it lies behind a symbolic link"), None));
        }
        Err(error) => return Err(error),
    };
    let mut directories = Directories::new(root);
    let state = match entry.kind {
        Kind::Directory => State::Directory,
        Kind::Symlink => State::Symlink(directories.target(path)?),
        Kind::File => match directories.read(&entry) {
            Ok(mut file) => State::File {
                content: content(&mut file, entry.bytes).map_err(|source| TreeError::File {
                    action: "read",
                    path: path.clone(),
                    source,
                })?,
                executable: entry.mode & 0o100 != 0,
            },
            Err(TreeError::File { source, .. })
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                State::Unknown("it cannot be read on the host")
            }
            Err(error) => return Err(error),
        },
        Kind::Fifo | Kind::Other => State::Unknown("on the host it is a pipe or a device"),
    };
    Ok((state, Some(entry)))
}

/// What is in a file of so many bytes.
pub(crate) fn content(file: &mut impl Read, bytes: u64) -> std::io::Result<Content> {
    if bytes <= MERGED_MAX {
        let mut known = Vec::new();
        file.take(MERGED_MAX + 1).read_to_end(&mut known)?;
        if known.len() as u64 <= MERGED_MAX {
            return Ok(Content::Known(known));
        }
        return Err(std::io::Error::other("it grows while it is read"));
    }
    let mut hasher = Sha1::new();
    hasher.update(format!("blob {bytes}\0"));
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Content::Large(hasher.finalize().into())),
            read => hasher.update(&buffer[..read]),
        }
    }
}
