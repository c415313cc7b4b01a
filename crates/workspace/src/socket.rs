//! Sockets in directories whose paths may be too long for a socket address.
//!
//! A socket's address holds 107 bytes of path, a home directory may be longer.
//! Both ends therefore name the socket through an open descriptor of its
//! directory, `/proc/self/fd/N/NAME`, which is always short, and good for as long
//! as the descriptor is open: so it is only lent (`ShortPath::lent`).

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::files::FileError;

/// Listens on a new socket that only its owner may connect to. One that is left over
/// from a dead process is replaced: the caller owns the directory.
///
/// # Errors
///
/// If there can be no socket.
pub fn listen(directory: &Path, name: &str) -> Result<UnixListener, FileError> {
    let short = ShortPath::of(directory, name)?;
    let path = directory.join(name);
    match fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            return Err(FileError::at("replace", &path)(source));
        }
        _ => {}
    }
    let listener = UnixListener::bind(short.lent()).map_err(FileError::at("listen on", &path))?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))
        .map_err(FileError::at("protect", &path))?;
    Ok(listener)
}

/// Listens as [`listen`] does, on the runtime that it is called on.
///
/// # Errors
///
/// If there can be no socket.
pub fn listen_async(directory: &Path, name: &str) -> Result<tokio::net::UnixListener, FileError> {
    let listener = listen(directory, name)?;
    listener
        .set_nonblocking(true)
        .and_then(|()| tokio::net::UnixListener::from_std(listener))
        .map_err(FileError::at("listen on", &directory.join(name)))
}

/// Connects to a socket.
///
/// # Errors
///
/// If nobody listens, or nobody may connect.
pub fn connect(directory: &Path, name: &str) -> Result<UnixStream, FileError> {
    let short = ShortPath::of(directory, name)?;
    UnixStream::connect(short.lent()).map_err(FileError::at("connect to", &directory.join(name)))
}

/// Connects as [`connect`] does, on the runtime that it is called on.
pub(crate) async fn connect_async(
    directory: &Path,
    name: &str,
) -> Result<tokio::net::UnixStream, FileError> {
    let short = ShortPath::of(directory, name)?;
    let connected = tokio::net::UnixStream::connect(short.lent()).await;
    connected.map_err(FileError::at("connect to", &directory.join(name)))
}

/// A path that fits into an address while the descriptor in it is open.
#[derive(Debug)]
struct ShortPath {
    /// What the path goes through. A link in its place would be somebody else's.
    _directory: File,
    path: PathBuf,
}

impl ShortPath {
    fn of(directory: &Path, name: &str) -> Result<Self, FileError> {
        let flags = OFlags::NOFOLLOW | OFlags::DIRECTORY;
        let opened = File::options()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(directory)
            .map_err(FileError::at("open", directory))?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{name}", opened.as_raw_fd()));
        Ok(Self { _directory: opened, path })
    }

    /// The path. Whoever is given it by value may close the directory before the path
    /// is looked up, as tokio does, so nobody is.
    fn lent(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_may_lie_deeper_than_an_address_is_long() {
        let scratch = tempfile::tempdir().unwrap();
        let deep = scratch.path().join("d".repeat(120));
        fs::create_dir(&deep).unwrap();
        let left_over = listen(&deep, "socket").unwrap();
        let mode = fs::metadata(deep.join("socket")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(left_over);
        assert!(connect(&deep, "socket").is_err(), "nobody listens");
        let listener = listen_async(&deep, "socket").unwrap();
        let _first = connect(&deep, "socket").unwrap();
        let _second = connect_async(&deep, "socket").await.unwrap();
        for _ in 0..2 {
            listener.accept().await.unwrap();
        }
        let link = scratch.path().join("link");
        std::os::unix::fs::symlink(&deep, &link).unwrap();
        assert!(listen(&link, "socket").is_err(), "no link is followed");
    }
}
