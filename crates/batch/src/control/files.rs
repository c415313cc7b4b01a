//! Files of a batch: written whole, and read within limits.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use operation::{ErrorKind, OpError};

/// A step on a file or directory of a batch that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub(crate) struct FileError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl FileError {
    pub(super) fn at<'a>(
        action: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self { action, path: path.to_owned(), source }
    }
}

impl From<FileError> for OpError {
    fn from(error: FileError) -> Self {
        match error.source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::new(ErrorKind::Exhausted, &error)
                    .hinted("free some space on the disk that holds hotcell's files")
            }
            io::ErrorKind::PermissionDenied => Self::new(ErrorKind::Denied, &error),
            _ => Self::new(ErrorKind::Internal, &error),
        }
    }
}

/// Makes a directory that only its owner enters, unless it is there.
pub(super) fn make_private(directory: &Path) -> Result<(), FileError> {
    match DirBuilder::new().mode(0o700).recursive(true).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(FileError::at("create", directory)(error))
        }
        _ => Ok(()),
    }
}

/// Writes a file that is not there, and makes its content durable.
pub(super) fn write_new(path: &Path, content: &[u8]) -> Result<(), FileError> {
    OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        .map_err(FileError::at("write", path))
}

/// Makes the names within a directory durable.
pub(super) fn sync(directory: &Path) -> Result<(), FileError> {
    File::open(directory)
        .and_then(|opened| opened.sync_all())
        .map_err(FileError::at("sync", directory))
}

/// What a plain file holds, at most so many bytes; nothing if it is not there.
pub(crate) fn read(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, FileError> {
    let failed = |source| FileError::at("read", path)(source);
    let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut content = Vec::new();
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut content).map_err(failed)?;
    if content.len() as u64 > bytes_max {
        return Err(failed(io::Error::other(format!("it has more than {bytes_max} bytes"))));
    }
    Ok(Some(content))
}

/// Removes a directory with everything in it, if it is there.
pub(super) fn remove_all(directory: &Path) -> Result<(), FileError> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FileError::at("remove", directory)(error))
        }
        _ => Ok(()),
    }
}
