//! Asks the guest's program of tools, see [`guest_protocol::tools`].

mod asked;

use guest_protocol::path::WorkspacePath;
use guest_protocol::tools::{self, CHUNK_MAX};
use operation::{ErrorKind, OpError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;
use workspace_api::ledger::LedgerEvent;
use workspace_api::path::PathText;

pub(super) use asked::Asked;

use super::Engine;
use crate::keeper::client::PipeInput;
use crate::store::Record;

/// How much of a caller's input is passed on at once, in bytes.
const INPUT_CHUNK: usize = 64 * 1024;

/// What follows a request's header.
pub(super) enum Bulk<'a> {
    /// Nothing.
    None,
    /// These bytes, whose length the request says.
    Bytes(&'a [u8]),
    /// These bytes, in chunks.
    Chunks(&'a [u8]),
    /// What the caller passes along, in chunks.
    Input(&'a mut operation::Input),
}

impl Engine {
    /// Has a tool do something. What it answers, and the bytes behind that, at
    /// most `bulk_max`.
    pub(super) async fn tool<M: Serialize + Sync, T: DeserializeOwned>(
        &self,
        record: &Record,
        name: &str,
        request: &M,
        bulk: Bulk<'_>,
        bulk_max: u64,
        cancel: &CancellationToken,
    ) -> Result<(T, Vec<u8>), OpError> {
        let mut asked = self.ask_tool(record, name, request).await?;
        let input = asked.input.take();
        let send = send(input, bulk);
        let receive = receive::<T>(&mut asked, bulk_max);
        tokio::pin!(send, receive);
        let mut is_sent = false;
        loop {
            tokio::select! {
                sent = &mut send, if !is_sent => {
                    sent?;
                    is_sent = true;
                }
                // A tool that refuses does not wait for the rest.
                answered = &mut receive => return answered,
                () = cancel.cancelled() => {
                    return Err(OpError::plain(ErrorKind::Cancelled, "it was cancelled"));
                }
            }
        }
    }

    /// Writes into the ledger what was done.
    pub(super) async fn note(&self, record: &Record, event: LedgerEvent) {
        // What was done is done: if the keeper has gone by now, so has the rest.
        if let Ok(connection) = self.connect(record).await {
            connection.note(event);
            connection.close().await;
        }
    }
}

async fn send(input: Option<PipeInput>, bulk: Bulk<'_>) -> Result<(), OpError> {
    let Some(mut input) = input else { return Ok(()) };
    // A tool that no longer reads has answered, or will never.
    match bulk {
        Bulk::None => {}
        Bulk::Bytes(bytes) => {
            let _ = input.write_all(bytes).await;
        }
        Bulk::Chunks(bytes) => {
            for chunk in bytes.chunks(CHUNK_MAX) {
                let _ = send_chunk(&mut input, chunk).await;
            }
            let _ = send_chunk(&mut input, &[]).await;
        }
        Bulk::Input(from) => {
            let mut buffer = vec![0; INPUT_CHUNK];
            loop {
                let length = from.read(&mut buffer).await.map_err(|error| {
                    OpError::new(ErrorKind::InvalidRequest, &error).during("cannot read the input")
                })?;
                // The end is a chunk as well: without it nothing is done.
                let sent = send_chunk(&mut input, &buffer[..length]).await;
                if length == 0 || sent.is_err() {
                    break;
                }
            }
        }
    }
    let _ = input.shutdown().await;
    Ok(())
}

async fn send_chunk(input: &mut PipeInput, chunk: &[u8]) -> std::io::Result<()> {
    let prefix = tools::chunk_prefix(chunk.len()).expect("chunks are bounded");
    input.write_all(&prefix).await?;
    input.write_all(chunk).await
}

async fn receive<T: DeserializeOwned>(
    asked: &mut Asked,
    bulk_max: u64,
) -> Result<(T, Vec<u8>), OpError> {
    let done = asked.answer().await?;
    let mut bulk = Vec::new();
    if let Some(output) = asked.output.take()
        && let Err(error) = output.take(bulk_max).read_to_end(&mut bulk).await
    {
        return Err(asked.why_not(&error).await);
    }
    Ok((done, bulk))
}

/// The place that a text means.
pub(super) fn place(text: &PathText) -> Result<WorkspacePath, OpError> {
    text.as_str().parse().map_err(|error: guest_protocol::path::BadPath| {
        let kind = match error {
            guest_protocol::path::BadPath::Outside(_) => ErrorKind::Denied,
            _ => ErrorKind::InvalidRequest,
        };
        OpError::new(kind, &error).hinted("paths are relative to /workspace, or absolute below it")
    })
}
