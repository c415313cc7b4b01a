//! Asks the guest's program of tools, see [`guest_protocol::tools`].

use guest_protocol::TOOLS_PATH;
use guest_protocol::message::End;
use guest_protocol::path::WorkspacePath;
use guest_protocol::tools::{self, Answer, CHUNK_MAX, EXIT_UNKNOWN, Failure, FailureKind};
use operation::{ErrorKind, OpError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;
use workspace_api::ledger::LedgerEvent;
use workspace_api::path::PathText;
use workspace_api::run::CommandOptions;

use super::Engine;
use super::run::to_exec;
use crate::keeper::client::{PipeInput, PipeOutput};
use crate::store::Record;

/// How much of a caller's input is passed on at once, in bytes.
const INPUT_CHUNK: usize = 64 * 1024;

/// What follows a request's header.
pub(super) enum Bulk<'a> {
    /// Nothing.
    None,
    /// These bytes, whose length the request says.
    Bytes(&'a [u8]),
    /// This text, in chunks.
    Text(&'a str),
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
        let header = tools::header(request)
            .map_err(|error| OpError::new(ErrorKind::InvalidRequest, &error))?;
        let argv = vec![TOOLS_PATH.to_owned(), name.to_owned()];
        let root = CommandOptions { cwd: Some("/".to_owned()), ..CommandOptions::default() };
        let pipe = self.connect(record).await?.pipe(to_exec(argv, root)?)?;
        let (input, mut output, mut ending) = pipe.into_parts();
        let answered = {
            let send = send(input, &header, bulk);
            let receive = receive::<T>(&mut output, bulk_max);
            tokio::pin!(send, receive);
            let mut is_sent = false;
            loop {
                tokio::select! {
                    sent = &mut send, if !is_sent => {
                        sent?;
                        is_sent = true;
                    }
                    // A tool that refuses does not wait for the rest.
                    answered = &mut receive => break answered,
                    () = cancel.cancelled() => {
                        return Err(OpError::plain(ErrorKind::Cancelled, "it was cancelled"));
                    }
                }
            }
        };
        match answered {
            Ok((Answer::Done(done), bulk)) => Ok((done, bulk)),
            Ok((Answer::Failed(failure), _)) => Err(failed(failure, record)),
            Err(error) => {
                drop(output);
                let end = ending.wait().await?;
                if end.end == (End::Code { code: EXIT_UNKNOWN }) {
                    let message = "the workspace's guest is too old for this";
                    return Err(OpError::plain(ErrorKind::Unavailable, message)
                        .hinted("workspaces that are created from now on can do it"));
                }
                let mut error = OpError::new(ErrorKind::Internal, &error)
                    .during("the guest did not answer as it should");
                error.causes.extend((!end.stderr.is_empty()).then_some(end.stderr));
                Err(error)
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

async fn send(mut input: PipeInput, header: &[u8], bulk: Bulk<'_>) -> Result<(), OpError> {
    // A tool that no longer reads has answered, or will never.
    let _ = input.write_all(header).await;
    match bulk {
        Bulk::None => {}
        Bulk::Bytes(bytes) => {
            let _ = input.write_all(bytes).await;
        }
        Bulk::Text(text) => {
            for chunk in text.as_bytes().chunks(CHUNK_MAX) {
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
    output: &mut PipeOutput,
    bulk_max: u64,
) -> std::io::Result<(Answer<T>, Vec<u8>)> {
    let mut prefix = [0; 4];
    output.read_exact(&mut prefix).await?;
    let length = tools::header_length(prefix).map_err(std::io::Error::other)?;
    let mut json = vec![0; length];
    output.read_exact(&mut json).await?;
    let answer = tools::parse(&json)?;
    let mut bulk = Vec::new();
    output.take(bulk_max).read_to_end(&mut bulk).await?;
    Ok((answer, bulk))
}

fn failed(failure: Failure, record: &Record) -> OpError {
    let kind = match failure.kind {
        FailureKind::Invalid => ErrorKind::InvalidRequest,
        FailureKind::NotFound => ErrorKind::NotFound,
        FailureKind::Conflict => ErrorKind::Conflict,
        FailureKind::Outside => ErrorKind::Denied,
        FailureKind::Exhausted => ErrorKind::Exhausted,
        FailureKind::Failed => ErrorKind::Internal,
    };
    let Failure { message, causes, mut hints, .. } = failure;
    if matches!(kind, ErrorKind::NotFound | ErrorKind::Conflict) && hints.is_empty() {
        hints.push(format!("`hotcell file list {}` shows what there is", record.id));
    }
    OpError { kind, message, causes, hints }
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
