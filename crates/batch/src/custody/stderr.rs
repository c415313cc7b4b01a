//! Keeps what a process says on standard error, within a bound.
//!
//! ```text
//! stderr            at most half of the bound, the latest
//! stderr.earlier    what was before, or nothing
//! ```
//!
//! So the last words are always there, however much was said.

use std::io;
use std::path::{Path, PathBuf};

use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

/// How much is kept of one process's standard error, in bytes.
pub const STDERR_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// How much is read at once, in bytes.
const CHUNK_BYTES: usize = 16 * 1024;

/// Copies until the stream's end. If the file cannot be written any more the
/// stream is still read, or the process would wait for ever.
pub(super) async fn keep(
    mut stream: impl AsyncRead + Unpin,
    path: PathBuf,
    bound: u64,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut file = create(&path).await;
    let mut written = 0;
    loop {
        let read = stream.read(&mut chunk).await?;
        if read == 0 {
            return file.map(drop);
        }
        if let Ok(open) = &mut file {
            let bytes = chunk.get(..read).unwrap_or_default();
            let result = match open.write_all(bytes).await {
                Ok(()) => open.flush().await,
                Err(error) => Err(error),
            };
            written += bytes.len() as u64;
            if let Err(error) = result {
                file = Err(error);
            } else if written >= bound / 2 {
                file = match fs::rename(&path, earlier(&path)).await {
                    Ok(()) => create(&path).await,
                    Err(error) => Err(error),
                };
                written = 0;
            }
        }
    }
}

async fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path).await
}

fn earlier(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".earlier");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_words_are_kept_and_the_bound_holds() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("stderr");
        let said = [&vec![b'x'; 300_000][..], b"last words"].concat();
        keep(&said[..], path.clone(), 100_000).await.unwrap();
        let latest = std::fs::read(&path).unwrap();
        let before = std::fs::read(earlier(&path)).unwrap();
        assert!(latest.ends_with(b"last words"));
        assert!(latest.len() + before.len() <= 100_000 + 2 * CHUNK_BYTES);
        assert!(before.len() >= 50_000, "half of the bound is kept at least");
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_written_does_not_stop_the_reading() {
        let said = vec![b'x'; 300_000];
        let mut rest = &said[..];
        assert!(keep(&mut rest, "/proc/none/stderr".into(), 100_000).await.is_err());
        assert!(rest.is_empty());
    }
}
