//! The one directory that tools may reach.
//!
//! A place is resolved in two steps: all symbolic links in it are followed, and
//! what that leads to must lie below the root; then it is opened from the root's
//! descriptor in such a way that the kernel follows no link at all
//! (`RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS`). So links
//! that stay inside work, absolute ones too, and one that is changed in between
//! leads nowhere. The last part of a place is followed only for those who ask
//! for it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use guest_protocol::path::{WorkspacePath, quote};
use guest_protocol::tools::file::{Entry, Kind, Parents};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};

use crate::error::ToolError;
use crate::staging;

/// Permission bits of new directories.
pub(crate) const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o755);

/// The bits of `st_mode` that are permissions.
pub(crate) const PERMISSIONS: u32 = 0o7777;

/// The directory that tools may reach.
#[derive(Debug)]
pub struct Root {
    directory: OwnedFd,
    /// Without symbolic links.
    path: PathBuf,
}

/// Where something lies or will lie: a directory that exists, and a name in it.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) directory: OwnedFd,
    pub(crate) name: OsString,
    /// With every link in the directory's path followed.
    pub(crate) path: WorkspacePath,
}

impl Root {
    /// Opens the directory and settles what a tool that was killed has left.
    ///
    /// # Errors
    ///
    /// If it is no directory, or what is left cannot be settled.
    pub fn open(path: &Path) -> Result<Self, ToolError> {
        let failed = |source| ToolError::Root { path: path.to_owned(), source };
        let canonical = fs::canonicalize(path).map_err(failed)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(&canonical, flags, Mode::empty())
            .map_err(|error| failed(error.into()))?;
        let root = Self { directory, path: canonical };
        staging::settle(&root)?;
        Ok(root)
    }

    /// The root's descriptor.
    pub(crate) fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// Where something lies in the whole file system.
    pub(crate) fn absolute(&self, path: &WorkspacePath) -> PathBuf {
        if path.is_root() { self.path.clone() } else { self.path.join(path.as_path()) }
    }

    /// The place with every link in it followed; it must exist.
    pub(crate) fn real(&self, path: &WorkspacePath) -> Result<WorkspacePath, ToolError> {
        let canonical =
            fs::canonicalize(self.absolute(path)).map_err(ToolError::at("find", path))?;
        match canonical.strip_prefix(&self.path) {
            Ok(inside) if inside.as_os_str().is_empty() => Ok(WorkspacePath::root()),
            Ok(inside) => WorkspacePath::from_bytes(inside.as_os_str().as_bytes())
                .map_err(|_| ToolError::Outside(path.clone())),
            Err(_) => Err(ToolError::Outside(path.clone())),
        }
    }

    /// Opens what lies at a place without links in it.
    pub(crate) fn open_real(
        &self,
        path: &WorkspacePath,
        flags: OFlags,
    ) -> Result<OwnedFd, ToolError> {
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let flags = flags | OFlags::CLOEXEC;
        rustix::fs::openat2(&self.directory, path.as_path(), flags, Mode::empty(), resolve)
            .map_err(ToolError::at("open", path))
    }

    /// Opens a directory, following links.
    pub(crate) fn open_directory(
        &self,
        path: &WorkspacePath,
    ) -> Result<(OwnedFd, WorkspacePath), ToolError> {
        let real = self.real(path)?;
        match self.open_real(&real, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(directory) => Ok((directory, real)),
            Err(ToolError::WrongKind { .. }) => Err(ToolError::WrongKind {
                path: path.clone(),
                is: "something else",
                wanted: "a directory",
            }),
            Err(error) => Err(error),
        }
    }

    /// Opens a directory, creating those that are missing.
    pub(crate) fn make_directory(
        &self,
        path: &WorkspacePath,
    ) -> Result<(OwnedFd, WorkspacePath), ToolError> {
        match self.open_directory(path) {
            Err(ToolError::Missing(_)) => {}
            done => return done,
        }
        let Some((parent, name)) = path.split() else {
            return Err(ToolError::Missing(path.clone()));
        };
        let (directory, parent) = self.make_directory(&parent)?;
        let name = OsStr::from_bytes(name);
        rustix::fs::mkdirat(&directory, name, DIRECTORY_MODE)
            .map_err(ToolError::at("create", path))?;
        sync(&directory, &parent)?;
        self.open_directory(path)
    }

    /// Where something lies or will lie; a link there is not followed.
    pub(crate) fn place(
        &self,
        path: &WorkspacePath,
        parents: Parents,
        verb: &'static str,
    ) -> Result<Place, ToolError> {
        let (parent, name) = path.split().ok_or(ToolError::IsRoot(verb))?;
        let (directory, real) = match parents {
            Parents::Create => self.make_directory(&parent)?,
            Parents::Require => self.open_directory(&parent)?,
        };
        Ok(Place { directory, path: real.join(name), name: OsString::from_vec(name.to_vec()) })
    }

    /// Where something lies or will lie; a link there is followed.
    pub(crate) fn followed_place(
        &self,
        path: &WorkspacePath,
        parents: Parents,
        verb: &'static str,
    ) -> Result<Place, ToolError> {
        let place = self.place(path, parents, verb)?;
        match place.stat()? {
            Some(stat) if kind_of(&stat) == Kind::Symlink => {
                // A link to nothing has nothing that could be kept or replaced.
                let real = self.real(&place.path).map_err(|error| match error {
                    ToolError::Missing(path) => ToolError::WrongKind {
                        path,
                        is: "a symbolic link that leads nowhere",
                        wanted: "a file",
                    },
                    error => error,
                })?;
                self.place(&real, Parents::Require, verb)
            }
            _ => Ok(place),
        }
    }
}

impl Place {
    /// What lies there; `None` if nothing does.
    pub(crate) fn stat(&self) -> Result<Option<Stat>, ToolError> {
        match rustix::fs::statat(&self.directory, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(error) => Err(ToolError::at("look at", &self.path)(error)),
        }
    }

    /// What lies there; it must exist.
    pub(crate) fn entry(&self) -> Result<Entry, ToolError> {
        let stat = self.stat()?.ok_or_else(|| ToolError::Missing(self.path.clone()))?;
        let target = match kind_of(&stat) {
            Kind::Symlink => Some(self.target()?),
            _ => None,
        };
        Ok(entry(self.path.clone(), &stat, target.as_deref()))
    }

    /// Where the link that lies there points.
    pub(crate) fn target(&self) -> Result<Vec<u8>, ToolError> {
        rustix::fs::readlinkat(&self.directory, &self.name, Vec::new())
            .map(std::ffi::CString::into_bytes)
            .map_err(ToolError::at("read", &self.path))
    }

    /// Opens the file that lies there for reading.
    pub(crate) fn open_file(&self) -> Result<(File, Stat), ToolError> {
        // Without NONBLOCK the open of a pipe would wait for its other end.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let stat = self.stat()?.ok_or_else(|| ToolError::Missing(self.path.clone()))?;
        if kind_of(&stat) != Kind::File {
            let is = kind_name(kind_of(&stat));
            return Err(ToolError::WrongKind { path: self.path.clone(), is, wanted: "a file" });
        }
        let file = rustix::fs::openat(&self.directory, &self.name, flags, Mode::empty())
            .map_err(ToolError::at("open", &self.path))?;
        Ok((File::from(file), stat))
    }
}

/// Brings what was done in a directory to the disk.
pub(crate) fn sync(directory: &OwnedFd, path: &WorkspacePath) -> Result<(), ToolError> {
    rustix::fs::fsync(directory).map_err(ToolError::at("sync", path))
}

/// What kind of thing a status is of.
pub(crate) fn kind_of(stat: &Stat) -> Kind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Symlink,
        _ => Kind::Special,
    }
}

/// The kind with its article.
pub(crate) const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "a file",
        Kind::Directory => "a directory",
        Kind::Symlink => "a symbolic link",
        Kind::Special => "a device, a pipe or a socket",
    }
}

/// What is told of something.
pub(crate) fn entry(path: WorkspacePath, stat: &Stat, target: Option<&[u8]>) -> Entry {
    Entry {
        path,
        kind: kind_of(stat),
        size: u64::try_from(stat.st_size).unwrap_or(0),
        mode: stat.st_mode & PERMISSIONS,
        modified_ns: stat
            .st_mtime
            .saturating_mul(1_000_000_000)
            .saturating_add(i64::try_from(stat.st_mtime_nsec).unwrap_or(0)),
        owner: (stat.st_uid, stat.st_gid),
        target: target.map(quote),
    }
}

/// A failure of the standard library's file functions.
pub(crate) fn invalid(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}
