//! The walk, in the order of [`WorkspacePath`].

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd};

use guest_protocol::path::{STAGING, WorkspacePath};
use guest_protocol::tools::file::Kind;
use guest_protocol::tools::tree::{
    ENTRIES_MAX, Stamp, TreeEntry, WALK_MAX, covers, encode, leads_to,
};
use rustix::fs::{AtFlags, Dir, OFlags, Stat};
use rustix::io::Errno;

use crate::error::ToolError;
use crate::root::{PERMISSIONS, Root, kind_of};

/// Where git keeps what is its own.
const GIT: &[u8] = b".git";

/// The entries of everything at or below `paths`, as bytes.
pub(super) fn entries(root: &Root, paths: &[WorkspacePath]) -> Result<Vec<u8>, ToolError> {
    let top = WorkspacePath::root();
    let device =
        rustix::fs::fstat(root.directory()).map_err(ToolError::at("look at", &top))?.st_dev;
    let mut walk = Walk {
        root,
        paths,
        device,
        bytes: Vec::new(),
        count: 0,
        last: Vec::new(),
        open: Vec::new(),
    };
    let directory = rustix::fs::openat(
        root.directory(),
        ".",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )
    .map_err(ToolError::at("open", &top))?;
    walk.read(directory.as_fd(), top)?;
    while let Some(next) = walk.next() {
        walk.enter(next)?;
    }
    Ok(walk.bytes)
}

struct Walk<'a> {
    root: &'a Root,
    paths: &'a [WorkspacePath],
    device: u64,
    bytes: Vec<u8>,
    count: u64,
    /// Path of the last entry that was told.
    last: Vec<u8>,
    /// Directories on the way to where the walk is: what is still to be told of
    /// each, the next one last.
    open: Vec<Vec<TreeEntry>>,
}

impl Walk<'_> {
    fn next(&mut self) -> Option<TreeEntry> {
        loop {
            if let Some(entry) = self.open.last_mut()?.pop() {
                return Some(entry);
            }
            self.open.pop();
        }
    }

    /// Tells an entry and reads it if it is a directory.
    fn enter(&mut self, entry: TreeEntry) -> Result<(), ToolError> {
        if covers(self.paths, &entry.path) {
            self.count += 1;
            if self.count > ENTRIES_MAX || self.bytes.len() as u64 > WALK_MAX {
                return Err(ToolError::TreeTooLarge { max: ENTRIES_MAX });
            }
            encode(&mut self.bytes, &self.last, &entry);
            self.last.clear();
            self.last.extend_from_slice(entry.path.as_bytes());
        }
        if entry.kind != Kind::Directory {
            return Ok(());
        }
        match self.root.open_real(&entry.path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(directory) => self.read(directory.as_fd(), entry.path),
            Err(ToolError::Missing(_) | ToolError::WrongKind { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn read(&mut self, directory: BorrowedFd<'_>, path: WorkspacePath) -> Result<(), ToolError> {
        let failed = || ToolError::at::<std::io::Error>("list", &path);
        let own = rustix::fs::fstat(directory).map_err(|error| failed()(error.into()))?;
        // What is mounted here is no part of the workspace's disk.
        if own.st_dev != self.device {
            return Ok(());
        }
        let mut names: Vec<CString> = Vec::new();
        for entry in Dir::read_from(directory).map_err(|error| failed()(error.into()))? {
            let entry = entry.map_err(|error| failed()(error.into()))?;
            let name = entry.file_name();
            let is_left_out = [b"." as &[u8], b"..", GIT].contains(&name.to_bytes())
                || (path.is_root() && name.to_bytes() == STAGING.as_bytes());
            if !is_left_out {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        let mut found = Vec::with_capacity(names.len());
        for name in names.iter().rev() {
            let place = path.join(name.to_bytes());
            if !leads_to(self.paths, &place) {
                continue;
            }
            match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => found.push(described(place, &stat)),
                Err(Errno::NOENT) => {}
                Err(error) => return Err(ToolError::at("look at", &place)(error)),
            }
        }
        self.open.push(found);
        Ok(())
    }
}

fn described(path: WorkspacePath, stat: &Stat) -> TreeEntry {
    let kind = kind_of(stat);
    let size = match kind {
        Kind::File | Kind::Symlink => u64::try_from(stat.st_size).unwrap_or(0),
        Kind::Directory | Kind::Special => 0,
    };
    TreeEntry {
        path,
        kind,
        mode: stat.st_mode & PERMISSIONS,
        size,
        stamp: Stamp {
            inode: stat.st_ino,
            modified_ns: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            changed_ns: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
        },
    }
}

fn nanoseconds(seconds: i64, nanoseconds: impl TryInto<i64>) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds.try_into().unwrap_or(0))
}
