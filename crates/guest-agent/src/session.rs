//! What the host may say when, and what comes of it.
//!
//! ```text
//!         token, nonce              Begin, applied
//! Silent ──────────────▶ Opened ───────────────────▶ Serving { last stream }
//!                          ▲                            │
//!                          └──────── token, nonce ──────┘
//! ```
//!
//! * A stream id larger than all before opens a stream, whatever it says; a
//!   request that makes no sense spends it.
//! * What arrives for a stream that has ended is ignored, because the host may
//!   have sent it before it knew; a second request on it is refused.
//! * Nonsense on a running command ends that stream: `Refused`, and the tree is
//!   killed. Nonsense below the level of messages silences the epoch.
//! * A new epoch forgets every stream. Processes go on, unheard; those that are
//!   kept under a name wait until the host attaches to them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use guest_protocol::GENERATION;
use guest_protocol::epoch::BOOT_TOKEN;
use guest_protocol::frame::{Body, Channel, Frame, INITIAL_CREDIT, StreamId};
use guest_protocol::message::{self, Begin, Exec, GuestMessage, HostMessage, Refusal};
use tokio::task::AbortHandle;

use crate::chain;
use crate::command;
use crate::containment::Containment;
use crate::incoming::{Heard, Incoming};
use crate::machine::{Machine, MachineError};
use crate::outbox::Outbox;
use crate::port::Receiver;
use crate::reaper::Reaper;
use crate::stream::{KillReason, Stream};

/// Streams that may be open at once.
const STREAMS: usize = 1024;

/// What all tasks of the agent's thread share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) outbox: Outbox,
    pub(crate) reaper: Reaper,
    pub(crate) containment: RefCell<Containment>,
    pub(crate) null: OwnedFd,
    pub(crate) streams: RefCell<BTreeMap<StreamId, Open>>,
    /// Commands that are kept across epochs, by their names.
    pub(crate) kept: RefCell<BTreeMap<String, Rc<Stream>>>,
}

/// A stream whose final answer is still to come.
#[derive(Debug)]
pub(crate) enum Open {
    Command(Rc<Stream>),
    Request(AbortHandle),
}

impl Shared {
    /// The final answer has been given.
    pub(crate) fn close(&self, id: StreamId) {
        self.streams.borrow_mut().remove(&id);
    }

    /// Nobody can attach to the command any more.
    pub(crate) fn forget(&self, stream: &Stream) {
        if let Some(name) = &stream.kept_as {
            self.kept.borrow_mut().remove(name);
        }
    }
}

/// Owns the direction from the host.
#[derive(Debug)]
pub(crate) struct Session {
    shared: Rc<Shared>,
    machine: Arc<dyn Machine>,
    incoming: Incoming,
    standing: Standing,
}

#[derive(Debug, Clone, Copy)]
enum Standing {
    Silent,
    Opened,
    Serving { last: StreamId },
}

/// Whether other tasks should have their turn before the next frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Keep,
    Yield,
}

impl Session {
    pub(crate) fn new(shared: Rc<Shared>, machine: Arc<dyn Machine>) -> Self {
        let incoming = Incoming::new(BOOT_TOKEN);
        Self { shared, machine, incoming, standing: Standing::Silent }
    }

    /// Listens for ever.
    pub(crate) async fn run(mut self, mut receiver: Receiver) -> Infallible {
        let mut chunk = Vec::new();
        loop {
            receiver.receive(&mut chunk).await;
            self.incoming.push(&chunk);
            while let Some(heard) = self.incoming.next() {
                let turn = match heard {
                    Heard::Opened(nonce) => {
                        self.forget_streams();
                        self.shared.outbox.restart(&nonce);
                        self.standing = Standing::Opened;
                        Turn::Keep
                    }
                    Heard::Frame(frame) => self.take(frame),
                };
                if self.shared.outbox.overrun() {
                    self.incoming.go_deaf();
                }
                if turn == Turn::Yield {
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    fn forget_streams(&mut self) {
        for open in std::mem::take(&mut *self.shared.streams.borrow_mut()).into_values() {
            match open {
                Open::Command(stream) if stream.kept_as.is_some() => stream.park(),
                Open::Command(stream) => stream.detached.set(()),
                Open::Request(task) => task.abort(),
            }
        }
    }

    fn take(&mut self, frame: Frame) -> Turn {
        match self.standing {
            Standing::Silent => Turn::Keep,
            Standing::Opened => self.begin(&frame),
            Standing::Serving { last } if frame.stream > last => {
                self.standing = Standing::Serving { last: frame.stream };
                self.open(&frame)
            }
            Standing::Serving { .. } => {
                let stream = match self.shared.streams.borrow().get(&frame.stream) {
                    Some(Open::Command(stream)) => Some(Rc::clone(stream)),
                    Some(Open::Request(_)) | None => None,
                };
                match stream {
                    Some(stream) => self.tell(frame.stream, &stream, frame.body),
                    None => self.tell_ended(&frame),
                }
                Turn::Keep
            }
        }
    }

    fn refuse(&self, stream: StreamId, why: &str) {
        self.shared.outbox.refuse(stream, Refusal::Unsupported, why);
    }

    fn begin(&mut self, frame: &Frame) -> Turn {
        match read(frame) {
            Ok(HostMessage::Begin(begin)) if frame.stream == StreamId::EPOCH => {
                match self.machine.begin(&begin) {
                    Ok(()) => self.begun(&begin),
                    Err(error) => {
                        let why = chain(&error);
                        self.shared.outbox.refuse(frame.stream, Refusal::Failed, &why);
                    }
                }
            }
            _ => self.refuse(frame.stream, "the epoch has not begun"),
        }
        Turn::Keep
    }

    fn begun(&mut self, begin: &Begin) {
        self.standing = Standing::Serving { last: StreamId::EPOCH };
        let begun = GuestMessage::Begun {
            generation: GENERATION,
            agent_version: env!("CARGO_PKG_VERSION").into(),
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        };
        self.shared.outbox.message(StreamId::EPOCH, &begun);
        self.incoming.expect(begin.next_token);
    }

    /// The first frame of a new stream.
    fn open(&mut self, frame: &Frame) -> Turn {
        let id = frame.stream;
        let message = match read(frame) {
            Ok(message) => message,
            Err(why) => {
                self.refuse(id, &why);
                return Turn::Keep;
            }
        };
        if self.shared.streams.borrow().len() >= STREAMS {
            let why = format!("{STREAMS} streams are open");
            self.shared.outbox.refuse(id, Refusal::Exhausted, &why);
            return Turn::Keep;
        }
        match message {
            HostMessage::Exec(exec) => {
                self.exec(id, &exec);
                Turn::Yield
            }
            HostMessage::Attach { name } => {
                self.attach(id, &name);
                Turn::Yield
            }
            HostMessage::MountWorkspace => self.help(id, |machine| machine.mount_workspace()),
            HostMessage::Sync => self.help(id, |machine| machine.sync()),
            _ => {
                self.refuse(id, "this opens no stream");
                Turn::Keep
            }
        }
    }

    fn exec(&self, id: StreamId, exec: &Exec) {
        let kept = &self.shared.kept;
        if exec.keep.as_ref().is_some_and(|name| kept.borrow().contains_key(name)) {
            self.refuse(id, "another command is kept under this name");
            return;
        }
        match command::start(&self.shared, id, exec) {
            Ok(stream) => {
                if let Some(name) = &exec.keep {
                    kept.borrow_mut().insert(name.clone(), Rc::clone(&stream));
                }
                self.shared.streams.borrow_mut().insert(id, Open::Command(stream));
            }
            Err(error) => self.shared.outbox.refuse(id, error.refusal(), &chain(&error)),
        }
    }

    /// Makes a kept command heard again.
    fn attach(&self, id: StreamId, name: &str) {
        let stream = self.shared.kept.borrow().get(name).map(Rc::clone);
        let Some(stream) = stream.filter(|stream| stream.hearing.stream().is_none()) else {
            let why = format!("no command waits under the name `{name}`");
            self.shared.outbox.refuse(id, Refusal::NotKept, &why);
            return;
        };
        let pid = stream.leader.as_raw_pid().unsigned_abs();
        self.shared.outbox.message(id, &GuestMessage::Started { pid });
        self.shared.streams.borrow_mut().insert(id, Open::Command(Rc::clone(&stream)));
        stream.hearing.begin(id);
        stream.stdin.attached(&self.shared.outbox);
        stream.stdout.grant(INITIAL_CREDIT);
        stream.stderr.grant(INITIAL_CREDIT);
    }

    /// Carries out on another thread what may take long.
    fn help(&self, id: StreamId, work: fn(&dyn Machine) -> Result<(), MachineError>) -> Turn {
        let machine = Arc::clone(&self.machine);
        let shared = Rc::clone(&self.shared);
        let task = tokio::task::spawn_local(async move {
            match tokio::task::spawn_blocking(move || work(&*machine)).await {
                Ok(Ok(())) => shared.outbox.message(id, &GuestMessage::Done),
                Ok(Err(error)) => shared.outbox.refuse(id, Refusal::Failed, &chain(&error)),
                Err(error) => shared.outbox.refuse(id, Refusal::Failed, &chain(&error)),
            }
            shared.close(id);
        });
        self.shared.streams.borrow_mut().insert(id, Open::Request(task.abort_handle()));
        Turn::Yield
    }

    /// A frame for a running command.
    fn tell(&self, id: StreamId, stream: &Rc<Stream>, body: Body) {
        let told = match body {
            Body::Data(Channel::Stdin, bytes) => {
                stream.stdin.push(bytes).map_err(|error| error.to_string())
            }
            Body::Data(..) => Err("only standard input goes to the guest".into()),
            Body::Control(payload) => instruct(id, stream, &payload),
        };
        if let Err(why) = told {
            stream.kill(KillReason::Host);
            stream.detached.set(());
            self.shared.close(id);
            self.shared.forget(stream);
            self.refuse(id, &why);
        }
    }

    /// A frame for a stream that has ended, or that only waits for its answer.
    fn tell_ended(&self, frame: &Frame) {
        let late = match (&frame.body, read(frame)) {
            (Body::Data(..), _) => true,
            (_, Ok(message)) => matches!(
                message,
                HostMessage::Credit { .. }
                    | HostMessage::StdinClosed
                    | HostMessage::Resize(_)
                    | HostMessage::Signal { .. }
                    | HostMessage::Cancel { .. }
                    | HostMessage::Kill
            ),
            (_, Err(_)) => false,
        };
        if late {
            return;
        }
        if let Some(Open::Request(task)) = self.shared.streams.borrow_mut().remove(&frame.stream) {
            task.abort();
        }
        self.refuse(frame.stream, "this stream's id is spent");
    }
}

fn read(frame: &Frame) -> Result<HostMessage, String> {
    match &frame.body {
        Body::Control(payload) => {
            message::parse(frame.stream, payload).map_err(|error| chain(&error))
        }
        Body::Data(..) => Err("data opens no stream".into()),
    }
}

fn instruct(id: StreamId, stream: &Stream, payload: &[u8]) -> Result<(), String> {
    match message::parse(id, payload).map_err(|error| chain(&error))? {
        HostMessage::Credit { channel: Channel::Stdout, bytes } => stream.stdout.grant(bytes),
        HostMessage::Credit { channel: Channel::Stderr, bytes } => stream.stderr.grant(bytes),
        HostMessage::Credit { channel: Channel::Stdin, .. } => {
            return Err("the guest grants credit for standard input".into());
        }
        HostMessage::StdinClosed => stream.stdin.close(),
        HostMessage::Resize(size) => stream.resize(size),
        HostMessage::Signal { number } if (1..=64).contains(&number) => stream.signal(number),
        HostMessage::Signal { number } => return Err(format!("{number} is no signal")),
        HostMessage::Cancel { signal: Some(number), .. } if !(1..=64).contains(&number) => {
            return Err(format!("{number} is no signal"));
        }
        HostMessage::Cancel { grace_ms, signal } => {
            stream.cancel(Duration::from_millis(grace_ms), signal.unwrap_or(libc::SIGINT));
        }
        HostMessage::Kill => stream.kill(KillReason::Host),
        _ => return Err("this stream is open already".into()),
    }
    Ok(())
}
