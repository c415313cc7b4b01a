//! The bytes of a tool in the guest, for code that waits.
//!
//! Packing and unpacking block, so they run on a thread of their own and wait
//! there for a stream of the runtime's, and for the caller who may give up.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use guest_protocol::tools::{CHUNK_MAX, chunk_prefix};
use operation::{ErrorKind, OpError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::keeper::client::{PipeInput, PipeOutput};

/// How many bytes are collected before a chunk is sent.
const CHUNK_BYTES: usize = 64 * 1024;

const _: () = assert!(CHUNK_BYTES <= CHUNK_MAX);

/// Counts bytes, for those who watch.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meter(Arc<AtomicU64>);

impl Meter {
    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// What a tool writes. Only to be read on a thread that may wait.
#[derive(Debug)]
pub(crate) struct FromGuest {
    output: PipeOutput,
    runtime: Handle,
    cancel: CancellationToken,
    meter: Meter,
}

impl FromGuest {
    /// To be called within the runtime.
    pub(crate) fn new(output: PipeOutput, cancel: &CancellationToken, meter: &Meter) -> Self {
        let (cancel, meter) = (cancel.clone(), meter.clone());
        Self { output, runtime: Handle::current(), cancel, meter }
    }
}

impl Read for FromGuest {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Self { output, runtime, cancel, meter } = self;
        let read = runtime.block_on(async {
            tokio::select! {
                read = output.read(buffer) => read,
                () = cancel.cancelled() => Err(io::Error::other(cancelled())),
            }
        })?;
        meter.add(read);
        Ok(read)
    }
}

/// What a tool reads, in chunks. Only to be written on a thread that may wait.
/// Without [`ToGuest::finish`] the tool knows that it was not all.
#[derive(Debug)]
pub(crate) struct ToGuest {
    input: PipeInput,
    runtime: Handle,
    cancel: CancellationToken,
    meter: Meter,
    chunk: Vec<u8>,
}

impl ToGuest {
    /// To be called within the runtime.
    pub(crate) fn new(input: PipeInput, cancel: &CancellationToken, meter: &Meter) -> Self {
        let (cancel, meter) = (cancel.clone(), meter.clone());
        Self { input, runtime: Handle::current(), cancel, meter, chunk: Vec::new() }
    }

    /// Says that this is all.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        let Self { input, runtime, .. } = &mut self;
        runtime.block_on(async {
            input.write_all(&chunk_prefix(0).map_err(io::Error::other)?).await?;
            input.shutdown().await
        })
    }
}

impl Write for ToGuest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.chunk.len() >= CHUNK_BYTES {
            self.flush()?;
        }
        let taken = bytes.len().min(CHUNK_BYTES - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let Self { input, runtime, cancel, meter, chunk } = self;
        let prefix = chunk_prefix(chunk.len()).map_err(io::Error::other)?;
        let sent = runtime.block_on(async {
            let send = async {
                input.write_all(&prefix).await?;
                input.write_all(chunk).await
            };
            tokio::select! {
                sent = send => sent,
                () = cancel.cancelled() => Err(io::Error::other(cancelled())),
            }
        });
        meter.add(chunk.len());
        chunk.clear();
        sent
    }
}

/// The error of a crossing that nobody wants any more.
pub(crate) fn cancelled() -> OpError {
    OpError::plain(ErrorKind::Cancelled, "it was cancelled")
}
