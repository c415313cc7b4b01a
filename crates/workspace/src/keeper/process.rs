//! The keeper's life, from its creator's first word to its end.
//!
//! ```text
//! waiting for Open ──▶ starting the machine ──▶ serving ──▶ ending ──▶ gone
//!        │                     │                   │
//!        └── creator gone ─────┴── Failed ─────────┘
//! ```
//!
//! **SIGKILL here.** Before `Ready` the creator sees its connection break and
//! tidies up itself; afterwards the next use of the product does (`recovery`).
//! Deleting ends the machine, then removes the files, then the record, so a
//! crash in between leaves a record whose lock is free: recovery goes on there.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use guest_protocol::frame::StreamId;
use guest_protocol::message::{GuestMessage, HostMessage};
use machine::{Driver, Machine, MachineSpec, Start};
use operation::{ErrorKind, OpError};
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;
use tokio::time::timeout;

use super::clients::{Clients, Door, FAREWELL_DEADLINE, tell};
use super::concealment::Concealment;
use super::custody::Custody;
use super::hub::{ClientId, Hub};
use super::idle::Idleness;
use super::jobs::JobTable;
use super::ports::PortTable;
use super::protocol::{FromKeeper, KeeperRequest, Lifetime, ToKeeper, Unkept};
use super::scribe::Scribe;
use super::services::{self, ServiceTable};
use super::serving::{Keeper, explain};
use super::spawn;
use crate::framing::{FrameReader, parse, spawn_writer};
use crate::hibernation::Hibernation;
use crate::home::{Home, WorkspaceFiles};
use crate::jobs::Jobs;
use crate::link::GuestLink;
use crate::machines;
use crate::network::gateway::Gateway;
use crate::origin::{Origin, WorkspaceTree};
use crate::saved::{OpenedMemory, SavedMachine};
use crate::services::ServiceFiles;
use crate::socket;
use crate::store::Store;
use crate::trouble::GuestTrouble;
use workspace_api::state::Step;

/// How long a resumed guest may take to answer.
const RESUME_DEADLINE: Duration = Duration::from_secs(30);

/// How long a guest may take to boot; emulated ones take seconds.
const BOOT_DEADLINE: Duration = Duration::from_secs(180);

/// How long a guest may take to mount its workspace drive.
const MOUNT_DEADLINE: Duration = Duration::from_secs(30);

/// Runs a keeper on the calling thread, which must be the process's main
/// thread: the machine ends when it does.
#[must_use]
pub fn run() -> ExitCode {
    if spawn::is_only_to_start_one() {
        return match spawn::start_apart() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!(%error, "cannot start the keeper");
                ExitCode::FAILURE
            }
        };
    }
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
    match LocalSet::new().block_on(&runtime, keep()) {
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
    keeper.creator = keeper.clients.add(reader, sender, writer, Door::Outside);
    let ending = keeper.serve().await;
    tracing::info!(?ending, "ending");
    keeper.end(ending).await;
    Ok(())
}

/// Starts the machine and brings its guest to the point where it accepts
/// commands.
async fn start(request: KeeperRequest) -> Result<Keeper, OpError> {
    let home = Home::open(&request.home)?;
    let files = home.workspace(request.workspace);
    let listener = match request.lifetime {
        Lifetime::WithCreator => None,
        Lifetime::UntilDeleted => {
            Some(socket::listen_async(files.directory(), WorkspaceFiles::SOCKET)?)
        }
    };
    let concealment = Concealment::new(&home, request.workspace);
    if !request.secrets.is_empty() {
        // Nothing could be hidden without them, so nothing is shown.
        concealment.refresh().map_err(|error| {
            error.during("the secrets that this workspace was given cannot be read to hide them")
        })?;
        if !concealment.hides_something() {
            let message = "the secrets that this workspace was given are not on record";
            return Err(OpError::plain(ErrorKind::Internal, message));
        }
    }
    let scribe = Scribe::start(&home, request.workspace, concealment.clone());
    files.disks().tidy()?;
    let (machine, link) =
        bring_up(&request, &files).await.map_err(|error| concealment.error(error))?;
    let terminate = signal(SignalKind::terminate())
        .map_err(|error| OpError::new(ErrorKind::Internal, &error))?;
    let clients = Clients::new(listener);
    let jobs = Jobs::at(files.jobs());
    let network = Gateway::new(
        clients.inside().clone(),
        scribe.clone(),
        request.network.clone(),
        request.operator.clone(),
    );
    let jobs = JobTable::new(jobs, clients.inside().clone(), scribe.clone(), concealment.clone());
    let ports = PortTable::new(clients.inside().clone(), scribe.clone());
    ports.restore(&request.ports);
    let services = ServiceTable::new(services::Parts {
        files: ServiceFiles::at(files.services()),
        job_files: Jobs::at(files.jobs()),
        jobs: Rc::clone(&jobs),
        ports: Rc::clone(&ports),
        inside: clients.inside().clone(),
        scribe: scribe.clone(),
        concealment: concealment.clone(),
    });
    if let Some(saved) = saved_machine(&request.origin)? {
        network.set_names(saved.manifest.names);
        jobs.go_on(&saved.manifest.jobs);
        services.go_on(saved.manifest.services, &saved.manifest.jobs);
    }
    let lifetime = match request.unkept {
        Unkept::Vanishes => Lifetime::WithCreator,
        Unkept::Stays => {
            Store::open(&home)?.step(request.workspace, Step::Ready, None)?;
            // What it went on from is out of date from now on; the machine has it open.
            if let Err(error) = Hibernation::of(&files).discard() {
                tracing::warn!(%error, "memory that is out of date stays");
            }
            request.lifetime
        }
    };
    let idleness = Idleness::new(request.idle);
    Ok(Keeper {
        home,
        files,
        request,
        lifetime,
        machine: Custody::Here(machine),
        link,
        hub: Hub::starting_after(MOUNT_STREAM, concealment.veil()),
        clients,
        jobs,
        network,
        ports,
        services,
        scribe,
        idleness,
        concealment,
        creator: ClientId::default(),
        errands: VecDeque::new(),
        saving: None,
        halted: false,
        secrets_to_come: Vec::new(),
        compacting: Rc::default(),
        terminate,
    })
}

/// Starts the machine that a request describes and opens its next epoch.
pub(super) async fn bring_up(
    request: &KeeperRequest,
    files: &WorkspaceFiles,
) -> Result<(Box<dyn Machine>, GuestLink), OpError> {
    let driver =
        machines::driver(&request.program, request.monitor.clone(), request.monitor_number);
    let layers = files.disks();
    let origin = &request.origin;
    let mut spec = MachineSpec {
        disks: layers.drives(&layers.chains()?, &origin.below),
        ..origin.machine.clone()
    };
    // Until the monitor has it open.
    let opened = opened_memory(request).await?;
    if let Some(OpenedMemory { ram, state }) = &opened {
        spec.ram.path = ram.path();
        spec.start = Start::Resume { state: state.path() };
    }
    let mut machine = driver
        .start(&spec)
        .await
        .map_err(|error| GuestTrouble::Start(error).during_start(&files.console()))?;
    tracing::debug!(monitor = machine.monitor_pid(), "the machine runs");
    let agent = machine.take_agent().expect("a machine that was just started");
    let connected = tokio::select! {
        connected = connect(agent, request) => connected,
        notice = machine.notice() => Err(GuestTrouble::Notice(notice)),
    };
    match connected {
        Ok(link) => Ok((machine, link)),
        Err(trouble) => {
            let trouble = explain(machine.notice(), trouble).await;
            machine.stop().await;
            Err(trouble.during_start(&files.console()))
        }
    }
}

/// The memory of the saved machine that a machine is, if that is sealed.
async fn opened_memory(request: &KeeperRequest) -> Result<Option<OpenedMemory>, OpError> {
    let Some(saved) = saved_machine(&request.origin)?.filter(SavedMachine::is_sealed) else {
        return Ok(None);
    };
    let home = Home::open(&request.home)?;
    let opened = tokio::task::spawn_blocking(move || saved.opened(&home)).await;
    Ok(opened.map_err(|error| OpError::new(ErrorKind::Internal, &error))??)
}

/// The saved machine that a machine is, if it is one.
pub(super) fn saved_machine(origin: &Origin) -> Result<Option<SavedMachine>, OpError> {
    let Some(directory) = &origin.saved else { return Ok(None) };
    let vanished = || OpError::plain(ErrorKind::NotFound, "the saved machine is gone");
    SavedMachine::open(directory)?.ok_or_else(vanished).map(Some)
}

/// The stream of the request that mounts the workspace drive.
pub(super) const MOUNT_STREAM: StreamId = StreamId(1);

async fn connect(agent: UnixStream, request: &KeeperRequest) -> Result<GuestLink, GuestTrouble> {
    let deadline = match request.origin.machine.start {
        Start::Resume { .. } => RESUME_DEADLINE,
        Start::Boot => BOOT_DEADLINE,
    };
    let mut link =
        GuestLink::open(agent, &request.origin.token, &request.identity, deadline).await?;
    tracing::debug!("the epoch has begun");
    if request.origin.tree != WorkspaceTree::OnDrive {
        return Ok(link);
    }
    match link.request(MOUNT_STREAM, &HostMessage::MountWorkspace, MOUNT_DEADLINE).await? {
        GuestMessage::Refused { message, .. } => Err(GuestTrouble::Mount(message)),
        _ => Ok(link),
    }
}
