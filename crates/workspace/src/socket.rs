//! Sockets in directories whose paths may be too long for a socket address.
//!
//! A socket's address holds 107 bytes of path, a home directory may be longer.
//! Both ends therefore name the socket through an open descriptor of its
//! directory, `/proc/self/fd/N/NAME`, which is always short.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use crate::home::FileError;

/// Listens on a new socket; one that is left over from a dead process is
/// replaced, for the caller holds the directory's lock.
pub(crate) fn listen(directory: &Path, name: &str) -> Result<UnixListener, FileError> {
    let (handle, short) = short_path(directory, name)?;
    let path = directory.join(name);
    match std::fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            return Err(FileError::at("replace", &path)(source));
        }
        _ => {}
    }
    let listener = UnixListener::bind(&short).map_err(FileError::at("listen on", &path));
    drop(handle);
    listener
}

/// Connects to a socket.
pub(crate) async fn connect(directory: &Path, name: &str) -> Result<UnixStream, FileError> {
    let (handle, short) = short_path(directory, name)?;
    let path = directory.join(name);
    let stream = UnixStream::connect(&short).await.map_err(FileError::at("connect to", &path));
    drop(handle);
    stream
}

fn short_path(directory: &Path, name: &str) -> Result<(File, PathBuf), FileError> {
    let handle = File::open(directory).map_err(FileError::at("open", directory))?;
    let short = PathBuf::from(format!("/proc/self/fd/{}/{name}", handle.as_raw_fd()));
    Ok((handle, short))
}
