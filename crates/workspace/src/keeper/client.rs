//! The engine's end of a connection to a keeper.
//!
//! One connection carries one command at a time; whoever wants several at once
//! opens several, which costs a local connect each.

mod pipe;

pub(crate) use pipe::{
    GuestPipe, PipeControl, PipeEnd, PipeEnding, PipeInput, PipeOutput, StandardError,
};

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use guest_protocol::frame::{Body, Channel, Frame, INITIAL_CREDIT, StreamId};
use guest_protocol::message::{End, Exec, GuestMessage, HostMessage, Refusal};
use operation::{Call, ErrorKind, OpError};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use workspace_api::id::WorkspaceId;
use workspace_api::ledger::LedgerEvent;
use workspace_api::output::{Capture, OutputBytes};
use workspace_api::run::{CommandEnd, CommandEvent, CommandResult};

use super::asking::{Hibernate, Question};
use super::protocol::{FromKeeper, KeeperRequest, ToKeeper};
use crate::framing::{FrameReader, FrameSender, FramingError, parse, spawn_writer};

/// Credit is given back in pieces of this size, in bytes, so that a stream of
/// short lines does not cost a message per line.
const GRANT_MIN: u32 = INITIAL_CREDIT / 4;

/// How much input is passed on at once, in bytes: less than a frame holds.
const INPUT_MAX: u32 = 32 * 1024;

/// How long a cancelled command may take to end by itself.
const CANCEL_GRACE: Duration = Duration::from_secs(2);

/// How much later than the guest the host gives up on a command whose time is
/// up. Only a guest that hangs as a whole gets this far.
const TIMEOUT_GRACE: Duration = Duration::from_secs(15);

/// How long a killed command may take to be reported.
const KILL_GRACE: Duration = Duration::from_secs(10);

/// How long a guest may take to write everything to its disks.
const SYNC_DEADLINE: Duration = Duration::from_secs(120);

/// A connection to a keeper.
#[derive(Debug)]
pub(crate) struct KeeperConnection {
    reader: FrameReader<OwnedReadHalf>,
    sender: FrameSender,
    writer: JoinHandle<()>,
    last_stream: u32,
    last_question: u64,
}

impl KeeperConnection {
    pub(crate) fn new(stream: UnixStream) -> Self {
        let (read, write) = stream.into_split();
        let (sender, writer) = spawn_writer(write);
        Self { reader: FrameReader::new(read), sender, writer, last_stream: 0, last_question: 0 }
    }

    /// Waits at a keeper's door. An error says that nobody is let in any more, and that
    /// nothing was heard.
    pub(crate) async fn let_in(stream: UnixStream) -> Result<Self, OpError> {
        let mut connection = Self::new(stream);
        match connection.hear().await? {
            FromKeeper::Welcome => Ok(connection),
            _ => Err(keeper_gone()),
        }
    }

    /// Asks a new keeper to start its machine and waits until it runs.
    pub(crate) async fn open(&mut self, request: KeeperRequest) -> Result<(), OpError> {
        let open = ToKeeper::Open(Box::new(request));
        self.sender
            .message(StreamId::EPOCH, &open)
            .map_err(|error| OpError::new(ErrorKind::InvalidRequest, &error))?;
        match self.hear().await? {
            FromKeeper::Ready => Ok(()),
            FromKeeper::Failed { error } | FromKeeper::Lost { error } => Err(error),
            _ => Err(keeper_gone()),
        }
    }

    /// Has the keeper keep the workspace when this connection ends.
    pub(crate) async fn keep(&mut self) -> Result<(), OpError> {
        self.sender.message(StreamId::EPOCH, &ToKeeper::Keep).expect("a short message");
        match self.hear().await? {
            FromKeeper::Kept => Ok(()),
            FromKeeper::Failed { error } | FromKeeper::Lost { error } => Err(error),
            _ => Err(keeper_gone()),
        }
    }

    /// Ends the machine, deletes the workspace, and waits until that is done.
    pub(crate) async fn delete(mut self) -> Result<(), OpError> {
        self.sender.message(StreamId::EPOCH, &ToKeeper::Delete).expect("a short message");
        loop {
            match self.hear().await? {
                FromKeeper::Deleted => return Ok(()),
                FromKeeper::Failed { error } | FromKeeper::Lost { error } => return Err(error),
                _ => {}
            }
        }
    }

    /// Has the keeper write an event into the ledger, soon.
    pub(crate) fn note(&self, event: LedgerEvent) {
        let note = ToKeeper::Note { event: event.bounded() };
        self.sender.message(StreamId::EPOCH, &note).expect("events are bounded");
    }

    /// Ends the connection once everything that was said on it has left.
    pub(crate) async fn close(self) {
        drop(self.sender);
        let _ = self.writer.await;
    }

    /// Has the guest write everything to its disks.
    pub(crate) async fn sync(&mut self) -> Result<(), OpError> {
        let stream = self.open_stream(&HostMessage::Sync)?;
        let answer = async {
            loop {
                let frame = self.reader.next().await.map_err(broken)?;
                if frame.stream == StreamId::EPOCH {
                    match parse(&frame).map_err(broken)? {
                        Some(FromKeeper::Lost { error } | FromKeeper::Failed { error }) => {
                            return Err(error);
                        }
                        Some(
                            FromKeeper::Deleted | FromKeeper::Stopped | FromKeeper::Hibernated,
                        ) => {
                            return Err(keeper_gone());
                        }
                        _ => {}
                    }
                } else if frame.stream == stream {
                    match parse(&frame).map_err(broken)? {
                        Some(GuestMessage::Done) => return Ok(()),
                        Some(GuestMessage::Refused { reason, message }) => {
                            return Err(refused(reason, message));
                        }
                        _ => {}
                    }
                }
            }
        };
        tokio::time::timeout(SYNC_DEADLINE, answer).await.unwrap_or_else(|_| {
            Err(OpError::plain(ErrorKind::TimedOut, "the guest did not write its disks in time"))
        })
    }

    /// Ends the machine, keeps its disks, and waits until that is done.
    pub(crate) async fn stop(mut self) -> Result<(), OpError> {
        self.sender.message(StreamId::EPOCH, &ToKeeper::Stop).expect("a short message");
        loop {
            match self.hear().await? {
                FromKeeper::Stopped => return Ok(()),
                FromKeeper::Failed { error } | FromKeeper::Lost { error } => return Err(error),
                FromKeeper::Deleted => return Err(keeper_gone()),
                _ => {}
            }
        }
    }

    /// Has the machine put aside with its memory, and waits until that is done.
    pub(crate) async fn hibernate(mut self) -> Result<(), OpError> {
        self.last_question += 1;
        let ask = ToKeeper::Ask { id: self.last_question, ask: Hibernate {}.into() };
        self.sender.message(StreamId::EPOCH, &ask).expect("a short message");
        loop {
            match self.hear().await? {
                FromKeeper::Hibernated => return Ok(()),
                FromKeeper::Declined { error, .. }
                | FromKeeper::Failed { error }
                | FromKeeper::Lost { error } => return Err(error),
                FromKeeper::Deleted | FromKeeper::Stopped => return Err(keeper_gone()),
                _ => {}
            }
        }
    }

    /// Asks the keeper something and waits for the answer.
    pub(crate) async fn ask<Q: Question>(&mut self, question: Q) -> Result<Q::Answer, OpError> {
        self.last_question += 1;
        let asked = self.last_question;
        let ask = ToKeeper::Ask { id: asked, ask: question.into() };
        self.sender.message(StreamId::EPOCH, &ask).map_err(|error| {
            OpError::new(ErrorKind::InvalidRequest, &error).during("the request is too long")
        })?;
        loop {
            match self.hear().await? {
                FromKeeper::Answer { id, answer } if id == asked => {
                    return serde_json::from_value(answer).map_err(|error| {
                        OpError::new(ErrorKind::Internal, &error)
                            .during("the workspace's keeper answered something else")
                    });
                }
                FromKeeper::Declined { id, error } if id == asked => return Err(error),
                FromKeeper::Failed { error } | FromKeeper::Lost { error } => return Err(error),
                FromKeeper::Deleted | FromKeeper::Stopped => return Err(keeper_gone()),
                FromKeeper::Hibernated => return Err(hibernated()),
                _ => {}
            }
        }
    }

    async fn hear(&mut self) -> Result<FromKeeper, OpError> {
        loop {
            let frame = self.reader.next().await.map_err(broken)?;
            if frame.stream == StreamId::EPOCH
                && let Some(message) = parse(&frame).map_err(broken)?
            {
                return Ok(message);
            }
        }
    }

    /// Opens a stream of the guest with its first message.
    fn open_stream(&mut self, opening: &HostMessage) -> Result<StreamId, OpError> {
        self.last_stream += 1;
        let stream = StreamId(self.last_stream);
        self.sender.message(stream, opening).map_err(|error| {
            OpError::new(ErrorKind::InvalidRequest, &error)
                .hinted("pass long input through standard input or a file")
        })?;
        Ok(stream)
    }

    /// Runs a command to its end.
    pub(crate) async fn exec(
        &mut self,
        workspace: WorkspaceId,
        exec: Exec,
        call: &mut Call<CommandEvent>,
    ) -> Result<CommandResult, OpError> {
        let timeout = exec.timeout_ms.map(Duration::from_millis);
        let stream = self.open_stream(&HostMessage::Exec(exec))?;
        let mut command = RunningCommand {
            stream,
            workspace,
            sender: self.sender.clone(),
            stdin: StdinState::Open { credit: INITIAL_CREDIT },
            patience: Patience::Running {
                until: timeout.map(|timeout| Instant::now() + timeout + TIMEOUT_GRACE),
            },
            stdout: Received::default(),
            stderr: Received::default(),
        };
        command.follow(&mut self.reader, call).await
    }
}

/// A command that is under way.
struct RunningCommand {
    stream: StreamId,
    workspace: WorkspaceId,
    sender: FrameSender,
    stdin: StdinState,
    patience: Patience,
    stdout: Received,
    stderr: Received,
}

/// What has arrived on a channel.
#[derive(Default)]
struct Received {
    capture: Capture,
    /// Consumed, but not yet granted again.
    owed: u32,
}

/// Whether there is more input to pass on.
#[derive(Clone, Copy)]
enum StdinState {
    Open { credit: u32 },
    Closed,
}

/// How long the command is waited for.
#[derive(Clone, Copy)]
enum Patience {
    Running {
        until: Option<Instant>,
    },
    /// The guest was told to end it.
    Ending {
        until: Instant,
        because: EndReason,
    },
}

#[derive(Clone, Copy)]
enum EndReason {
    Cancelled,
    Overdue,
}

impl EndReason {
    fn error(self) -> OpError {
        match self {
            Self::Cancelled => OpError::plain(ErrorKind::Cancelled, "the command was cancelled"),
            Self::Overdue => OpError::plain(
                ErrorKind::TimedOut,
                "the guest did not end the command when its time was up",
            ),
        }
    }
}

/// What the follower of a command waits for.
enum Happening {
    Frame(Result<Frame, FramingError>),
    Input(std::io::Result<Bytes>),
    Cancelled,
    OutOfPatience,
}

impl RunningCommand {
    async fn follow(
        &mut self,
        reader: &mut FrameReader<OwnedReadHalf>,
        call: &mut Call<CommandEvent>,
    ) -> Result<CommandResult, OpError> {
        loop {
            let input_max = match self.stdin {
                StdinState::Open { credit } => credit.min(INPUT_MAX),
                StdinState::Closed => 0,
            };
            let is_running = matches!(self.patience, Patience::Running { .. });
            let happening = tokio::select! {
                biased;
                () = call.cancel.cancelled(), if is_running => Happening::Cancelled,
                frame = reader.next() => Happening::Frame(frame),
                () = self.patience.ends() => Happening::OutOfPatience,
                input = read_some(&mut call.input, input_max), if input_max > 0 => {
                    Happening::Input(input)
                }
            };
            match happening {
                Happening::Frame(frame) => {
                    if let Some(result) = self.heard(frame.map_err(broken)?, call).await {
                        return result;
                    }
                }
                Happening::Input(bytes) => self.pass_on(bytes),
                Happening::Cancelled => self.cancel(),
                Happening::OutOfPatience => self.lose_patience()?,
            }
        }
    }

    async fn heard(
        &mut self,
        frame: Frame,
        call: &mut Call<CommandEvent>,
    ) -> Option<Result<CommandResult, OpError>> {
        if frame.stream == StreamId::EPOCH {
            return match parse(&frame) {
                Ok(Some(FromKeeper::Lost { error } | FromKeeper::Failed { error })) => {
                    Some(Err(error))
                }
                Ok(Some(FromKeeper::Deleted)) => {
                    Some(Err(OpError::plain(ErrorKind::MachineLost, "the workspace was deleted")))
                }
                Ok(Some(FromKeeper::Stopped)) => {
                    Some(Err(OpError::plain(ErrorKind::MachineLost, "the workspace was stopped")))
                }
                Ok(Some(FromKeeper::Hibernated)) => Some(Err(hibernated())),
                Ok(_) => None,
                Err(error) => Some(Err(broken(error))),
            };
        }
        if frame.stream != self.stream {
            return None;
        }
        match &frame.body {
            Body::Data(channel, bytes) => {
                self.received(*channel, bytes.clone(), call).await;
                None
            }
            Body::Control(_) => match parse::<GuestMessage>(&frame) {
                Ok(Some(message)) => self.told(message, call).await,
                Ok(None) => None,
                Err(error) => Some(Err(broken(error))),
            },
        }
    }

    async fn received(&mut self, channel: Channel, bytes: Bytes, call: &mut Call<CommandEvent>) {
        let length = u32::try_from(bytes.len()).expect("frames are bounded");
        let received = match channel {
            Channel::Stderr => &mut self.stderr,
            Channel::Stdout | Channel::Stdin => &mut self.stdout,
        };
        received.capture.push(&bytes);
        received.owed += length;
        let grant = if received.owed >= GRANT_MIN { std::mem::take(&mut received.owed) } else { 0 };
        let bytes = OutputBytes(bytes.to_vec());
        call.emit(match channel {
            Channel::Stderr => CommandEvent::Stderr { bytes },
            Channel::Stdout | Channel::Stdin => CommandEvent::Stdout { bytes },
        })
        .await;
        // Only now: whoever reads slowly slows the command down.
        if grant > 0 {
            self.say(&HostMessage::Credit { channel, bytes: grant });
        }
    }

    async fn told(
        &mut self,
        message: GuestMessage,
        call: &mut Call<CommandEvent>,
    ) -> Option<Result<CommandResult, OpError>> {
        match message {
            GuestMessage::Started { .. } => {
                call.emit(CommandEvent::Started { workspace: self.workspace }).await;
                None
            }
            GuestMessage::Credit { bytes } => {
                if let StdinState::Open { credit } = &mut self.stdin {
                    *credit = credit.saturating_add(bytes);
                }
                None
            }
            GuestMessage::StdinRefused => {
                self.stdin = StdinState::Closed;
                None
            }
            GuestMessage::Exited { end, duration_ms } => Some(self.ended(end, duration_ms)),
            GuestMessage::Refused { reason, message } => Some(Err(refused(reason, message))),
            GuestMessage::Begun { .. } | GuestMessage::Done => None,
        }
    }

    fn ended(&mut self, end: End, duration_ms: u64) -> Result<CommandResult, OpError> {
        if let Patience::Ending { because, .. } = self.patience {
            return Err(because.error());
        }
        if end == End::Killed {
            return Err(OpError::plain(ErrorKind::Cancelled, "the command was killed"));
        }
        let (exit_code, end) = command_end(end);
        Ok(CommandResult {
            exit_code,
            end,
            duration_ms,
            stdout: std::mem::take(&mut self.stdout.capture).finish(),
            stderr: std::mem::take(&mut self.stderr.capture).finish(),
        })
    }

    fn pass_on(&mut self, input: std::io::Result<Bytes>) {
        let StdinState::Open { credit } = &mut self.stdin else { return };
        match input {
            Ok(bytes) if !bytes.is_empty() => {
                *credit -= u32::try_from(bytes.len()).expect("read at most the credit");
                let body = Body::Data(Channel::Stdin, bytes);
                self.sender.frame(Frame { stream: self.stream, body });
            }
            // Input that can no longer be read has ended as far as the command
            // is concerned.
            _ => {
                self.stdin = StdinState::Closed;
                self.say(&HostMessage::StdinClosed);
            }
        }
    }

    /// The guest gives the command its grace and kills what is left of it.
    fn cancel(&mut self) {
        let grace_ms = u64::try_from(CANCEL_GRACE.as_millis()).unwrap_or(u64::MAX);
        self.say(&HostMessage::Cancel { grace_ms, signal: None });
        let until = Instant::now() + CANCEL_GRACE + KILL_GRACE;
        self.patience = Patience::Ending { until, because: EndReason::Cancelled };
    }

    fn lose_patience(&mut self) -> Result<(), OpError> {
        if let Patience::Ending { because, .. } = self.patience {
            return Err(because.error());
        }
        self.say(&HostMessage::Kill);
        let until = Instant::now() + KILL_GRACE;
        self.patience = Patience::Ending { until, because: EndReason::Overdue };
        Ok(())
    }

    fn say(&self, message: &HostMessage) {
        self.sender.message(self.stream, message).expect("a short message");
    }
}

impl Patience {
    async fn ends(self) {
        match self {
            Self::Running { until: None } => std::future::pending().await,
            Self::Running { until: Some(until) } | Self::Ending { until, .. } => {
                sleep_until(until).await
            }
        }
    }
}

/// Some input, at most `limit` bytes; empty at its end. Cancel safe.
async fn read_some(input: &mut (impl AsyncRead + Unpin), limit: u32) -> std::io::Result<Bytes> {
    let limit = usize::try_from(limit).expect("usize holds 32 bits here");
    let mut buffer = BytesMut::with_capacity(limit);
    let mut limited = input.take(limit as u64);
    limited.read_buf(&mut buffer).await?;
    Ok(buffer.freeze())
}

fn refused(reason: Refusal, message: String) -> OpError {
    let kind = match reason {
        Refusal::CommandNotFound => ErrorKind::CommandNotFound,
        Refusal::NotExecutable => ErrorKind::CommandNotExecutable,
        Refusal::BadWorkingDirectory => ErrorKind::InvalidRequest,
        Refusal::Exhausted => ErrorKind::Exhausted,
        Refusal::NotKept => ErrorKind::NotFound,
        Refusal::LostByRestore => ErrorKind::MachineLost,
        Refusal::Unsupported | Refusal::Failed => ErrorKind::Internal,
    };
    let error = OpError::plain(kind, message);
    match reason {
        Refusal::CommandNotFound => {
            error.hinted("`hotcell env inspect` lists the packages of an environment")
        }
        Refusal::Exhausted => error.hinted("end some of the workspace's processes first"),
        _ => error,
    }
}

/// How a command ended in the contract's words, and its exit code as shells
/// count it.
pub(crate) fn command_end(end: End) -> (u8, CommandEnd) {
    const KILLED: i32 = 9;
    match end {
        End::Code { code } => (code, CommandEnd::Exited),
        End::TimedOut => (ErrorKind::TimedOut.exit_code(), CommandEnd::TimedOut),
        End::Killed => command_end(End::Signal { number: KILLED }),
        End::Signal { number } => (
            u8::try_from(number).unwrap_or(127).saturating_add(128),
            CommandEnd::Signaled { signal: number },
        ),
    }
}

fn hibernated() -> OpError {
    OpError::plain(ErrorKind::MachineLost, "the workspace was hibernated while this was under way")
        .hinted("try again: that wakes it")
}

fn keeper_gone() -> OpError {
    OpError::plain(ErrorKind::MachineLost, "the workspace's keeper ended")
}

fn broken(error: FramingError) -> OpError {
    match error {
        FramingError::Closed => keeper_gone()
            .hinted("the next use of hotcell tidies up after it; its log says more if it failed"),
        error => OpError::new(ErrorKind::MachineLost, &error)
            .during("the connection to the workspace's keeper broke"),
    }
}
