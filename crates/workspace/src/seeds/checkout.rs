//! The guest's `.git`: enough for status, diff, log and commit, and nothing that
//! leads back.
//!
//! Copied are objects, branches and tags, what is checked out, the index, the
//! list of ignored files and an unfinished merge. Not copied are remotes and
//! their branches, hooks, the stash, logs of references, credentials and every
//! setting but those that say how the repository is to be read. The index knows
//! files by the host's inodes, which the guest does not have; with
//! `core.checkStat=minimal` sizes and whole seconds decide, and git in the guest
//! need not read all files again.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use file_tree::{Entry, Kind, Root, TreeError, TreePath, copy, walk};
use operation::OpError;
use sha2::{Digest, Sha256};

use super::listing::{self, FILES_MAX};
use super::making::changed_or;
use crate::files::FileError;
use crate::trouble::tree_error;

/// What belongs to a checkout and is taken as it is.
const OF_CHECKOUT: &[&str] = &[
    "HEAD",
    "index",
    "MERGE_HEAD",
    "MERGE_MODE",
    "MERGE_MSG",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "info/sparse-checkout",
];

/// What belongs to the repository and is taken as it is.
const OF_REPOSITORY: &[&str] = &["shallow", "info/exclude"];

/// Directories of the repository that are taken whole, but for [`is_taken`].
const DIRECTORIES: &[&str] = &["objects", "refs/heads", "refs/tags", "reftable"];

/// Largest of git's small files that is taken, in bytes: an index of millions.
const SMALL_MAX: u64 = 512 * 1024 * 1024;

/// Who commits in the guest unless told otherwise: nobody of the host.
const COMMITTER: &str = "[user]\n\tname = Hotcell\n\temail = hotcell@localhost\n";

/// What the guest's `.git` is made of.
#[derive(Debug)]
pub(super) struct History {
    shared: Root,
    /// Objects and references, below `shared`.
    stored: Vec<Entry>,
    /// Small files: where they belong and what is in them.
    written: Vec<(PathBuf, Vec<u8>)>,
}

impl History {
    /// Looks at git's own files.
    pub(super) fn list(
        checkout: &Path,
        shared: &Path,
        settings: &[(String, String)],
    ) -> Result<Self, OpError> {
        let mut written = Vec::new();
        for (directory, names) in [(checkout, OF_CHECKOUT), (shared, OF_REPOSITORY)] {
            for name in names {
                if let Some(content) = small(&directory.join(name))? {
                    written.push((PathBuf::from(name), content));
                }
            }
        }
        for name in shared_indexes(checkout)? {
            if let Some(content) = small(&checkout.join(&name))? {
                written.push((name, content));
            }
        }
        if let Some(content) = small(&shared.join("packed-refs"))? {
            written.push((PathBuf::from("packed-refs"), own_references(&content)));
        }
        written.push((PathBuf::from("config"), configuration(settings).into_bytes()));
        let shared = Root::open(shared).map_err(tree_error)?;
        let mut stored = Vec::new();
        for directory in DIRECTORIES {
            let at = TreePath::parse(directory.as_bytes()).expect("names of ours are names");
            let opened = match shared.directory(&at) {
                Ok(opened) => opened,
                Err(rustix::io::Errno::NOENT) => continue,
                Err(errno) => {
                    let path = PathBuf::from(directory);
                    return Err(FileError { action: "list", path, source: errno.into() }.into());
                }
            };
            let found = walk(&opened, FILES_MAX, &mut is_taken).map_err(tree_error)?;
            for entry in found.entries {
                let path = at
                    .join(entry.path.as_bytes())
                    .map_err(|error| OpError::new(operation::ErrorKind::InvalidRequest, &error))?;
                stored.push(Entry { path, ..entry });
            }
        }
        Ok(Self { shared, stored, written })
    }

    /// Adds it to a key. Objects are named by their content, so their times do
    /// not matter; the small files are known whole.
    pub(super) fn hash(&self, key: &mut Sha256) {
        listing::hash_names(key, &self.stored);
        for (path, content) in &self.written {
            key.update(path.as_os_str().as_encoded_bytes());
            key.update([0]);
            key.update((content.len() as u64).to_le_bytes());
            key.update(content);
        }
    }

    /// How many bytes it has.
    pub(super) fn bytes(&self) -> u64 {
        let stored = self.stored.iter().filter(|entry| entry.kind == Kind::File);
        stored.map(|entry| entry.bytes).sum::<u64>()
            + self.written.iter().map(|(_, content)| content.len() as u64).sum::<u64>()
    }

    /// Puts it into the directory `to`, which is new.
    pub(super) fn put(&self, to: &Path) -> Result<(), OpError> {
        for directory in ["", "refs", "info", "objects"] {
            let path = to.join(directory);
            match fs::create_dir(&path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(FileError::at("create", &path)(error).into());
                }
                _ => {}
            }
        }
        let target = Root::open(to).map_err(tree_error)?;
        // A repository that is packed anew right now loses files to read, and
        // the whole listing with them.
        copy(&self.shared, &self.stored, &target, &mut |_, error| Err(error))
            .map_err(changed_or)?;
        for (path, content) in &self.written {
            let path = to.join(path);
            fs::write(&path, content).map_err(FileError::at("write", &path))?;
        }
        Ok(())
    }
}

/// What is not half-written, and is no link to somewhere else.
fn is_taken(entry: &Entry) -> bool {
    let name = entry.path.name().as_encoded_bytes();
    matches!(entry.kind, Kind::File | Kind::Directory)
        && !name.starts_with(b"tmp_")
        && !name.ends_with(b".lock")
        && !name.ends_with(b".keep")
}

/// The indexes that a split index refers to.
fn shared_indexes(checkout: &Path) -> Result<Vec<PathBuf>, OpError> {
    let entries = fs::read_dir(checkout).map_err(FileError::at("list", checkout))?;
    Ok(entries
        .flatten()
        .map(|entry| PathBuf::from(entry.file_name()))
        .filter(|name| name.as_os_str().as_encoded_bytes().starts_with(b"sharedindex."))
        .collect())
}

/// The content of a regular file; `None` if there is none.
fn small(path: &Path) -> Result<Option<Vec<u8>>, OpError> {
    let Ok(metadata) = path.symlink_metadata() else { return Ok(None) };
    if !metadata.is_file() {
        return Ok(None);
    }
    if metadata.len() > SMALL_MAX {
        return Err(tree_error(TreeError::TooMuch {
            what: "bytes in git's index",
            max: SMALL_MAX,
        }));
    }
    fs::read(path).map(Some).map_err(|source| FileError::at("read", path)(source).into())
}

/// The packed references that are the repository's own: branches and tags. The
/// line that begins with `^` belongs to the one before it.
fn own_references(packed: &[u8]) -> Vec<u8> {
    let mut own = Vec::new();
    let mut is_own = true;
    for line in packed.split_inclusive(|byte| *byte == b'\n') {
        if !line.starts_with(b"^") {
            let name = line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
            is_own = line.starts_with(b"#")
                || name.starts_with(b"refs/heads/")
                || name.starts_with(b"refs/tags/");
        }
        if is_own {
            own.extend_from_slice(line);
        }
    }
    own
}

/// The guest's settings. Names and values were judged when they were read.
fn configuration(settings: &[(String, String)]) -> String {
    let mut text =
        String::from("[core]\n\tbare = false\n\tcheckStat = minimal\n\ttrustctime = false\n");
    for (name, value) in settings {
        if let Some((section, key)) = name.split_once('.') {
            let _ = write!(text, "[{section}]\n\t{key} = {value}\n");
        }
    }
    text.push_str(COMMITTER);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_to_remotes_stay_behind() {
        let packed = b"# pack-refs with: peeled fully-peeled sorted \n\
            1111 refs/heads/main\n2222 refs/remotes/origin/main\n3333 refs/tags/v1\n^4444\n\
            5555 refs/remotes/origin/x\n^6666\n7777 refs/stash\n";
        let own = String::from_utf8(own_references(packed)).unwrap();
        assert_eq!(own.lines().count(), 4, "{own}");
        assert!(!own.contains("remotes") && !own.contains("6666") && !own.contains("stash"));
    }
}
