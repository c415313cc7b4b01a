//! Operations on workspaces that stay.

use std::time::Duration;

use environment::IMAGE_VIRTUAL_BYTES;
use jiff::Timestamp;
use operation::{Call, ErrorKind, Handler, NoEvents, OpError};
use workspace_api::id::WorkspaceRef;
use workspace_api::prepare::WorkProgress;
use workspace_api::run::{CommandEvent, CommandResult};
use workspace_api::state::{Step, WorkspaceState};
use workspace_api::workspace::{Create, Delete, Deleted, Exec, Reset, Status, Workspace};

use super::Engine;
use super::creation::Plan;
use super::history::NotedCommand;
use super::network::policy;
use super::run::to_exec;
use super::terms::shown;
use crate::files::disk_bytes;
use crate::host::HostFacts;
use crate::keeper::Lifetime;
use crate::keeper::asking::{CurrentActivity, Now};
use crate::store::Record;
use crate::template::Template;

/// How many drives a machine has.
const DRIVES: u64 = 2;

/// How long a keeper may take to say what is going on.
const ACTIVITY_DEADLINE: Duration = Duration::from_secs(5);

impl Handler<Create> for Engine {
    async fn handle(
        &self,
        create: Create,
        call: &mut Call<WorkProgress>,
    ) -> Result<Workspace, OpError> {
        let plan = Plan {
            environment: create.environment,
            shape: create.shape,
            name: create.name,
            labels: create.label,
            seed: create.seed,
            network: policy(&create.network_policy)?,
            idle: create.idle,
            lifetime: Lifetime::UntilDeleted,
        };
        let created = self.create(plan, call, |progress| progress).await?;
        Ok(self.describe(created.record))
    }
}

impl Handler<Exec> for Engine {
    async fn handle(
        &self,
        exec: Exec,
        call: &mut Call<CommandEvent>,
    ) -> Result<CommandResult, OpError> {
        let secrets = exec.options.secret.clone();
        let mut request = to_exec(exec.command, exec.options)?;
        let record = self.store.find(&exec.workspace)?;
        let mut connection = self.connect(&record).await?;
        let secrets = self.give(&record, &mut connection, &secrets, &mut request).await?;
        let noted = NotedCommand::started(&connection, &request, secrets);
        let result = connection.exec(record.id, request, call).await;
        noted.ended(&connection, &result);
        connection.close().await;
        result
    }
}

impl Handler<Status> for Engine {
    async fn handle(&self, status: Status, _: &mut Call<NoEvents>) -> Result<Workspace, OpError> {
        let mut record = self.store.find(&status.workspace)?;
        let mut now = None;
        if record.state == WorkspaceState::Running {
            match self.now(&record).await {
                Ok(told) => now = Some(told),
                // Whatever ended the keeper is on record by now.
                Err(error) => {
                    tracing::info!(%error, "the keeper does not say what it is doing");
                    record = self.store.find(&WorkspaceRef::from(record.id))?;
                }
            }
        }
        let expires_at = now.as_ref().and_then(|now| now.expires_at);
        let left = expires_at.map(|at| Timestamp::now().duration_until(at).as_millis());
        Ok(Workspace {
            activity: now.as_ref().map(|now| now.activity),
            memory_bytes: now.and_then(|now| now.memory_bytes),
            expires_at: expires_at.map(shown),
            expires_in_ms: left.map(|left| u64::try_from(left).unwrap_or_default()),
            ..self.describe(record)
        })
    }
}

impl Handler<Reset> for Engine {
    async fn handle(&self, reset: Reset, _: &mut Call<NoEvents>) -> Result<Workspace, OpError> {
        let record = self.store.find(&reset.workspace)?;
        let mut connection = self.connect(&record).await?;
        let template = self.template_of(&record)?;
        let files = self.home.workspace(record.id);
        let (restore, _hold) = self.restore_to(&record, &template, &files, reset.to.name())?;
        connection.ask(restore).await?;
        Ok(self.describe(self.store.find(&WorkspaceRef::from(record.id))?))
    }
}

impl Handler<Delete> for Engine {
    async fn handle(&self, delete: Delete, _: &mut Call<NoEvents>) -> Result<Deleted, OpError> {
        let mut record = self.store.find(&delete.workspace)?;
        if record.state == WorkspaceState::Running {
            match self.connect_if_running(&record).await {
                Ok(connection) => {
                    connection.delete().await?;
                    return Ok(Deleted { id: record.id });
                }
                // A keeper that has ended meanwhile left a workspace without one.
                Err(error) => {
                    record = self.store.find(&WorkspaceRef::from(record.id))?;
                    if record.state == WorkspaceState::Running {
                        return Err(error);
                    }
                }
            }
        }
        if matches!(record.state, WorkspaceState::Creating | WorkspaceState::Starting) {
            let message = format!("workspace {} is {} in another process", record.id, record.state);
            return Err(OpError::plain(ErrorKind::Conflict, message)
                .hinted("wait until that is done, and try again"));
        }
        self.home.workspace(record.id).delete()?;
        self.store.step(record.id, Step::Delete, Some("deleted"))?;
        Ok(Deleted { id: record.id })
    }
}

impl Engine {
    /// The template that a workspace came from, if it can still be resumed.
    pub(super) fn template_of(&self, record: &Record) -> Result<Template, OpError> {
        let unusable = |why: &str| {
            OpError::plain(ErrorKind::Unavailable, why)
                .during(format!("workspace {} cannot go back to its beginning", record.id))
                .hinted("create a new workspace and copy over what you need")
        };
        let template = Template::intact(&self.home, &record.template)?
            .ok_or_else(|| unusable("the template that it came from is gone or was written to"))?;
        let facts = HostFacts::load(&self.home, &self.settings)?;
        let ingredients = &template.manifest.ingredients;
        if ingredients.monitor != facts.monitor()?.version {
            return Err(unusable("this host's monitor is not the one that it was made with"));
        }
        if ingredients.processor != facts.processor {
            return Err(unusable("this host's processor is not the one that it was made on"));
        }
        Ok(template)
    }

    /// What is going on in a running workspace.
    pub(super) async fn now(&self, record: &Record) -> Result<Now, OpError> {
        let asked = async { self.connect_if_running(record).await?.ask(CurrentActivity {}).await };
        tokio::time::timeout(ACTIVITY_DEADLINE, asked).await.unwrap_or_else(|_| {
            Err(OpError::plain(ErrorKind::TimedOut, "the workspace's keeper is busy"))
        })
    }

    /// What is told of a workspace.
    pub(super) fn describe(&self, record: Record) -> Workspace {
        Workspace {
            id: record.id,
            name: record.name,
            labels: record.details.labels,
            state: record.state,
            reason: record.reason,
            environment: record.environment,
            environment_digest: record.environment_digest,
            accelerator: record.accelerator,
            shape: record.shape,
            created_at: shown(record.created_at),
            last_activity_at: shown(record.last_activity_at),
            idle: record.details.idle,
            expires_at: None,
            expires_in_ms: None,
            seed: record.details.seed,
            secrets: record.details.secrets.into_iter().collect(),
            disk_bytes: disk_bytes(self.home.workspace(record.id).directory()),
            disk_max_bytes: DRIVES * IMAGE_VIRTUAL_BYTES,
            memory_bytes: None,
            activity: None,
        }
    }
}
