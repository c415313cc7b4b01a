//! What of a host's tree has to be sent so that a guest's has it.
//!
//! ```text
//! host's entries ─┐                    ┌─ same
//!                 ├─ compare ─▶ doubt ─┤           ┌─ sent
//! guest's entries ┘      │             └─ differs ─┤
//!                        └─────────────────────────┴─ removed
//! ```
//!
//! A file of the same size and time of modification is the same, as seeds keep
//! times to the nanosecond. One of the same size and another time is doubtful:
//! both sides hash it. Nothing here does I/O but [`hash`].

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use file_tree::{Directories, Entry, Kind, Root, TreeError, TreePath};
use guest_protocol::path::WorkspacePath;
use guest_protocol::tools::file::Kind as GuestKind;
use guest_protocol::tools::transfer::{PATHS_BYTES, PATHS_MAX, RECEIVED_MAX};
use sha2::{Digest as _, Sha256};
use workspace_api::sync::Compare;

use super::listing::GuestEntry;

/// Most bytes of content that one request brings: all of it waits beside what it
/// replaces.
const BATCH_BYTES: u64 = 1024 * 1024 * 1024;

/// How much of a file is hashed at once, in bytes.
const CHUNK_BYTES: usize = 128 * 1024;

/// What has to be done.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Places in the host's list of what is sent.
    pub(crate) send: Vec<usize>,
    /// Places in the host's list of files that may be the same.
    pub(crate) doubtful: Vec<usize>,
    /// What is in the way of what is sent, and is no directory.
    pub(crate) in_the_way: Vec<TreePath>,
    /// What only the guest has, without what lies below something in the way.
    pub(crate) extra: Vec<Extra>,
    /// Directories of the guest where the host has something else.
    pub(crate) replaced_directories: Vec<TreePath>,
    /// Files and links that are the same.
    pub(crate) unchanged: u64,
    /// What the host has that cannot be sent.
    pub(crate) left_out: Vec<(String, &'static str)>,
}

/// Something that only the guest has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Extra {
    pub(crate) path: TreePath,
    pub(crate) is_directory: bool,
}

/// Compares; `target` reads where a symbolic link of the host's points.
pub(crate) fn compare(
    host: &[Entry],
    guest: &[GuestEntry],
    how: Compare,
    target: &mut dyn FnMut(&TreePath) -> Result<Vec<u8>, TreeError>,
) -> Result<Plan, TreeError> {
    let mut plan = Plan::default();
    let there: BTreeMap<&TreePath, &GuestEntry> =
        guest.iter().map(|entry| (&entry.path, entry)).collect();
    let ours: BTreeSet<&TreePath> = host.iter().map(|entry| &entry.path).collect();
    for (index, entry) in host.iter().enumerate().filter(|(_, entry)| !entry.path.is_root()) {
        let found = there.get(&entry.path).copied();
        let kind = match entry.kind {
            Kind::Directory => GuestKind::Directory,
            Kind::File => GuestKind::File,
            Kind::Symlink => GuestKind::Symlink,
            Kind::Fifo => GuestKind::Special,
            Kind::Other => {
                plan.left_out.push((entry.path.to_string(), "a socket or a device"));
                continue;
            }
        };
        let Some(found) = found else {
            plan.send.push(index);
            continue;
        };
        if found.kind != kind {
            match found.kind {
                GuestKind::Directory => plan.replaced_directories.push(entry.path.clone()),
                _ => plan.in_the_way.push(entry.path.clone()),
            }
            plan.send.push(index);
            continue;
        }
        let is_same = match kind {
            GuestKind::Directory => {
                if found.mode != entry.mode {
                    plan.send.push(index);
                }
                continue;
            }
            GuestKind::Special => true,
            GuestKind::Symlink => found.target.as_deref() == Some(&target(&entry.path)?),
            GuestKind::File => {
                let is_alike = found.mode == entry.mode && found.bytes == entry.bytes;
                let is_old = how == Compare::Times && found.modified == entry.modified;
                if is_alike && !is_old {
                    plan.doubtful.push(index);
                    continue;
                }
                is_alike
            }
        };
        if is_same {
            plan.unchanged += 1;
        } else {
            plan.send.push(index);
        }
    }
    let mut covered: Option<TreePath> = None;
    let in_the_way: BTreeSet<&TreePath> = plan.in_the_way.iter().collect();
    for entry in guest.iter().filter(|entry| !entry.path.is_root()) {
        if ours.contains(&entry.path) || in_the_way.contains(&entry.path) {
            continue;
        }
        if crate::seeds::is_git_own(&entry.path) {
            // It keeps its directory as well.
            covered = Some(entry.path.clone());
            continue;
        }
        if covered.as_ref().is_some_and(|covered| entry.path.is_within(covered)) {
            continue;
        }
        let is_directory = entry.kind == GuestKind::Directory;
        plan.extra.push(Extra { path: entry.path.clone(), is_directory });
    }
    Ok(plan)
}

/// The hash of a file of the host's, as the guest's tools write theirs.
pub(crate) fn hash(root: &Root, entry: &Entry) -> Result<String, TreeError> {
    let mut file = Directories::new(root).read(entry)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => hasher.update(&buffer[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(source) => {
                let path = entry.path.clone();
                return Err(TreeError::File { action: "read", path, source });
            }
        }
    }
    Ok(crate::hex::hex(&hasher.finalize()))
}

/// One request's worth of changes.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) remove: Vec<WorkspacePath>,
    pub(crate) send: Vec<Entry>,
}

/// Changes in requests that are not too large: removals first, as they make room.
pub(crate) fn batches(remove: &[TreePath], send: Vec<Entry>) -> Vec<Batch> {
    let mut batches: Vec<Batch> =
        paths(remove).into_iter().map(|remove| Batch { remove, send: Vec::new() }).collect();
    let (mut files, mut bytes) = (0, 0_u64);
    for entry in send {
        let is_full = files == RECEIVED_MAX || bytes >= BATCH_BYTES;
        if batches.is_empty() || is_full {
            batches.push(Batch::default());
            (files, bytes) = (0, 0);
        }
        files += 1;
        bytes = bytes.saturating_add(entry.bytes.min(entry.disk_bytes));
        batches.last_mut().expect("one was pushed").send.push(entry);
    }
    batches
}

/// Paths in lists that fit into a request each.
pub(crate) fn paths(all: &[TreePath]) -> Vec<Vec<WorkspacePath>> {
    let mut lists: Vec<Vec<WorkspacePath>> = Vec::new();
    let mut bytes = 0;
    for path in all {
        let path = to_workspace_path(path);
        let is_full = lists.last().is_none_or(|list| {
            list.len() == PATHS_MAX || bytes + path.as_bytes().len() > PATHS_BYTES
        });
        if is_full {
            lists.push(Vec::new());
            bytes = 0;
        }
        bytes += path.as_bytes().len();
        lists.last_mut().expect("one was pushed").push(path);
    }
    lists
}

/// A path of a tree as one of a workspace: every one is.
pub(crate) fn to_workspace_path(path: &TreePath) -> WorkspacePath {
    path.names().fold(WorkspacePath::root(), |parent, name| parent.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use file_tree::Moment;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text.as_bytes()).unwrap()
    }

    fn guest(text: &str, kind: GuestKind) -> GuestEntry {
        let modified = Moment { seconds: 1, nanoseconds: 0 };
        GuestEntry { path: path(text), kind, bytes: 0, mode: 0o644, modified, target: None }
    }

    #[test]
    fn what_only_the_guest_has_is_extra_but_for_gits_own() {
        let listed = [
            guest(".", GuestKind::Directory),
            guest(".git", GuestKind::Directory),
            guest(".git/HEAD", GuestKind::File),
            guest("made", GuestKind::Directory),
            guest("made/file", GuestKind::File),
            guest("sub", GuestKind::Directory),
            guest("sub/.GIT", GuestKind::File),
        ];
        let plan = compare(&[], &listed, Compare::Times, &mut |_| Ok(Vec::new())).unwrap();
        let extra: Vec<String> = plan.extra.iter().map(|extra| extra.path.to_string()).collect();
        assert_eq!(extra, ["made", "made/file", "sub"]);
    }

    #[test]
    fn requests_are_bounded() {
        let many: Vec<TreePath> = (0..PATHS_MAX + 1).map(|n| path(&n.to_string())).collect();
        assert_eq!(paths(&many).iter().map(Vec::len).collect::<Vec<_>>(), [PATHS_MAX, 1]);
        let long: Vec<TreePath> = (0..1000)
            .map(|n| path(&format!("{n}/{}", format!("{}/", "x".repeat(200)).repeat(15))))
            .collect();
        for list in paths(&long) {
            assert!(list.iter().map(|path| path.as_bytes().len()).sum::<usize>() <= PATHS_BYTES);
        }
        assert!(batches(&many, Vec::new()).iter().all(|batch| batch.remove.len() <= PATHS_MAX));
    }
}
