//! What is known of one file of a tree.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FileType, Stat, Timestamps};

use crate::path::TreePath;

/// A moment, as file systems keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment {
    /// Whole seconds since 1970, before it negative.
    pub seconds: i64,
    /// Nanoseconds after them, below 1,000,000,000.
    pub nanoseconds: u32,
}

impl Moment {
    /// What has to be given to a file so that it was modified then.
    #[must_use]
    pub fn timestamps(self) -> Timestamps {
        let time = rustix::fs::Timespec { tv_sec: self.seconds, tv_nsec: self.nanoseconds.into() };
        Timestamps { last_access: time, last_modification: time }
    }

    /// It as the standard library has it; `None` if it lies before 1970.
    #[must_use]
    pub fn system_time(self) -> Option<SystemTime> {
        let seconds = u64::try_from(self.seconds).ok()?;
        UNIX_EPOCH.checked_add(Duration::new(seconds, self.nanoseconds))
    }
}

/// What sort of file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket, a device: nothing that could be copied.
    Other,
}

/// One file of a tree, as the file system describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it lies.
    pub path: TreePath,
    /// What it is.
    pub kind: Kind,
    /// Its permissions, with set-id bits.
    pub mode: u16,
    /// Its length in bytes; for a symbolic link, that of its target.
    pub bytes: u64,
    /// What it occupies on disk, in bytes.
    pub disk_bytes: u64,
    /// When its content was changed.
    pub modified: Moment,
    /// When anything of it was changed; nobody can set this one.
    pub changed: Moment,
    /// Device and number of its inode: equal for names of one file.
    pub inode: (u64, u64),
    /// How many names it has.
    pub links: u64,
}

impl Entry {
    pub(crate) fn new(path: TreePath, stat: &Stat) -> Self {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Kind::Directory,
            FileType::RegularFile => Kind::File,
            FileType::Symlink => Kind::Symlink,
            FileType::Fifo => Kind::Fifo,
            _ => Kind::Other,
        };
        let moment = |seconds: i64, nanoseconds: u64| Moment {
            seconds,
            nanoseconds: u32::try_from(nanoseconds).unwrap_or(0),
        };
        Self {
            path,
            kind,
            mode: u16::try_from(stat.st_mode & 0o7777).unwrap_or(0),
            bytes: u64::try_from(stat.st_size).unwrap_or(0),
            disk_bytes: u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512),
            modified: moment(stat.st_mtime, stat.st_mtime_nsec),
            changed: moment(stat.st_ctime, stat.st_ctime_nsec),
            inode: (stat.st_dev, stat.st_ino),
            links: stat.st_nlink,
        }
    }

    /// Whether it may have holes.
    pub(crate) fn is_sparse(&self) -> bool {
        self.kind == Kind::File && self.disk_bytes < self.bytes
    }
}
