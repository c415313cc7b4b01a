//! Creating a workspace: from a warm template to a machine that accepts
//! commands.
//!
//! Or from a saved machine, when a workspace is forked (`forking`).
//!
//! ```text
//! seed ─▶ lock taken ─▶ record `creating` ─▶ layers ─▶ keeper ─▶ ready ─▶ `running` ─▶ kept
//! ```
//!
//! **SIGKILL here.** The seed's image is whole or not there. Then there is a lock; when it is free and
//! the record is still `creating`, recovery removes files and record. Once there is
//! a keeper, it deletes the workspace when its creator is gone before saying that
//! it shall be kept.

use std::fs::File;
use std::path::PathBuf;
use std::time::Instant;

use jiff::Timestamp;
use machine::MonitorInfo;
use operation::{Call, ErrorKind, OpError};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use workspace_api::digest::Digest;
use workspace_api::id::{WorkspaceId, WorkspaceName};
use workspace_api::idle::IdlePolicy;
use workspace_api::label::Label;
use workspace_api::ledger::LedgerEvent;
use workspace_api::network::NetworkPolicy;
use workspace_api::prepare::{Task, WorkProgress};
use workspace_api::secret::SecretName;
use workspace_api::seed::Seed;
use workspace_api::spec::{Accelerator, EnvironmentRef, Shape};
use workspace_api::state::{Step, WorkspaceState};

use super::naming::relabel;
use super::progress::{finished, telling, under_way};
use super::readiness::WarmStart;
use super::terms::milliseconds;
use super::{Engine, follow};
use crate::disks::NewLayers;
use crate::home::WorkspaceFiles;
use crate::keeper::Lifetime;
use crate::keeper::asking::AwaitNetwork;
use crate::keeper::client::KeeperConnection;
use crate::keeper::protocol::{KeeperRequest, Unkept};
use crate::keeper::spawn::spawn;
use crate::link::Identity;
use crate::origin::Origin;
use crate::saved::SavedMachine;
use crate::secrets::{SecretValue, Vault};
use crate::seeds::{self, Seeded};
use crate::store::{Details, Record};
use crate::template::Template;

/// What to create.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) environment: EnvironmentRef,
    pub(super) shape: Shape,
    pub(super) name: Option<WorkspaceName>,
    pub(super) labels: Vec<Label>,
    pub(super) seed: Seed,
    pub(super) network: NetworkPolicy,
    pub(super) idle: IdlePolicy,
    pub(super) lifetime: Lifetime,
}

/// A workspace that was just created.
#[derive(Debug)]
pub(super) struct Created {
    pub(super) record: Record,
    pub(super) connection: KeeperConnection,
    pub(super) create_ms: u64,
}

/// What a workspace is made of.
pub(super) struct Making<'a> {
    pub(super) name: Option<WorkspaceName>,
    pub(super) environment: EnvironmentRef,
    pub(super) environment_digest: Digest,
    pub(super) accelerator: Accelerator,
    pub(super) shape: Shape,
    pub(super) lifetime: Lifetime,
    pub(super) details: Details,
    pub(super) template: &'a Template,
    pub(super) monitor: MonitorInfo,
    /// The image that `/workspace` lies on, unless that begins empty.
    pub(super) seed: Option<PathBuf>,
    /// The saved machine that it goes on from; without one it begins anew.
    pub(super) saved: Option<&'a SavedMachine>,
    /// Values of secrets that are in what it is made of.
    pub(super) held: Vec<(SecretName, SecretValue)>,
    /// What its ledger says about where it comes from.
    pub(super) born: Option<LedgerEvent>,
}

impl Engine {
    /// Creates a workspace. Nothing is left of it if that fails.
    pub(super) async fn create<E: Send + 'static>(
        &self,
        plan: Plan,
        call: &mut Call<E>,
        told: impl Fn(WorkProgress) -> E,
    ) -> Result<Created, OpError> {
        let begun = Instant::now();
        let cancel = &call.cancel.clone();
        let WarmStart { template, accelerator, environment_digest, monitor } =
            self.warmed_template(&plan.environment, plan.shape, cancel).await?;
        let mut details = Details::default();
        relabel(&mut details, &plan.labels, &[])?;
        let seed = self.provide(plan.seed, call, told).await?;
        details.seed = seed.as_ref().map(|seed| seed.report.clone());
        details.network = plan.network;
        details.idle = plan.idle;
        let born = seed.as_ref().map(|Seeded { report, .. }| LedgerEvent::Seeded {
            source: report.source.as_str().to_owned(),
            origin: report.origin.clone(),
            files: Some(report.files),
            bytes: report.bytes,
        });
        let making = Making {
            name: plan.name,
            environment: plan.environment,
            environment_digest,
            accelerator,
            shape: plan.shape,
            lifetime: plan.lifetime,
            details,
            template: &template,
            monitor,
            seed: seed.map(|seed| seed.image),
            saved: None,
            held: Vec::new(),
            born,
        };
        let (record, connection) = self.make(making, cancel).await?;
        Ok(Created { record, connection, create_ms: milliseconds(begun) })
    }

    /// The tree that a workspace starts with.
    async fn provide<E: Send + 'static>(
        &self,
        seed: Seed,
        call: &mut Call<E>,
        told: impl Fn(WorkProgress) -> E,
    ) -> Result<Option<Seeded>, OpError> {
        let cancel = call.cancel.clone();
        let (stop, _guard) = follow(&cancel);
        let work = seeds::Work::new(&stop);
        let mut is_told = false;
        let progress = || {
            is_told = true;
            told(under_way(Task::Seed, work.doing()))
        };
        let seed = tokio::select! {
            seed = telling(call, seeds::provide(&self.home, seed, &work), progress) => seed?,
            () = cancel.cancelled() => return Err(cancelled()),
        };
        if is_told {
            call.emit(told(finished(Task::Seed))).await;
        }
        Ok(seed)
    }

    /// Makes a workspace of whatever it is made of. Nothing is left of it if that
    /// fails.
    pub(super) async fn make(
        &self,
        making: Making<'_>,
        cancel: &CancellationToken,
    ) -> Result<(Record, KeeperConnection), OpError> {
        let now = Timestamp::now();
        let record = Record {
            id: WorkspaceId::from_uuid(Uuid::now_v7()),
            name: making.name.clone(),
            state: WorkspaceState::Creating,
            reason: None,
            environment: making.environment.clone(),
            environment_digest: making.environment_digest.clone(),
            template: making.template.name.clone(),
            accelerator: making.accelerator,
            shape: making.shape,
            lifetime: making.lifetime,
            created_at: now,
            last_activity_at: now,
            details: making.details.clone(),
        };
        self.admit(record.shape)?;
        let files = self.home.workspace(record.id);
        let lock = files.create()?;
        let started = tokio::select! {
            started = self.start(&record, making, &files, lock) => started,
            () = cancel.cancelled() => Err(cancelled()),
        };
        match started {
            Ok(connection) => Ok((Record { state: WorkspaceState::Running, ..record }, connection)),
            Err(error) => {
                // The error that is on its way says more than one of these.
                let _ = files.delete();
                let _ = self.store.step(record.id, Step::Delete, Some("it could not be created"));
                Err(error)
            }
        }
    }

    async fn start(
        &self,
        record: &Record,
        making: Making<'_>,
        files: &WorkspaceFiles,
        lock: File,
    ) -> Result<KeeperConnection, OpError> {
        let Making { template, monitor, seed, saved, held, born, .. } = making;
        let monitor_number = self.store.insert(record, self.quota.as_deref())?;
        if !held.is_empty() {
            // Before there is a keeper, which hides them.
            Vault { home: &self.home, store: &self.store }.hold(record.id, &held)?;
        }
        let over = saved.map(SavedMachine::frozen);
        files.disks().create(&NewLayers { empty: template.empty_layer(), over })?;
        if let Some(seed) = seed {
            seeds::hold(&self.home, &seed, &files.seed())?;
        }
        let stream = spawn(&self.settings.program, lock, &files.keeper_log(), record.lifetime)
            .map_err(|error| OpError::new(ErrorKind::Unavailable, &error))?;
        let mut connection = KeeperConnection::new(stream);
        let origin = match saved {
            None => Origin::template(template, files),
            Some(saved) => Origin::saved(saved, template, files),
        };
        connection
            .open(KeeperRequest {
                workspace: record.id,
                home: self.home.path().to_owned(),
                program: self.settings.program.clone(),
                monitor,
                monitor_number,
                origin,
                identity: identity(record),
                secrets: record.details.secrets.clone(),
                network: record.details.network.clone(),
                operator: self.settings.operator(&record.details.network)?,
                ports: record.details.ports.clone(),
                empty_layer: template.empty_layer(),
                idle: record.details.idle,
                lifetime: record.lifetime,
                unkept: Unkept::Vanishes,
            })
            .await
            .map_err(|error| error.during("cannot start the workspace's machine"))?;
        if !record.details.network.is_off() {
            // The first command shall find it.
            connection.ask(AwaitNetwork {}).await?;
        }
        self.store.step(record.id, Step::Ready, None)?;
        if record.lifetime == Lifetime::UntilDeleted {
            connection.keep().await?;
            if let Some(born) = born {
                connection.note(born);
            }
        }
        Ok(connection)
    }
}

fn cancelled() -> OpError {
    OpError::plain(ErrorKind::Cancelled, "creating the workspace was cancelled")
}

/// Who the guest is: named as its workspace, with a machine id of its own.
pub(super) fn identity(record: &Record) -> Identity {
    let host_name = match &record.name {
        Some(name) => name.to_string(),
        // The last digits of an id are its random ones.
        None => {
            let id = record.id.to_string();
            format!("ws-{}", &id[id.len() - 12..])
        }
    };
    Identity { host_name, machine_id: Uuid::new_v4().simple().to_string() }
}
