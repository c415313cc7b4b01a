//! An open directory that is never left.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, openat2, statat};
use rustix::io::Errno;

use crate::entry::{Entry, Kind};
use crate::error::TreeError;
use crate::path::TreePath;

/// How everything below a root is looked up: no link is followed, nothing above
/// the root is reached.
const RESOLVE: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

/// How directories are opened.
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// An open directory. It stays the same one even if its path comes to mean
/// something else.
#[derive(Debug)]
pub struct Root(OwnedFd);

impl Root {
    /// Opens the directory at `path`, following links on the way to it: that
    /// path is the caller's own.
    ///
    /// # Errors
    ///
    /// It is not there, no directory, or not allowed.
    pub fn open(path: &Path) -> Result<Self, TreeError> {
        rustix::fs::openat(CWD, path, DIRECTORY, Mode::empty())
            .map(Self)
            .map_err(|errno| TreeError::Root { path: path.to_owned(), source: errno.into() })
    }

    /// Opens something below.
    ///
    /// # Errors
    ///
    /// It is not there, behind a link, or not allowed.
    pub fn open_file(&self, path: &TreePath, flags: OFlags, mode: Mode) -> Result<File, Errno> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        // Bits that say what file it is are refused by the kernel.
        openat2(&self.0, path.as_path(), flags, mode, RESOLVE).map(File::from)
    }

    /// Opens a directory below, or the root itself.
    ///
    /// # Errors
    ///
    /// As [`Self::open_file`].
    pub fn directory(&self, path: &TreePath) -> Result<Self, Errno> {
        openat2(&self.0, path.as_path(), DIRECTORY, Mode::empty(), RESOLVE).map(Self)
    }

    /// Describes something below, not following it if it is a link.
    ///
    /// # Errors
    ///
    /// It is not there, or behind a link.
    pub fn entry(&self, path: TreePath) -> Result<Entry, TreeError> {
        Directories::new(self).entry(path)
    }

    /// Whether anything is there.
    ///
    /// # Errors
    ///
    /// It cannot be looked at; what lies behind a link counts as that.
    pub fn find(&self, path: &TreePath) -> Result<Option<Entry>, TreeError> {
        match self.entry(path.clone()) {
            Ok(entry) => Ok(Some(entry)),
            Err(TreeError::File { source, .. })
                if matches!(
                    source.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl From<OwnedFd> for Root {
    /// Takes an open directory; what is no directory fails at its first use.
    fn from(directory: OwnedFd) -> Self {
        Self(directory)
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Access to files through the directories that they lie in. The last one stays
/// open, so that files in order cost one look-up per directory.
#[derive(Debug)]
pub struct Directories<'a> {
    root: &'a Root,
    last: Option<(Vec<u8>, Root)>,
}

impl<'a> Directories<'a> {
    /// Nothing is open yet.
    #[must_use]
    pub const fn new(root: &'a Root) -> Self {
        Self { root, last: None }
    }

    /// The directory that `path` lies in.
    ///
    /// # Errors
    ///
    /// It is not there, or a link is on the way.
    pub fn of(&mut self, path: &TreePath) -> Result<&Root, Errno> {
        let parent = path.parent_bytes();
        if parent.is_empty() {
            return Ok(self.root);
        }
        let is_open = self.last.as_ref().is_some_and(|(open, _)| open == parent);
        if !is_open {
            let parent = path.parent().unwrap_or_default();
            let directory = self.root.directory(&parent)?;
            self.last = Some((parent.as_bytes().to_vec(), directory));
        }
        Ok(self.last.as_ref().map_or(self.root, |(_, directory)| directory))
    }

    /// Forgets what is open: its place may be taken by something else.
    pub fn forget(&mut self) {
        self.last = None;
    }

    /// Describes a file, not following it if it is a link.
    ///
    /// # Errors
    ///
    /// It is not there, or behind a link.
    pub fn entry(&mut self, path: TreePath) -> Result<Entry, TreeError> {
        let found = if path.is_root() {
            rustix::fs::fstat(&self.root.0)
        } else {
            self.of(&path)
                .and_then(|directory| statat(&directory.0, path.name(), AtFlags::SYMLINK_NOFOLLOW))
        };
        match found {
            Ok(stat) => Ok(Entry::new(path, &stat)),
            Err(errno) => Err(TreeError::file("look at", &path)(errno)),
        }
    }

    /// Opens a regular file for reading, if it is still the one that was described.
    ///
    /// # Errors
    ///
    /// It is gone, another one, or may not be read.
    pub fn read(&mut self, entry: &Entry) -> Result<File, TreeError> {
        let path = &entry.path;
        // Without NONBLOCK a pipe that took the file's place would hold us up.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = self
            .of(path)
            .and_then(|directory| {
                rustix::fs::openat(&directory.0, path.name(), flags, Mode::empty())
            })
            .map_err(TreeError::file("read", path))?;
        let stat = rustix::fs::fstat(&file).map_err(TreeError::file("look at", path))?;
        let now = Entry::new(path.clone(), &stat);
        if now.kind != Kind::File || now.inode != entry.inode || now.bytes != entry.bytes {
            return Err(TreeError::Changed { path: path.clone() });
        }
        Ok(File::from(file))
    }

    /// Reads where a symbolic link points.
    ///
    /// # Errors
    ///
    /// It is gone or no link.
    pub fn target(&mut self, path: &TreePath) -> Result<Vec<u8>, TreeError> {
        self.of(path)
            .and_then(|directory| rustix::fs::readlinkat(&directory.0, path.name(), Vec::new()))
            .map(std::ffi::CString::into_bytes)
            .map_err(TreeError::file("read", path))
    }
}
