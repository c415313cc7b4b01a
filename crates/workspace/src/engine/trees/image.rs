//! The tree on a disk, read on the host.
//!
//! What is read is what a machine would find that boots from the disk: what its
//! guest had written down, in place or in the file system's journal.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use disk_image::Raw;
use disk_image::ext4::{Ext4, Ext4Error, Inode, Kind as InodeKind, Time};
use guest_protocol::path::WorkspacePath;
use guest_protocol::tools::file::Kind;
use guest_protocol::tools::tree::{ContentId, ENTRIES_MAX, Stamp, TreeEntry, covers, leads_to};
use operation::{ErrorKind, OpError};
use sha1::{Digest as _, Sha1};
use tokio_util::sync::CancellationToken;
use tree_diff::Tree;

use super::vanished;
use crate::engine::drives::{Drives, Stopped};
use crate::files::FileError;
use crate::saved::shelf::Hold;

/// How much is read at once, in bytes.
const BUFFER: usize = 256 << 10;

/// Where git keeps what is its own.
const GIT: &[u8] = b".git";

/// The directory that `mke2fs` adds to each image, and its number. The guest's
/// agent removes it.
const LOST_AND_FOUND: (&[u8], u32) = (b"lost+found", 11);

/// The tree on a disk.
pub(in crate::engine) struct ImageTree {
    system: Ext4,
    /// Where it begins.
    root: Inode,
    /// Only what lies at or below these; everything if there are none.
    paths: Vec<WorkspacePath>,
    cancel: CancellationToken,
    /// What was listed.
    inodes: HashMap<WorkspacePath, u32>,
    #[expect(dead_code, reason = "it is held by being kept")]
    kept: Kept,
}

/// What keeps a disk as it is.
#[expect(dead_code, reason = "what they hold is held by being kept")]
enum Kept {
    /// It never changes.
    ByItself,
    /// A snapshot stays there.
    Snapshot(Hold),
    /// A workspace stays stopped.
    Stopped(Stopped),
}

impl ImageTree {
    /// The tree in the image of a seed.
    pub(in crate::engine) fn of_seed(
        image: &Path,
        paths: Vec<WorkspacePath>,
        cancel: CancellationToken,
    ) -> Result<Self, OpError> {
        let disk = File::open(image).and_then(Raw::new).map_err(FileError::at("open", image))?;
        let system = Ext4::open(Box::new(disk)).map_err(unreadable)?;
        let root = system.root().map_err(unreadable)?;
        Ok(Self { system, root, paths, cancel, inodes: HashMap::new(), kept: Kept::ByItself })
    }

    /// The tree of a snapshot, which stays there meanwhile.
    pub(in crate::engine) fn of_snapshot(
        drives: &Drives,
        hold: Hold,
        paths: Vec<WorkspacePath>,
        cancel: CancellationToken,
    ) -> Result<Self, OpError> {
        Self::on(drives, paths, cancel).map(|tree| Self { kept: Kept::Snapshot(hold), ..tree })
    }

    /// The tree of a workspace that stays stopped meanwhile.
    pub(in crate::engine) fn of_stopped(
        stopped: Stopped,
        paths: Vec<WorkspacePath>,
        cancel: CancellationToken,
    ) -> Result<Self, OpError> {
        let tree = Self::on(&stopped.drives, paths, cancel)?;
        Ok(Self { kept: Kept::Stopped(stopped), ..tree })
    }

    fn on(
        drives: &Drives,
        paths: Vec<WorkspacePath>,
        cancel: CancellationToken,
    ) -> Result<Self, OpError> {
        let (system, place) = drives.tree()?;
        let mut root = system.root().map_err(unreadable)?;
        for name in place {
            let names = system.list(&root).map_err(unreadable)?;
            let found = names.iter().find(|found| found.name == *name);
            let found = found.ok_or_else(|| {
                OpError::plain(ErrorKind::NotFound, "the disk holds no /workspace")
            })?;
            root = system.inode(found.inode).map_err(unreadable)?;
        }
        Ok(Self { system, root, paths, cancel, inodes: HashMap::new(), kept: Kept::ByItself })
    }

    /// What lies in a directory, the last one first.
    fn list(
        &self,
        path: &WorkspacePath,
        directory: &Inode,
    ) -> Result<Vec<(WorkspacePath, Inode)>, OpError> {
        if self.cancel.is_cancelled() {
            return Err(OpError::plain(ErrorKind::Cancelled, "it was cancelled"));
        }
        let mut names = self.system.list(directory).map_err(unreadable)?;
        names.sort_unstable_by(|one, other| other.name.cmp(&one.name));
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            let is_added = path.is_root() && (name.name.as_slice(), name.inode) == LOST_AND_FOUND;
            let place = path.join(&name.name);
            if is_added || name.name == GIT || !leads_to(&self.paths, &place) {
                continue;
            }
            found.push((place, self.system.inode(name.inode).map_err(unreadable)?));
        }
        Ok(found)
    }

    fn inode(&self, path: &WorkspacePath) -> Result<Inode, OpError> {
        let number = self.inodes.get(path).ok_or_else(|| vanished(path))?;
        self.system.inode(*number).map_err(unreadable)
    }
}

impl Tree for ImageTree {
    type Error = OpError;

    fn entries(&mut self) -> Result<Vec<TreeEntry>, OpError> {
        // A directory that is listed twice would be a circle.
        let mut listed = HashSet::from([self.root.number]);
        let mut open = vec![self.list(&WorkspacePath::root(), &self.root)?];
        let mut entries: Vec<TreeEntry> = Vec::new();
        while let Some(pending) = open.last_mut() {
            let Some((path, inode)) = pending.pop() else {
                open.pop();
                continue;
            };
            if inode.kind == InodeKind::Directory {
                if !listed.insert(inode.number) {
                    return Err(unreadable(Ext4Error::Corrupt("a directory in itself")));
                }
                open.push(self.list(&path, &inode)?);
            }
            if covers(&self.paths, &path) {
                let is_next = entries.last().is_none_or(|last| last.path < path);
                if !is_next || entries.len() as u64 >= ENTRIES_MAX {
                    return Err(unreadable(Ext4Error::Corrupt("a directory")));
                }
                self.inodes.insert(path.clone(), inode.number);
                entries.push(entry(path, &inode));
            }
        }
        Ok(entries)
    }

    fn ids(&mut self, paths: &[WorkspacePath]) -> Result<Vec<ContentId>, OpError> {
        let mut buffer = vec![0; BUFFER];
        let id = |path: &WorkspacePath| -> Result<ContentId, OpError> {
            let inode = self.inode(path)?;
            let mut hash = Sha1::new();
            hash.update(format!("blob {}\0", inode.size));
            if inode.kind == InodeKind::Symlink {
                hash.update(self.system.target(&inode).map_err(unreadable)?);
            } else {
                let mut content = self.system.file(inode).map_err(unreadable)?;
                loop {
                    match content.read(&mut buffer).map_err(|error| unread(path, &error))? {
                        0 => break,
                        length => hash.update(&buffer[..length]),
                    }
                }
            }
            Ok(ContentId(hash.finalize().into()))
        };
        paths.iter().map(id).collect()
    }

    fn contents(&mut self, paths: &[WorkspacePath]) -> Result<Vec<Vec<u8>>, OpError> {
        let content = |path: &WorkspacePath| -> Result<Vec<u8>, OpError> {
            let inode = self.inode(path)?;
            if inode.kind == InodeKind::Symlink {
                return self.system.target(&inode).map_err(unreadable);
            }
            let mut bytes = Vec::new();
            let mut content = self.system.file(inode).map_err(unreadable)?;
            content.read_to_end(&mut bytes).map_err(|error| unread(path, &error))?;
            Ok(bytes)
        };
        paths.iter().map(content).collect()
    }
}

fn entry(path: WorkspacePath, inode: &Inode) -> TreeEntry {
    let kind = match inode.kind {
        InodeKind::File => Kind::File,
        InodeKind::Directory => Kind::Directory,
        InodeKind::Symlink => Kind::Symlink,
        InodeKind::Special => Kind::Special,
    };
    let size = match kind {
        Kind::File | Kind::Symlink => inode.size,
        Kind::Directory | Kind::Special => 0,
    };
    let stamp = Stamp {
        inode: inode.number.into(),
        modified_ns: nanoseconds(inode.modified),
        changed_ns: nanoseconds(inode.changed),
    };
    TreeEntry { path, kind, mode: inode.mode.into(), size, stamp }
}

fn nanoseconds(time: Time) -> i64 {
    time.seconds.saturating_mul(1_000_000_000).saturating_add(time.nanoseconds.into())
}

/// The error of an image that cannot be read.
fn unreadable(error: Ext4Error) -> OpError {
    OpError::new(ErrorKind::Internal, &error).during("cannot read the workspace's disk")
}

fn unread(path: &WorkspacePath, error: &std::io::Error) -> OpError {
    OpError::new(ErrorKind::Internal, error).during(format!("cannot read `{path}` in the image"))
}
