//! A process in the guest as a pair of byte streams.
//!
//! ```text
//! caller ──input──▶ buffer ──▶ task ──frames, with credit──▶ keeper ──▶ guest
//! caller ◀─output── queues ◀── task ◀──frames──────────────
//!                               │
//!                               └── end
//! ```
//!
//! One task per process owns the connection. No direction holds up another:
//! what the guest sends waits in queues that the credit bounds. Standard error
//! is a stream as well, or only its tail is kept, for messages of errors.
//! Dropping the pipe ends the task and with it the connection, and the keeper
//! then kills the process.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use guest_protocol::frame::{Body, Channel, Frame, INITIAL_CREDIT, StreamId};
use guest_protocol::message::{End, Exec, GuestMessage, HostMessage, TerminalSize};
use operation::{ErrorKind, OpError};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{GRANT_MIN, INPUT_MAX, KeeperConnection, broken, hibernated, read_some, refused};
use crate::framing::{FrameReader, FrameSender, parse};
use crate::keeper::protocol::{FromKeeper, ToKeeper};

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
    /// Its standard error, if that was asked for.
    pub(crate) error: Option<PipeOutput>,
    /// What can be done to it besides.
    pub(crate) control: PipeControl,
    ending: PipeEnding,
}

/// What becomes of a process's standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StandardError {
    /// Its end is told with the end of the process.
    Tail,
    /// It is a stream of its own.
    Stream,
}

/// What can be done to a process beside reading and writing.
#[derive(Debug, Clone)]
pub(crate) struct PipeControl {
    stream: StreamId,
    sender: FrameSender,
}

impl PipeControl {
    /// Signals its process group, or the foreground job of its terminal.
    pub(crate) fn signal(&self, number: i32) {
        self.say(&HostMessage::Signal { number });
    }

    /// Tells its terminal another size.
    pub(crate) fn resize(&self, size: TerminalSize) {
        self.say(&HostMessage::Resize(size));
    }

    /// Asks it to end and has what is left of it killed after the grace.
    pub(crate) fn cancel(&self, grace: Duration, signal: Option<i32>) {
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        self.say(&HostMessage::Cancel { grace_ms, signal });
    }

    fn say(&self, message: &HostMessage) {
        self.sender.message(self.stream, message).expect("a short message");
    }
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
    started: Option<oneshot::Receiver<()>>,
    ended: oneshot::Receiver<Result<PipeEnd, OpError>>,
    task: JoinHandle<()>,
}

/// How a process ended.
#[derive(Debug)]
pub(crate) struct PipeEnd {
    /// How.
    pub(crate) end: End,
    /// How long it ran, by the guest's clock, in milliseconds.
    pub(crate) duration_ms: u64,
    /// The end of what it wrote to its standard error.
    pub(crate) stderr: String,
}

impl GuestPipe {
    /// Its ends, for callers that use them from different tasks.
    pub(crate) fn into_parts(self) -> (PipeInput, PipeOutput, PipeEnding) {
        (self.input, self.output, self.ending)
    }

    /// Waits until the process runs; an error says why it never will.
    pub(crate) async fn started(&mut self) -> Result<(), OpError> {
        self.ending.started().await
    }

    /// All its ends.
    pub(crate) fn into_ends(
        self,
    ) -> (PipeInput, PipeOutput, Option<PipeOutput>, PipeControl, PipeEnding) {
        (self.input, self.output, self.error, self.control, self.ending)
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
    /// Waits until the process runs; an error says why it never will.
    pub(crate) async fn started(&mut self) -> Result<(), OpError> {
        let Some(started) = self.started.take() else { return Ok(()) };
        match started.await {
            Ok(()) => Ok(()),
            Err(_) => self.wait().await.map(drop),
        }
    }

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
    /// Starts a process whose standard input and output are byte streams, not for
    /// people: nothing in its output is altered, so whoever passes that on looks
    /// for secrets in it. Its refusal, if there is one, is told by
    /// [`PipeEnding::wait`].
    pub(crate) fn pipe(self, exec: Exec) -> Result<GuestPipe, OpError> {
        let verbatim = ToKeeper::Verbatim { stream: StreamId(self.last_stream + 1) };
        self.sender.message(StreamId::EPOCH, &verbatim).expect("a short message");
        self.piped(&HostMessage::Exec(exec), StandardError::Tail)
    }

    /// The same for any message that opens the stream of a process, with values of
    /// secrets hidden in its output.
    pub(crate) fn piped(
        mut self,
        opening: &HostMessage,
        errors: StandardError,
    ) -> Result<GuestPipe, OpError> {
        let stream = self.open_stream(opening)?;
        let (input, from_caller) = tokio::io::duplex(BUFFER);
        let (output, to_caller) = tokio::io::duplex(BUFFER);
        let (told, ended) = oneshot::channel();
        let (runs, started) = oneshot::channel();
        let (error, errors) = match errors {
            StandardError::Tail => (None, Errors::Tail(Vec::new())),
            StandardError::Stream => {
                let (error, to_caller) = tokio::io::duplex(BUFFER);
                (Some(PipeOutput(error)), Errors::Stream(Output::to(to_caller)))
            }
        };
        let control = PipeControl { stream, sender: self.sender.clone() };
        let process = Process {
            stream,
            reader: self.reader,
            sender: self.sender,
            input: Input::Open { from: from_caller, credit: INITIAL_CREDIT },
            output: Output::to(to_caller),
            errors,
            runs: Some(runs),
        };
        let task = tokio::spawn(async move {
            // Nobody may wait for it any more.
            let _ = told.send(process.follow().await);
        });
        Ok(GuestPipe {
            output: PipeOutput(output),
            input: PipeInput(input),
            error,
            control,
            ending: PipeEnding { started: Some(started), ended, task },
        })
    }
}

struct Process {
    stream: StreamId,
    reader: FrameReader<tokio::net::unix::OwnedReadHalf>,
    sender: FrameSender,
    input: Input,
    output: Output,
    errors: Errors,
    /// To be told when it runs.
    runs: Option<oneshot::Sender<()>>,
}

enum Errors {
    Tail(Vec<u8>),
    Stream(Output),
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
    HandedOver(Channel, io::Result<usize>),
}

impl Process {
    async fn follow(mut self) -> Result<PipeEnd, OpError> {
        let (end, duration_ms) = loop {
            let happening = tokio::select! {
                frame = self.reader.next() => Happening::Frame(frame.map_err(broken)?),
                input = self.input.next() => Happening::Input(input),
                written = self.output.hand_over() => {
                    Happening::HandedOver(Channel::Stdout, written)
                }
                written = self.errors.hand_over() => {
                    Happening::HandedOver(Channel::Stderr, written)
                }
            };
            match happening {
                Happening::Frame(frame) => {
                    if let Some(end) = self.heard(frame)? {
                        break end;
                    }
                }
                Happening::Input(input) => self.pass_on(input),
                Happening::HandedOver(channel, written) => self.handed_over(channel, written),
            }
        };
        let stderr = self.errors.tail();
        // Both at once: whoever reads them one after the other would wait for
        // ever, if this did as well.
        let errors = async {
            match &mut self.errors {
                Errors::Stream(errors) => errors.empty().await,
                Errors::Tail(_) => {}
            }
        };
        tokio::join!(self.output.empty(), errors);
        Ok(PipeEnd { end, duration_ms, stderr })
    }

    fn heard(&mut self, frame: Frame) -> Result<Option<(End, u64)>, OpError> {
        if frame.stream == StreamId::EPOCH {
            return match parse(&frame).map_err(broken)? {
                Some(FromKeeper::Lost { error } | FromKeeper::Failed { error }) => Err(error),
                Some(FromKeeper::Deleted) => {
                    Err(OpError::plain(ErrorKind::MachineLost, "the workspace was deleted"))
                }
                Some(FromKeeper::Stopped) => {
                    Err(OpError::plain(ErrorKind::MachineLost, "the workspace was stopped"))
                }
                Some(FromKeeper::Hibernated) => Err(hibernated()),
                _ => Ok(None),
            };
        }
        if frame.stream != self.stream {
            return Ok(None);
        }
        match frame.body {
            Body::Data(Channel::Stderr, bytes) => {
                match &mut self.errors {
                    Errors::Stream(errors) => errors.take(bytes),
                    Errors::Tail(tail) => {
                        self.sender
                            .message(self.stream, &granting(Channel::Stderr, bytes.len()))
                            .expect("a short message");
                        tail.extend_from_slice(&bytes);
                        let excess = tail.len().saturating_sub(STDERR_MAX);
                        tail.drain(..excess);
                    }
                }
                self.grant();
                Ok(None)
            }
            Body::Data(_, bytes) => {
                self.output.take(bytes);
                self.grant();
                Ok(None)
            }
            Body::Control(_) => {
                match parse::<GuestMessage>(&frame).map_err(broken)? {
                    Some(GuestMessage::Started { .. }) => {
                        // Nobody may be interested in that.
                        let _ = self.runs.take().map(|runs| runs.send(()));
                    }
                    Some(GuestMessage::Exited { end, duration_ms }) => {
                        return Ok(Some((end, duration_ms)));
                    }
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

    fn handed_over(&mut self, channel: Channel, written: io::Result<usize>) {
        let output = match (channel, &mut self.errors) {
            (Channel::Stderr, Errors::Stream(errors)) => errors,
            _ => &mut self.output,
        };
        match written {
            Ok(written) => output.advance(written),
            Err(_) => output.nobody_reads(),
        }
        self.grant();
    }

    /// Lets the guest send as much as was handed over.
    fn grant(&mut self) {
        let mut owed = vec![(Channel::Stdout, self.output.grantable())];
        if let Errors::Stream(errors) = &mut self.errors {
            owed.push((Channel::Stderr, errors.grantable()));
        }
        for (channel, bytes) in owed {
            if bytes > 0 {
                self.say(&HostMessage::Credit { channel, bytes });
            }
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

impl Errors {
    async fn hand_over(&mut self) -> io::Result<usize> {
        match self {
            Self::Stream(errors) => errors.hand_over().await,
            Self::Tail(_) => std::future::pending().await,
        }
    }

    fn tail(&self) -> String {
        match self {
            Self::Tail(tail) => String::from_utf8_lossy(tail).into_owned(),
            Self::Stream(_) => String::new(),
        }
    }
}

fn granting(channel: Channel, bytes: usize) -> HostMessage {
    let bytes = u32::try_from(bytes).expect("frames are bounded");
    HostMessage::Credit { channel, bytes }
}

impl Output {
    fn to(caller: DuplexStream) -> Self {
        Self { to: Some(caller), queue: VecDeque::new(), owed: 0 }
    }

    /// Hands over what waits, and says that nothing more comes.
    async fn empty(&mut self) {
        while self.to.is_some() && !self.queue.is_empty() {
            match self.hand_over().await {
                Ok(written) => self.advance(written),
                Err(_) => self.nobody_reads(),
            }
        }
        if let Some(mut to) = self.to.take() {
            // Whoever does not read has closed it already.
            let _ = to.shutdown().await;
        }
    }

    /// What the guest may send in addition, once it is worth a message.
    fn grantable(&mut self) -> u32 {
        if self.owed >= GRANT_MIN { std::mem::take(&mut self.owed) } else { 0 }
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
