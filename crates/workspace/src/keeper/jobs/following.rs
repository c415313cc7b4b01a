//! One job whose process runs: its output goes to its logs, input to the process.

use bytes::Bytes;
use operation::{ErrorKind, OpError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;

use super::JobProgress;
use crate::files::FileError;
use crate::jobs::JobKind;
use crate::jobs::log::LogWriter;
use crate::keeper::client::{GuestPipe, PipeControl, PipeEnd, PipeInput, PipeOutput};

/// How much of a job's output is taken at once, in bytes.
const CHUNK: usize = 32 * 1024;

/// A job that is followed by a task.
#[derive(Debug)]
pub(super) struct LiveJob {
    pub(super) kind: JobKind,
    pub(super) control: PipeControl,
    pub(super) input: mpsc::Sender<Piece>,
    pub(super) progress: watch::Receiver<JobProgress>,
    pub(super) task: AbortHandle,
}

/// Input for a job; without bytes it is the last.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) bytes: Bytes,
    pub(super) taken: oneshot::Sender<Result<(), OpError>>,
}

/// Where a job's output goes.
pub(super) struct Logs {
    pub(super) stdout: LogWriter,
    pub(super) stderr: LogWriter,
}

/// Takes in what a process writes and passes on its input, until it ends.
pub(super) async fn attend(
    pipe: GuestPipe,
    logs: Logs,
    changed: &watch::Sender<JobProgress>,
    pieces: mpsc::Receiver<Piece>,
) -> Result<PipeEnd, OpError> {
    let (input, output, error, _, mut ending) = pipe.into_ends();
    let stdout = keep(Some(output), logs.stdout, |position| {
        changed.send_modify(|progress| progress.stdout = position);
    });
    let stderr = keep(error, logs.stderr, |position| {
        changed.send_modify(|progress| progress.stderr = position);
    });
    let work = async {
        let ((), (), end) = tokio::join!(stdout, stderr, ending.wait());
        end
    };
    tokio::select! {
        end = work => end,
        never = feed(input, pieces) => match never {},
    }
}

async fn keep(output: Option<PipeOutput>, mut log: LogWriter, told: impl Fn(u64)) {
    let Some(mut output) = output else { return };
    let mut buffer = vec![0; CHUNK];
    let mut complained = false;
    while let Ok(read @ 1..) = output.read(&mut buffer).await {
        let written: Result<(), FileError> = log.write(&buffer[..read]);
        if let (Err(error), false) = (written, complained) {
            tracing::error!(%error, "output of a job is not kept");
            complained = true;
        }
        told(log.position());
    }
}

async fn feed(input: PipeInput, mut pieces: mpsc::Receiver<Piece>) -> std::convert::Infallible {
    let mut open = Some(input);
    while let Some(Piece { bytes, taken }) = pieces.recv().await {
        let answer = match &mut open {
            None => Err(OpError::plain(ErrorKind::Conflict, "its input was closed")),
            Some(_) if bytes.is_empty() => {
                open = None;
                Ok(())
            }
            Some(input) => input.write_all(&bytes).await.map_err(|error| {
                OpError::new(ErrorKind::Conflict, &error).during("it does not read its input")
            }),
        };
        // Whoever asked may have gone.
        let _ = taken.send(answer);
    }
    std::future::pending().await
}
