//! What a monitor and its guest print: bounded, whoever prints it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::process::ChildStderr;
use tokio::task::JoinHandle;

/// How much of a monitor's standard error is kept, in bytes, the last of it.
const LAST_WORDS_BYTES: usize = 4096;

/// How much a guest can print on its console per start, in bytes. What comes
/// later is read and dropped: the guest must neither fill the host's disk nor
/// be held up.
const CONSOLE_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// How long to wait for the end of standard error once the monitor is gone, in
/// milliseconds. It is there already; the limit only makes sure of it.
const HEAR_OUT_LIMIT_MS: u64 = 1000;

/// Bytes that are read at once.
const READ_BYTES: usize = 4096;

/// Keeps the last of what the monitor writes to its standard error.
#[derive(Debug)]
pub(super) enum LastWords {
    /// The monitor may still write.
    Listening(JoinHandle<String>),
    /// It was heard out.
    Heard(String),
}

impl LastWords {
    /// Listens in the background until the monitor closes the stream.
    pub(super) fn listen(stream: Option<ChildStderr>) -> Self {
        match stream {
            Some(stream) => Self::Listening(tokio::spawn(hear(stream))),
            None => Self::Heard(String::new()),
        }
    }

    /// All that was heard; waits for the stream's end, so the monitor must be
    /// gone. Cancel safe.
    pub(super) async fn hear_out(&mut self) -> String {
        if let Self::Listening(listener) = self {
            let limit = Duration::from_millis(HEAR_OUT_LIMIT_MS);
            let words = match tokio::time::timeout(limit, listener).await {
                Ok(Ok(words)) => words,
                Ok(Err(_)) | Err(_) => String::new(),
            };
            *self = Self::Heard(words);
        }
        match self {
            Self::Heard(words) => words.clone(),
            Self::Listening(_) => String::new(),
        }
    }
}

async fn hear(mut stream: ChildStderr) -> String {
    let mut kept = VecDeque::new();
    let mut buffer = [0; READ_BYTES];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        kept.extend(buffer.iter().take(count));
        let surplus = kept.len().saturating_sub(LAST_WORDS_BYTES);
        kept.drain(..surplus);
    }
    String::from_utf8_lossy(kept.make_contiguous()).trim().to_owned()
}

/// Copies a guest's console to its file, in the background, until the monitor
/// closes the stream. Writing is done in place: it is rare and small, and ends
/// in the page cache.
pub(super) fn copy_console(mut stream: UnixStream, mut file: File) {
    tokio::spawn(async move {
        let mut room = CONSOLE_LIMIT_BYTES;
        let mut buffer = [0; READ_BYTES];
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            let text = buffer.get(..count.min(room)).unwrap_or_default();
            // A full disk costs the rest of the console, not the machine.
            room = match file.write_all(text) {
                Ok(()) => room - text.len(),
                Err(_) => 0,
            };
        }
    });
}
