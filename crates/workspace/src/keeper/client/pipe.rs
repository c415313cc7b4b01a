//! A process in the guest as a pair of byte streams.
//!
//! ```text
//! caller ──input──▶ buffer ──▶ task ──frames, with credit──▶ keeper ──▶ guest
//! caller ◀─output── queue  ◀── task ◀──frames──────────────
//!                               │
//!                               └── end, and the tail of standard error
//! ```
//!
//! One task per process owns the connection. Neither direction holds up the
//! other: what the guest sends waits in a queue that the credit bounds.
//! Dropping the pipe ends the task and with it the connection, and the keeper
//! then kills the process.

#![expect(dead_code, reason = "what uses it lands next")]

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use guest_protocol::frame::{Body, Channel, Frame, INITIAL_CREDIT, StreamId};
use guest_protocol::message::{End, Exec, GuestMessage, HostMessage};
use operation::{ErrorKind, OpError};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{GRANT_MIN, INPUT_MAX, KeeperConnection, broken, read_some, refused};
use crate::framing::{FrameReader, FrameSender, parse};
use crate::keeper::protocol::FromKeeper;

/// Bytes that may wait between the caller and the task, in each direction.
const BUFFER: usize = 64 * 1024;

/// How much of the end of standard error is kept, in bytes.
const STDERR_MAX: usize = 8 * 1024;

/// A process in the guest.
#[derive(Debug)]
pub(crate) struct GuestPipe {
    /// Its standard output.
    pub(crate) output: PipeOutput,
    /// Its standard input; shutting it down is the end of file.
    pub(crate) input: PipeInput,
    ending: PipeEnding,
}

/// What a process wrote to its standard output. Ends when the process has.
#[derive(Debug)]
pub(crate) struct PipeOutput(DuplexStream);

/// The standard input of a process. Dropping it is the end of file, too.
#[derive(Debug)]
pub(crate) struct PipeInput(DuplexStream);

/// How a process will have ended. Dropping it has the process killed.
#[derive(Debug)]
pub(crate) struct PipeEnding {
    ended: oneshot::Receiver<Result<PipeEnd, OpError>>,
    task: JoinHandle<()>,
}

/// How a process ended.
#[derive(Debug)]
pub(crate) struct PipeEnd {
    /// How.
    pub(crate) end: End,
    /// The end of what it wrote to its standard error.
    pub(crate) stderr: String,
}

impl GuestPipe {
    /// The three parts, for callers that use them from different tasks.
    pub(crate) fn into_parts(self) -> (PipeInput, PipeOutput, PipeEnding) {
        (self.input, self.output, self.ending)
    }

    /// Closes the input, drops what is still to be read, and waits.
    pub(crate) async fn finish(mut self) -> Result<PipeEnd, OpError> {
        // A process that no longer reads has closed it already.
        let _ = self.input.shutdown().await;
        let mut nowhere = tokio::io::sink();
        let drain = tokio::io::copy(&mut self.output, &mut nowhere);
        let (_, end) = tokio::join!(drain, self.ending.wait());
        end
    }
}

impl PipeEnding {
    /// Waits for the end. All output has been handed over by then, or waits to
    /// be read.
    pub(crate) async fn wait(&mut self) -> Result<PipeEnd, OpError> {
        match (&mut self.ended).await {
            Ok(end) => end,
            Err(_) => Err(OpError::plain(ErrorKind::Internal, "a guest process was given up")),
        }
    }
}

impl Drop for PipeEnding {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl AsyncRead for PipeOutput {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for PipeInput {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

impl KeeperConnection {
    /// Starts a process whose standard input and output are byte streams. Its
    /// refusal, if there is one, is told by [`PipeEnding::wait`].
    pub(crate) fn pipe(mut self, exec: Exec) -> Result<GuestPipe, OpError> {
        let stream = self.open_stream(&HostMessage::Exec(exec))?;
        let (input, from_caller) = tokio::io::duplex(BUFFER);
        let (output, to_caller) = tokio::io::duplex(BUFFER);
        let (told, ended) = oneshot::channel();
        let process = Process {
            stream,
            reader: self.reader,
            sender: self.sender,
            input: Input::Open { from: from_caller, credit: INITIAL_CREDIT },
            output: Output { to: Some(to_caller), queue: VecDeque::new(), owed: 0 },
            stderr: Vec::new(),
        };
        let task = tokio::spawn(async move {
            // Nobody may wait for it any more.
            let _ = told.send(process.follow().await);
        });
        Ok(GuestPipe {
            output: PipeOutput(output),
            input: PipeInput(input),
            ending: PipeEnding { ended, task },
        })
    }
}

struct Process {
    stream: StreamId,
    reader: FrameReader<tokio::net::unix::OwnedReadHalf>,
    sender: FrameSender,
    input: Input,
    output: Output,
    stderr: Vec<u8>,
}

enum Input {
    Open { from: DuplexStream, credit: u32 },
    Closed,
}

struct Output {
    /// `None` once the caller no longer reads.
    to: Option<DuplexStream>,
    queue: VecDeque<Bytes>,
    /// Handed over, but not yet granted again.
    owed: u32,
}

enum Happening {
    Frame(Frame),
    Input(io::Result<Bytes>),
    HandedOver(io::Result<usize>),
}

impl Process {
    async fn follow(mut self) -> Result<PipeEnd, OpError> {
        let end = loop {
            let happening = tokio::select! {
                frame = self.reader.next() => Happening::Frame(frame.map_err(broken)?),
                input = self.input.next() => Happening::Input(input),
                written = self.output.hand_over() => Happening::HandedOver(written),
            };
            match happening {
                Happening::Frame(frame) => {
                    if let Some(end) = self.heard(frame)? {
                        break end;
                    }
                }
                Happening::Input(input) => self.pass_on(input),
                Happening::HandedOver(written) => self.handed_over(written),
            }
        };
        while self.output.is_waiting() {
            let written = self.output.hand_over().await;
            self.handed_over(written);
        }
        if let Some(mut to) = self.output.to.take() {
            // Whoever reads is told of the end by this, whoever does not has
            // closed it already.
            let _ = to.shutdown().await;
        }
        let stderr = String::from_utf8_lossy(&self.stderr).into_owned();
        Ok(PipeEnd { end, stderr })
    }

    fn heard(&mut self, frame: Frame) -> Result<Option<End>, OpError> {
        if frame.stream == StreamId::EPOCH {
            return match parse(&frame).map_err(broken)? {
                Some(FromKeeper::Lost { error } | FromKeeper::Failed { error }) => Err(error),
                Some(FromKeeper::Deleted) => {
                    Err(OpError::plain(ErrorKind::MachineLost, "the workspace was deleted"))
                }
                _ => Ok(None),
            };
        }
        if frame.stream != self.stream {
            return Ok(None);
        }
        match frame.body {
            Body::Data(Channel::Stderr, bytes) => {
                self.say(&HostMessage::Credit {
                    channel: Channel::Stderr,
                    bytes: u32::try_from(bytes.len()).expect("frames are bounded"),
                });
                self.stderr.extend_from_slice(&bytes);
                let excess = self.stderr.len().saturating_sub(STDERR_MAX);
                self.stderr.drain(..excess);
                Ok(None)
            }
            Body::Data(_, bytes) => {
                self.output.take(bytes);
                self.grant();
                Ok(None)
            }
            Body::Control(_) => {
                match parse::<GuestMessage>(&frame).map_err(broken)? {
                    Some(GuestMessage::Exited { end, .. }) => return Ok(Some(end)),
                    Some(GuestMessage::Refused { reason, message }) => {
                        return Err(refused(reason, message));
                    }
                    Some(GuestMessage::Credit { bytes }) => {
                        if let Input::Open { credit, .. } = &mut self.input {
                            *credit = credit.saturating_add(bytes);
                        }
                    }
                    Some(GuestMessage::StdinRefused) => self.input = Input::Closed,
                    _ => {}
                }
                Ok(None)
            }
        }
    }

    fn pass_on(&mut self, input: io::Result<Bytes>) {
        let Input::Open { credit, .. } = &mut self.input else { return };
        match input {
            Ok(bytes) if !bytes.is_empty() => {
                *credit -= u32::try_from(bytes.len()).expect("read at most the credit");
                let body = Body::Data(Channel::Stdin, bytes);
                self.sender.frame(Frame { stream: self.stream, body });
            }
            _ => {
                self.input = Input::Closed;
                self.say(&HostMessage::StdinClosed);
            }
        }
    }

    fn handed_over(&mut self, written: io::Result<usize>) {
        match written {
            Ok(written) => self.output.advance(written),
            Err(_) => self.output.nobody_reads(),
        }
        self.grant();
    }

    fn grant(&mut self) {
        if self.output.owed >= GRANT_MIN {
            let bytes = std::mem::take(&mut self.output.owed);
            self.say(&HostMessage::Credit { channel: Channel::Stdout, bytes });
        }
    }

    fn say(&self, message: &HostMessage) {
        self.sender.message(self.stream, message).expect("a short message");
    }
}

impl Input {
    /// The caller's next bytes, as many as may be sent. Cancel safe.
    async fn next(&mut self) -> io::Result<Bytes> {
        match self {
            Self::Open { from, credit } if *credit > 0 => {
                read_some(from, (*credit).min(INPUT_MAX)).await
            }
            Self::Open { .. } | Self::Closed => std::future::pending().await,
        }
    }
}

impl Output {
    fn is_waiting(&self) -> bool {
        self.to.is_some() && !self.queue.is_empty()
    }

    fn take(&mut self, bytes: Bytes) {
        if self.to.is_some() {
            self.queue.push_back(bytes);
        } else {
            self.owed += u32::try_from(bytes.len()).expect("frames are bounded");
        }
    }

    /// Writes some of what waits. Cancel safe: nothing is taken off the queue.
    async fn hand_over(&mut self) -> io::Result<usize> {
        match (&mut self.to, self.queue.front()) {
            (Some(to), Some(bytes)) => to.write(bytes).await,
            _ => std::future::pending().await,
        }
    }

    fn advance(&mut self, written: usize) {
        if let Some(bytes) = self.queue.front_mut() {
            drop(bytes.split_to(written));
            if bytes.is_empty() {
                self.queue.pop_front();
            }
        }
        self.owed += u32::try_from(written).expect("frames are bounded");
    }

    fn nobody_reads(&mut self) {
        self.to = None;
        let dropped: usize = self.queue.drain(..).map(|bytes| bytes.len()).sum();
        self.owed += u32::try_from(dropped).expect("the credit is bounded");
    }
}
