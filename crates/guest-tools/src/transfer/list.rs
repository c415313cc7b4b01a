//! What lies below a directory, and what is in some files.

use std::io::{self, Write};

use file_tree::{Directories, Entry, TreeError, walk};
use guest_protocol::path::{STAGING, quote};
use guest_protocol::tools;
use guest_protocol::tools::transfer::{
    ENTRIES_MAX, Hash, Hashes, LISTED_BYTES, LISTED_MAX, List, Listed, Listing, PATHS_MAX,
};
use sha2::{Digest as _, Sha256};

use super::{kind, to_tree_path, to_workspace_path, tree};
use crate::error::ToolError;
use crate::root::Root;
use crate::wire;

/// How much of a file is read at once, in bytes.
const CHUNK_BYTES: usize = 128 * 1024;

/// Answers with everything below a directory.
pub(super) fn list(root: &Root, request: &List, output: &mut impl Write) -> Result<(), ToolError> {
    let found = match listed(root, request) {
        Ok(found) => found,
        Err(error) => return wire::answer::<Listing>(output, Err(error)),
    };
    wire::answer(output, Ok(Listing { entries: found.len() as u64 }))?;
    let mut left = found.as_slice();
    while !left.is_empty() {
        let mut json = vec![b'['];
        let mut count = 0;
        while count < left.len().min(LISTED_MAX) && json.len() < LISTED_BYTES {
            if count > 0 {
                json.push(b',');
            }
            serde_json::to_writer(&mut json, &left[count]).expect("an entry is plain data");
            count += 1;
        }
        json.push(b']');
        left = &left[count..];
        wire::write(output, &tools::chunk_prefix(json.len())?)?;
        wire::write(output, &json)?;
    }
    wire::write(output, &tools::chunk_prefix(0)?)
}

fn listed(root: &Root, request: &List) -> Result<Vec<Listed>, ToolError> {
    let Some(tree) = tree(root, &request.path)? else { return Ok(Vec::new()) };
    let without: Vec<_> =
        request.without.iter().map(to_tree_path).collect::<Result<_, ToolError>>()?;
    let mut enter = |entry: &Entry| {
        entry.path.as_bytes() != STAGING.as_bytes() && !without.contains(&entry.path)
    };
    let found = walk(&tree, ENTRIES_MAX, &mut enter)?;
    let mut directories = Directories::new(&tree);
    let mut listed = Vec::with_capacity(found.entries.len());
    for entry in &found.entries {
        let target = match entry.kind {
            file_tree::Kind::Symlink => match directories.target(&entry.path) {
                Ok(target) => Some(quote(&target)),
                // What is gone by now is none of it.
                Err(TreeError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                    continue;
                }
                Err(error) => return Err(error.into()),
            },
            _ => None,
        };
        listed.push(Listed {
            path: to_workspace_path(&entry.path),
            kind: kind(entry.kind),
            bytes: entry.bytes,
            mode: entry.mode.into(),
            seconds: entry.modified.seconds,
            nanoseconds: entry.modified.nanoseconds,
            target,
        });
    }
    Ok(listed)
}

/// Says what is in some files.
pub(super) fn hash(root: &Root, request: &Hash) -> Result<Hashes, ToolError> {
    let Some(tree) = tree(root, &request.path)? else {
        return Ok(Hashes { hashes: vec![None; request.files.len().min(PATHS_MAX)] });
    };
    let mut directories = Directories::new(&tree);
    let hashes = request.files.iter().take(PATHS_MAX).map(|path| {
        let entry = match directories.entry(to_tree_path(path)?) {
            Ok(entry) if entry.kind == file_tree::Kind::File => entry,
            _ => return Ok(None),
        };
        // One that changed a moment ago is as good as one that is different.
        let Ok(mut file) = directories.read(&entry) else { return Ok(None) };
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            match io::Read::read(&mut file, &mut buffer) {
                Ok(0) => break,
                Ok(read) => hasher.update(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ToolError::at("read", path)(error)),
            }
        }
        Ok(Some(digits(&hasher.finalize())))
    });
    Ok(Hashes { hashes: hashes.collect::<Result<_, ToolError>>()? })
}

fn digits(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
