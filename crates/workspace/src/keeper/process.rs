//! The keeper's life: one loop that owns all state.
//!
//! ```text
//! waiting for Open ──▶ starting the machine ──▶ serving ──▶ ending ──▶ gone
//!        │                     │                   │
//!        └── creator gone ─────┴── Failed ─────────┘
//! ```
//!
//! While serving, five things can happen, one at a time: a frame of the guest,
//! a frame of a client, a new client, a notice of the machine, a signal. None
//! of them is waited for inside the handling of another.
//!
//! **SIGKILL here.** Before `Ready` the creator sees its connection break and
//! tidies up itself; afterwards the next use of the product does (`recovery`).
//! Deleting ends the machine, then removes the files, then the record, so a
//! crash in between leaves a record whose lock is free: recovery goes on there.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Duration;

use guest_protocol::frame::{Frame, StreamId};
use guest_protocol::message::{GuestMessage, HostMessage};
use machine::{Driver, Machine};
use operation::{ErrorKind, OpError};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::hub::{ClientId, Hub, Routed};
use super::protocol::{FromKeeper, KeeperRequest, Lifetime, ToKeeper, WorkspaceTree};
use crate::framing::{FrameReader, FrameSender, FramingError, parse, spawn_writer};
use crate::home::{Home, WorkspaceFiles};
use crate::link::GuestLink;
use crate::machines;
use crate::socket;
use crate::store::{Store, StoreError};
use crate::trouble::{GuestTrouble, machine_ended};
use workspace_api::state::Step;

/// How long a resumed guest may take to answer.
const RESUME_DEADLINE: Duration = Duration::from_secs(30);

/// How long a guest may take to mount its workspace drive.
const MOUNT_DEADLINE: Duration = Duration::from_secs(30);

/// How long the last messages may take to reach clients that do not read.
const FAREWELL_DEADLINE: Duration = Duration::from_secs(2);

/// How long a monitor whose stream broke may take to be seen dead.
const NOTICE_DEADLINE: Duration = Duration::from_secs(2);

/// How many frames of clients may wait for the loop.
const CLIENT_QUEUE: usize = 64;

/// Runs a keeper on the calling thread, which must be the process's main
/// thread: the machine ends when it does.
#[must_use]
pub fn run() -> ExitCode {
    // The keeper is nobody's foreground job; a failure only means it already
    // leads a session.
    let _ = rustix::process::setsid();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start the runtime");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(keep()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the keeper failed");
            ExitCode::FAILURE
        }
    }
}

async fn keep() -> io::Result<()> {
    let creator = io::stdin().as_fd().try_clone_to_owned()?;
    let creator = std::os::unix::net::UnixStream::from(creator);
    creator.set_nonblocking(true)?;
    let (read, write) = UnixStream::from_std(creator)?.into_split();
    let mut reader = FrameReader::new(read);
    let (sender, writer) = spawn_writer(write);

    let opened = reader.next().await.and_then(|frame| parse::<ToKeeper>(&frame));
    let Ok(Some(ToKeeper::Open(request))) = opened else {
        return Err(io::Error::other("the creator did not say what to keep"));
    };
    tracing::debug!(workspace = %request.workspace, "starting the machine");
    let mut keeper = match start(*request).await {
        Ok(keeper) => keeper,
        Err(error) => {
            tell(&sender, &FromKeeper::Failed { error });
            drop(sender);
            let _ = timeout(FAREWELL_DEADLINE, writer).await;
            return Ok(());
        }
    };
    tracing::debug!("the guest is ready");
    tell(&sender, &FromKeeper::Ready);
    keeper.add_client(reader, sender, writer);
    let ending = keeper.serve().await;
    tracing::info!(?ending, "ending");
    keeper.end(ending).await;
    Ok(())
}

/// Tells a client something on stream 0.
fn tell(sender: &FrameSender, message: &FromKeeper) {
    if let Err(too_long) = sender.message(StreamId::EPOCH, message) {
        tracing::error!(%too_long, "a message to a client was dropped");
    }
}

/// Starts the machine and brings its guest to the point where it accepts
/// commands.
async fn start(request: KeeperRequest) -> Result<Keeper, OpError> {
    let home = Home::open(&request.home)?;
    let files = home.workspace(request.workspace);
    let listener = match request.lifetime {
        Lifetime::WithCreator => None,
        Lifetime::UntilDeleted => Some(socket::listen(files.directory(), WorkspaceFiles::SOCKET)?),
    };
    let driver =
        machines::driver(&request.program, request.monitor.clone(), request.monitor_number);
    let mut machine = driver
        .start(&request.machine)
        .await
        .map_err(|error| GuestTrouble::Start(error).during_start(&files.console()))?;
    tracing::debug!(monitor = machine.monitor_pid(), "the machine runs");
    let agent = machine.take_agent().expect("a machine that was just started");
    let connected = tokio::select! {
        connected = connect(agent, &request) => connected,
        notice = machine.notice() => Err(GuestTrouble::Notice(notice)),
    };
    let link = match connected {
        Ok(link) => link,
        Err(trouble) => {
            let trouble = explain(&mut *machine, trouble).await;
            machine.stop().await;
            return Err(trouble.during_start(&files.console()));
        }
    };
    let terminate = signal(SignalKind::terminate())
        .map_err(|error| OpError::new(ErrorKind::Internal, &error))?;
    let (client_sender, client_frames) = mpsc::channel(CLIENT_QUEUE);
    Ok(Keeper {
        home,
        files,
        request,
        lifetime: Lifetime::WithCreator,
        machine,
        link,
        listener,
        hub: Hub::starting_after(MOUNT_STREAM),
        clients: HashMap::new(),
        next_client: 0,
        creator: ClientId(0),
        client_sender,
        client_frames,
        terminate,
    })
}

/// The stream of the request that mounts the workspace drive.
const MOUNT_STREAM: StreamId = StreamId(1);

async fn connect(agent: UnixStream, request: &KeeperRequest) -> Result<GuestLink, GuestTrouble> {
    let mut link =
        GuestLink::open(agent, &request.token, &request.identity, RESUME_DEADLINE).await?;
    tracing::debug!("the epoch has begun");
    if request.tree == WorkspaceTree::OnRoot {
        return Ok(link);
    }
    match link.request(MOUNT_STREAM, &HostMessage::MountWorkspace, MOUNT_DEADLINE).await? {
        GuestMessage::Refused { message, .. } => Err(GuestTrouble::Mount(message)),
        _ => Ok(link),
    }
}

/// A monitor that ends closes the guest's stream as well, and what is seen first
/// is a matter of luck: its notice says more.
async fn explain(machine: &mut dyn Machine, trouble: GuestTrouble) -> GuestTrouble {
    if !trouble.is_broken_stream() {
        return trouble;
    }
    match timeout(NOTICE_DEADLINE, machine.notice()).await {
        Ok(notice) => GuestTrouble::Notice(notice),
        Err(_) => trouble,
    }
}

type ClientFrame = (ClientId, Result<Frame, FramingError>);

struct Client {
    sender: FrameSender,
    writer: JoinHandle<()>,
    reader: JoinHandle<()>,
}

struct Keeper {
    home: Home,
    files: WorkspaceFiles,
    request: KeeperRequest,
    /// Whoever is killed while creating a workspace leaves none behind, so it
    /// lives with its creator until that one says to keep it.
    lifetime: Lifetime,
    machine: Box<dyn Machine>,
    link: GuestLink,
    listener: Option<UnixListener>,
    hub: Hub,
    clients: HashMap<ClientId, Client>,
    next_client: u64,
    creator: ClientId,
    client_sender: mpsc::Sender<ClientFrame>,
    client_frames: mpsc::Receiver<ClientFrame>,
    terminate: Signal,
}

/// Why a keeper ends.
#[derive(Debug)]
enum Ending {
    /// Somebody deleted the workspace.
    Deleted,
    /// The workspace lived with its creator, who is gone.
    CreatorGone,
    /// Somebody ended this process politely.
    Terminated,
    /// The machine ended by itself or cannot be trusted any more.
    Lost(GuestTrouble),
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("workspace", &self.request.workspace).finish_non_exhaustive()
    }
}

impl Keeper {
    fn add_client(
        &mut self,
        mut reader: FrameReader<tokio::net::unix::OwnedReadHalf>,
        sender: FrameSender,
        writer: JoinHandle<()>,
    ) {
        let id = ClientId(self.next_client);
        self.next_client += 1;
        let frames = self.client_sender.clone();
        let reader = tokio::spawn(async move {
            loop {
                let frame = reader.next().await;
                let is_last = frame.is_err();
                if frames.send((id, frame)).await.is_err() || is_last {
                    return;
                }
            }
        });
        self.clients.insert(id, Client { sender, writer, reader });
    }

    async fn serve(&mut self) -> Ending {
        loop {
            let ending = tokio::select! {
                frame = self.link.reader.next() => self.guest_says(frame),
                Some((client, frame)) = self.client_frames.recv() => self.client_says(client, frame),
                connection = accept(self.listener.as_ref()) => {
                    let (read, write) = connection.into_split();
                    let (sender, writer) = spawn_writer(write);
                    self.add_client(FrameReader::new(read), sender, writer);
                    None
                }
                notice = self.machine.notice() => Some(Ending::Lost(GuestTrouble::Notice(notice))),
                _ = self.terminate.recv() => Some(Ending::Terminated),
            };
            if let Some(ending) = ending {
                return ending;
            }
        }
    }

    fn guest_says(&mut self, frame: Result<Frame, FramingError>) -> Option<Ending> {
        let routed = match frame {
            Ok(frame) => self.hub.guest_says(frame).map_err(GuestTrouble::Fault),
            Err(error) => Err(GuestTrouble::Framing(error)),
        };
        match routed {
            Ok(routed) => {
                self.send(routed);
                None
            }
            Err(trouble) => Some(Ending::Lost(trouble)),
        }
    }

    fn client_says(
        &mut self,
        client: ClientId,
        frame: Result<Frame, FramingError>,
    ) -> Option<Ending> {
        let Ok(frame) = frame else { return self.client_gone(client) };
        if frame.stream == StreamId::EPOCH {
            return match parse::<ToKeeper>(&frame) {
                Ok(Some(ToKeeper::Delete)) => Some(Ending::Deleted),
                Ok(Some(ToKeeper::Keep)) => {
                    self.lifetime = self.request.lifetime;
                    if let Some(client) = self.clients.get(&client) {
                        tell(&client.sender, &FromKeeper::Kept);
                    }
                    None
                }
                _ => self.client_gone(client),
            };
        }
        match self.hub.client_says(client, frame) {
            Ok(routed) => {
                self.send(routed);
                None
            }
            Err(fault) => {
                tracing::warn!(%fault, "a client is dropped");
                self.client_gone(client)
            }
        }
    }

    fn client_gone(&mut self, client: ClientId) -> Option<Ending> {
        if let Some(client) = self.clients.remove(&client) {
            client.reader.abort();
        }
        let farewell = self.hub.client_gone(client);
        self.send(farewell);
        let lives_with_creator = self.lifetime == Lifetime::WithCreator;
        (lives_with_creator && client == self.creator).then_some(Ending::CreatorGone)
    }

    fn send(&self, routed: impl IntoIterator<Item = Routed>) {
        for routed in routed {
            match routed {
                Routed::ToGuest(frame) => self.link.sender.frame(frame),
                Routed::ToClient(client, frame) => {
                    if let Some(client) = self.clients.get(&client) {
                        client.sender.frame(frame);
                    }
                }
            }
        }
    }

    /// Ends the machine, settles the workspace's record, and says farewell.
    async fn end(mut self, ending: Ending) {
        let lost = match ending {
            Ending::Lost(trouble) => {
                let trouble = explain(&mut *self.machine, trouble).await;
                Some(machine_ended(&trouble, &self.files.console()))
            }
            Ending::Deleted | Ending::CreatorGone => None,
            Ending::Terminated => Some(OpError::plain(
                ErrorKind::MachineLost,
                "the workspace's keeper was told to end",
            )),
        };
        let exit = self.machine.stop().await;
        let deleted = lost.is_none() || self.lifetime == Lifetime::WithCreator;
        let reason = lost.as_ref().map_or("deleted", |error| &error.message).to_owned();
        let settled = self.settle(deleted, &reason);
        if let Err(error) = &settled {
            tracing::error!(%error, %exit, "the workspace's record could not be settled");
        }
        let farewell = match (lost, settled) {
            (Some(error), _) => FromKeeper::Lost { error },
            (None, Ok(())) => FromKeeper::Deleted,
            (None, Err(error)) => FromKeeper::Failed { error },
        };
        for client in self.clients.into_values() {
            client.reader.abort();
            tell(&client.sender, &farewell);
            drop(client.sender);
            let _ = timeout(FAREWELL_DEADLINE, client.writer).await;
        }
    }

    fn settle(&self, deleted: bool, reason: &str) -> Result<(), OpError> {
        let store = Store::open(&self.home)?;
        let step = if deleted {
            self.files.delete()?;
            Step::Delete
        } else {
            Step::MachineEnded
        };
        match store.step(self.request.workspace, step, Some(reason)) {
            // Whoever found the files gone has settled the record as well.
            Ok(_) | Err(StoreError::NotFound(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// The next client; for ever pending without a listener.
async fn accept(listener: Option<&UnixListener>) -> UnixStream {
    let Some(listener) = listener else { return std::future::pending().await };
    loop {
        match listener.accept().await {
            Ok((connection, _)) => return connection,
            Err(error) => {
                tracing::warn!(%error, "a client could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
