//! `run`: one command in a machine of its own.

use operation::{Call, ErrorKind, Handler, OpError};
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
        let told = |progress| CommandEvent::Preparing { progress };
        let Created { record, mut connection, create_ms } = self.create(plan, call, told).await?;
        let result = match self.give(&record, &mut connection, &secrets, &mut exec).await {
            Ok(_) => connection.exec(record.id, exec, call).await,
            Err(error) => Err(error),
        };
        if let Err(error) = connection.delete().await {
            // Its keeper has died: what it left is tidied up here.
            tracing::info!(%error, "the keeper did not delete the machine");
            match self.settled(&record).await {
                Err(error) if error.kind == ErrorKind::NotFound => {}
                _ => tracing::warn!(
                    "the machine is not deleted yet; the next use of hotcell does it"
                ),
            }
        }
        let result = result?;
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
