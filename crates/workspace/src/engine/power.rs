//! Stopping machines and booting them again.
//!
//! ```text
//! stop:   guest synced ─▶ keeper told ─▶ machine gone ─▶ `stopped`
//! start:  lock taken ─▶ `starting` ─▶ empty memory ─▶ keeper, boot ─▶ ready, `running`
//! ```
//!
//! **SIGKILL here.** While a start is under way its caller or its keeper holds
//! the lock, and the keeper itself writes down that the machine runs; when it is free and the record still says `starting`, recovery makes
//! that `stopped` again. No step of either removes anything: the disks are what
//! they were.

use std::fs::{self, File};
use std::time::Duration;

use operation::{Call, ErrorKind, Handler, NoEvents, OpError};
use tokio::time::{Instant, sleep};
use workspace_api::id::WorkspaceId;
use workspace_api::state::{Step, WorkspaceState};
use workspace_api::workspace::{Start, Stop, Workspace};

use super::Engine;
use super::creation::identity;
use super::terms::to_shape;
use crate::files::{FileError, try_lock};
use crate::hibernation::Hibernation;
use crate::home::WorkspaceFiles;
use crate::host::HostFacts;
use crate::keeper::Lifetime;
use crate::keeper::asking::AwaitNetwork;
use crate::keeper::client::KeeperConnection;
use crate::keeper::protocol::{KeeperRequest, Unkept};
use crate::keeper::spawn::spawn;
use crate::origin::Origin;
use crate::store::Record;
use crate::template::Template;

/// How long a lock is waited for, and how often it is asked for.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
const LOCK_POLL: Duration = Duration::from_millis(10);

impl Handler<Stop> for Engine {
    async fn handle(&self, stop: Stop, _: &mut Call<NoEvents>) -> Result<Workspace, OpError> {
        let record = self.store.find(&stop.workspace)?;
        match record.state {
            WorkspaceState::Running => {
                let mut connection = self.connect_if_running(&record).await?;
                connection.sync().await?;
                connection.stop().await?;
            }
            WorkspaceState::Hibernated => {
                let files = self.home.workspace(record.id);
                let _lock = take(&files, &record).await?;
                self.store.step(record.id, Step::Stop, Some("its memory was given up"))?;
                Hibernation::of(&files).discard()?;
            }
            _ => return Err(not_now(&record, "stopped")),
        }
        Ok(self.describe(self.store.find(&record.id.into())?))
    }
}

impl Handler<Start> for Engine {
    async fn handle(&self, start: Start, _: &mut Call<NoEvents>) -> Result<Workspace, OpError> {
        let record = self.store.find(&start.workspace)?;
        match record.state {
            WorkspaceState::Stopped => self.boot(&record).await?,
            WorkspaceState::Hibernated => drop(self.awake(&record).await?),
            _ => return Err(not_now(&record, "started")),
        }
        if !record.details.network.is_off() {
            // The first command shall find it.
            let mut connection = self.connect(&self.store.find(&record.id.into())?).await?;
            connection.ask(AwaitNetwork {}).await.map_err(|error| {
                error.during(format!("workspace {} runs, but without a network", record.id))
            })?;
        }
        Ok(self.describe(self.store.find(&record.id.into())?))
    }
}

impl Engine {
    /// Boots a stopped workspace.
    async fn boot(&self, record: &Record) -> Result<(), OpError> {
        let files = self.home.workspace(record.id);
        let lock = take(&files, record).await?;
        self.admit(record.shape)?;
        // What is left of an earlier hibernation counts for nothing (`hibernation`), and
        // must not while the record says `starting`.
        Hibernation::of(&files).discard()?;
        self.store.step(record.id, Step::Start, None)?;
        // From now on its size stays as it is.
        let record = &self.store.find(&record.id.into())?;
        let booted = async {
            let template = self.template_of(record)?;
            let ram = files.ram();
            let bytes = u64::from(record.shape.memory_mib) << 20;
            File::create(&ram)
                .and_then(|file| file.set_len(bytes))
                .map_err(FileError::at("create", &ram))?;
            let origin = Origin::boot(&template, &files, &ram, to_shape(record.shape));
            self.start_keeper(record, &files, lock, origin, &template).await?;
            // The monitor has it open and nobody else needs its name.
            fs::remove_file(&ram).map_err(FileError::at("remove", &ram))?;
            Ok(())
        };
        booted.await.inspect_err(|error: &OpError| {
            let reason = format!("it could not be started: {}", error.message);
            // A keeper that got as far as this has said so itself.
            let _ = self.store.step(record.id, Step::MachineEnded, Some(&reason));
        })
    }

    /// Starts a keeper for a workspace that exists, whose lock it is given, and waits
    /// until its guest accepts commands.
    pub(super) async fn start_keeper(
        &self,
        record: &Record,
        files: &WorkspaceFiles,
        lock: File,
        origin: Origin,
        template: &Template,
    ) -> Result<(), OpError> {
        let facts = HostFacts::load(&self.home, &self.settings)?;
        let monitor = facts.monitor()?.clone();
        let stream =
            spawn(&self.settings.program, lock, &files.keeper_log(), Lifetime::UntilDeleted)
                .map_err(|error| OpError::new(ErrorKind::Unavailable, &error))?;
        let mut connection = KeeperConnection::new(stream);
        connection
            .open(KeeperRequest {
                workspace: record.id,
                home: self.home.path().to_owned(),
                program: self.settings.program.clone(),
                monitor,
                monitor_number: self.store.monitor_number(record.id)?,
                origin,
                identity: identity(record),
                secrets: record.details.secrets.clone(),
                network: record.details.network.clone(),
                operator: self.settings.operator(&record.details.network)?,
                ports: record.details.ports.clone(),
                empty_layer: template.empty_layer(),
                idle: record.details.idle,
                lifetime: Lifetime::UntilDeleted,
                unkept: Unkept::Stays,
            })
            .await
            .map_err(|error| error.during("cannot start the workspace's machine"))
    }
}

/// The lock of a stopped workspace. The keeper that has just stopped it may hold
/// it a moment longer.
pub(super) async fn take(files: &WorkspaceFiles, record: &Record) -> Result<File, OpError> {
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        if let Some(lock) = try_lock(&files.lock())? {
            return Ok(lock);
        }
        if Instant::now() >= deadline {
            let message = format!("workspace {} is in use", record.id);
            return Err(OpError::plain(ErrorKind::Conflict, message)
                .hinted("another process is starting or deleting it"));
        }
        sleep(LOCK_POLL).await;
    }
}

pub(super) fn not_now(record: &Record, done: &str) -> OpError {
    let message = format!("workspace {} is {} and cannot be {done}", record.id, record.state);
    OpError::plain(ErrorKind::Conflict, message).hinted(remedy(record.id, record.state))
}

/// What to do about a workspace whose state does not fit.
pub(super) fn remedy(id: WorkspaceId, state: WorkspaceState) -> String {
    match state {
        WorkspaceState::Stopped => {
            format!("boot it from its disks: `hotcell workspace start {id}`")
        }
        WorkspaceState::Hibernated => {
            format!("`hotcell workspace start {id}` lets it go on where it was")
        }
        _ => format!("`hotcell workspace status {id}` says how it is"),
    }
}
