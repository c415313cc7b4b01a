//! Files of a batch: written whole, and read within limits.

use std::fs::OpenOptions;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use workspace::files::FileError;

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
