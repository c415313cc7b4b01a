//! `run`: one command in a machine of its own.

use operation::{Call, Handler, OpError};
use workspace_api::idle::IdlePolicy;
use workspace_api::run::{CommandEvent, Run, RunResult};

use super::Engine;
use super::creation::{Created, Plan};
use super::network::policy;
pub(super) use crate::exec::to_exec;
use crate::keeper::Lifetime;

impl Handler<Run> for Engine {
    async fn handle(&self, run: Run, call: &mut Call<CommandEvent>) -> Result<RunResult, OpError> {
        let secrets = run.options.secret.clone();
        let mut exec = to_exec(run.command, run.options)?;
        let plan = Plan {
            environment: run.environment,
            shape: run.shape,
            name: None,
            labels: Vec::new(),
            seed: run.seed,
            network: policy(&run.network_policy)?,
            idle: IdlePolicy::never(),
            lifetime: Lifetime::WithCreator,
        };
        let cancel = call.cancel.clone();
        let Created { record, mut connection, create_ms } = self.create(plan, &cancel).await?;
        let result = match self.give(&record, &mut connection, &secrets, &mut exec).await {
            Ok(_) => connection.exec(record.id, exec, call).await,
            Err(error) => Err(error),
        };
        // What the command did is told first; that its machine could not be
        // deleted properly is of interest only when it succeeded, and then
        // recovery deletes it.
        let deleted = connection.delete().await;
        let result = result?;
        if let Err(error) = deleted {
            tracing::warn!(%error, "the machine was not deleted properly");
        }
        Ok(RunResult {
            workspace: record.id,
            environment: record.environment,
            environment_digest: record.environment_digest,
            accelerator: record.accelerator,
            shape: record.shape,
            seed: record.details.seed,
            create_ms,
            result,
        })
    }
}
