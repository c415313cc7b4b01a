//! A host's end of the protocol, and an agent on a thread of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails by a panic")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use guest_agent::containment::{Cgroups, Containment};
use guest_agent::machine::{Machine, MachineError};
use guest_agent::{Reaping, Settings, serve};
use guest_protocol::GENERATION;
use guest_protocol::epoch::{self, BOOT_TOKEN, Nonce, Skip, Token};
use guest_protocol::frame::{self, Body, Channel, Frame, INITIAL_CREDIT, StreamId};
use guest_protocol::message::{self, Begin, End, Exec, GuestMessage, HostMessage, Refusal, Stdin};

/// Longer than anything takes here; a test that hangs fails by it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Accepts every identity but one, and has no drive.
#[derive(Debug)]
struct Pretend;

impl Machine for Pretend {
    fn begin(&self, begin: &Begin) -> Result<(), MachineError> {
        match begin.host_name.as_str() {
            "bad name" => Err(MachineError::HostName(begin.host_name.clone())),
            _ => Ok(()),
        }
    }

    fn mount_workspace(&self) -> Result<(), MachineError> {
        Err(MachineError::OpenDrive(std::io::ErrorKind::NotFound.into()))
    }

    fn sync(&self) -> Result<(), MachineError> {
        thread::sleep(Duration::from_millis(300));
        Ok(())
    }
}

/// How an agent of a test holds processes together.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Hold {
    Cgroups,
    ProcessGroups,
}

impl Hold {
    /// What can be tested here: cgroups need a writable hierarchy.
    pub(crate) fn available() -> Vec<Self> {
        let mut all = vec![Self::ProcessGroups];
        if Self::Cgroups.containment().is_some() {
            all.push(Self::Cgroups);
        }
        all
    }

    fn containment(self) -> Option<Containment> {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        match self {
            Self::ProcessGroups => Some(Containment::ProcessGroups),
            Self::Cgroups => ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].iter().find_map(|root| {
                let root = Path::new(root);
                root.join("cgroup.controllers").exists().then_some(())?;
                remove_old_groups(root);
                let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let name = format!("hotcell-test-{}-{number}", std::process::id());
                Some(Containment::Cgroups(Cgroups::at(&root.join(name)).ok()?))
            }),
        }
    }
}

/// An agent serves until its process ends, so its groups outlive it.
fn remove_old_groups(root: &Path) {
    let groups = std::fs::read_dir(root).into_iter().flatten().flatten();
    for group in groups {
        let name = group.file_name().to_string_lossy().into_owned();
        let Some(rest) = name.strip_prefix("hotcell-test-") else { continue };
        let owner = rest.split('-').next().unwrap_or_default();
        if Path::new("/proc").join(owner).exists() {
            continue;
        }
        for child in std::fs::read_dir(group.path()).into_iter().flatten().flatten() {
            let _ = std::fs::remove_dir(child.path());
        }
        let _ = std::fs::remove_dir(group.path());
    }
}

/// Everything that a command left behind.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    /// What the guest said beside data, the final answer last.
    pub(crate) messages: Vec<GuestMessage>,
}

impl Outcome {
    pub(crate) fn end(&self) -> End {
        match self.messages.last() {
            Some(GuestMessage::Exited { end, .. }) => *end,
            other => panic!("not the end of a command: {other:?}"),
        }
    }

    pub(crate) fn refusal(&self) -> Refusal {
        match self.messages.last() {
            Some(GuestMessage::Refused { reason, .. }) => *reason,
            other => panic!("not a refusal: {other:?}"),
        }
    }
}

pub(crate) struct Client {
    socket: UnixStream,
    received: BytesMut,
    pub(crate) token: Token,
    next: u32,
    /// Frames that arrived while another stream was waited for.
    pub(crate) early: BTreeMap<StreamId, Vec<Body>>,
    /// What the guest may still be sent, by stream.
    windows: BTreeMap<StreamId, usize>,
}

impl Client {
    pub(crate) fn silent(hold: Hold) -> Self {
        let (socket, port) = UnixStream::pair().unwrap();
        port.set_nonblocking(true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let containment = hold.containment().expect("checked before");
        // It serves for ever; the thread ends with the process of the tests.
        thread::spawn(move || {
            let machine = Arc::new(Pretend);
            let settings = Settings { machine, containment, reaping: Reaping::Commands };
            serve(OwnedFd::from(port), settings)
        });
        Self {
            socket,
            received: BytesMut::new(),
            token: BOOT_TOKEN,
            next: 1,
            early: BTreeMap::new(),
            windows: BTreeMap::new(),
        }
    }

    pub(crate) fn new(hold: Hold) -> Self {
        let mut client = Self::silent(hold);
        client.open_epoch(1);
        client
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// Opens an epoch; `salt` tells its nonce and its next token from others.
    pub(crate) fn open_epoch(&mut self, salt: u8) {
        self.knock(&[salt; 32]);
        let next_token = [salt.wrapping_add(100); 32];
        self.begin("demo", next_token);
        let begun = self.receive();
        assert!(matches!(begun.1, Body::Control(_)), "{begun:?}");
        let message: GuestMessage = match &begun.1 {
            Body::Control(payload) => message::parse(begun.0, payload).unwrap(),
            Body::Data(..) => unreachable!(),
        };
        assert!(
            matches!(message, GuestMessage::Begun { generation: GENERATION, .. }),
            "{message:?}"
        );
        self.token = next_token;
    }

    /// Token and nonce, up to the guest's answer.
    pub(crate) fn knock(&mut self, nonce: &Nonce) {
        let opening = epoch::opening(&self.token, nonce);
        self.raw(&opening);
        self.early.clear();
        self.windows.clear();
        self.next = 1;
        while epoch::skip_past(&mut self.received, nonce) == Skip::Missing {
            self.fill();
        }
    }

    pub(crate) fn begin(&mut self, host_name: &str, next_token: Token) {
        let begin = Begin {
            generation: GENERATION,
            unix_time_ns: 1,
            host_name: host_name.into(),
            machine_id: "0".repeat(32),
            entropy: [0; 32],
            next_token,
        };
        self.say(StreamId::EPOCH, &HostMessage::Begin(begin));
    }

    fn fill(&mut self) {
        let mut chunk = [0; 65536];
        let read = self.socket.read(&mut chunk).expect("the guest answers in time");
        assert!(read > 0, "the agent is gone");
        self.received.extend_from_slice(&chunk[..read]);
    }

    pub(crate) fn receive(&mut self) -> (StreamId, Body) {
        loop {
            if let Some(frame) = frame::decode(&mut self.received).unwrap() {
                return (frame.stream, frame.body);
            }
            self.fill();
        }
    }

    pub(crate) fn say(&mut self, id: StreamId, message: &HostMessage) {
        let frame = message::control(id, message).unwrap();
        self.send(&frame);
    }

    pub(crate) fn send(&mut self, frame: &Frame) {
        let mut bytes = BytesMut::new();
        frame::encode(frame, &mut bytes);
        self.raw(&bytes);
    }

    pub(crate) fn data(&mut self, id: StreamId, bytes: &[u8]) {
        let body = Body::Data(Channel::Stdin, Bytes::copy_from_slice(bytes));
        self.send(&Frame { stream: id, body });
    }

    pub(crate) fn next_id(&mut self) -> StreamId {
        self.next += 1;
        StreamId(self.next - 1)
    }

    pub(crate) fn request(&mut self, message: &HostMessage) -> StreamId {
        let id = self.next_id();
        self.say(id, message);
        self.windows.insert(id, INITIAL_CREDIT as usize);
        id
    }

    pub(crate) fn start(&mut self, exec: Exec) -> StreamId {
        self.request(&HostMessage::Exec(exec))
    }

    pub(crate) fn run(&mut self, exec: Exec) -> Outcome {
        let id = self.start(exec);
        self.finish(id)
    }

    /// One more thing on this stream.
    pub(crate) fn on(&mut self, id: StreamId) -> Body {
        if let Some(early) = self.early.get_mut(&id)
            && !early.is_empty()
        {
            return early.remove(0);
        }
        loop {
            let (from, body) = self.receive();
            if let Body::Control(payload) = &body
                && let Ok(GuestMessage::Credit { bytes }) = message::parse(from, payload)
            {
                *self.windows.entry(from).or_default() += bytes as usize;
            }
            if from == id {
                return body;
            }
            self.early.entry(from).or_default().push(body);
        }
    }

    pub(crate) fn finish(&mut self, id: StreamId) -> Outcome {
        self.feed(id, &[])
    }

    /// Sends `input`, as the guest lets it, and takes in everything up to the end.
    pub(crate) fn feed(&mut self, id: StreamId, mut input: &[u8]) -> Outcome {
        let feeding = !input.is_empty();
        let mut outcome = Outcome::default();
        loop {
            let window = self.windows.entry(id).or_default();
            let size = input.len().min(*window).min(10_000);
            if size > 0 {
                *window -= size;
                let (now, later) = input.split_at(size);
                self.data(id, now);
                input = later;
                if input.is_empty() && feeding {
                    self.say(id, &HostMessage::StdinClosed);
                }
                if *self.windows.entry(id).or_default() > 0 && !input.is_empty() {
                    continue;
                }
            }
            match self.on(id) {
                Body::Data(channel, bytes) => {
                    match channel {
                        Channel::Stdout => outcome.stdout.extend_from_slice(&bytes),
                        _ => outcome.stderr.extend_from_slice(&bytes),
                    }
                    let bytes = u32::try_from(bytes.len()).unwrap();
                    self.say(id, &HostMessage::Credit { channel, bytes });
                }
                Body::Control(payload) => {
                    let message: GuestMessage = message::parse(id, &payload).unwrap();
                    let last = matches!(
                        message,
                        GuestMessage::Exited { .. }
                            | GuestMessage::Done
                            | GuestMessage::Refused { .. }
                    );
                    outcome.messages.push(message);
                    if last {
                        return outcome;
                    }
                }
            }
        }
    }
}

pub(crate) fn command(argv: &[&str]) -> Exec {
    Exec {
        argv: argv.iter().map(ToString::to_string).collect(),
        cwd: "/".into(),
        ..Exec::default()
    }
}

pub(crate) fn shell(script: &str) -> Exec {
    command(&["sh", "-c", script])
}

pub(crate) fn reading(exec: Exec) -> Exec {
    Exec { stdin: Stdin::Stream, ..exec }
}

pub(crate) fn within(milliseconds: u64, exec: Exec) -> Exec {
    Exec { timeout_ms: Some(milliseconds), ..exec }
}
