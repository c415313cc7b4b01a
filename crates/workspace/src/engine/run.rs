//! `run`: one command in a machine of its own.

use std::collections::BTreeMap;

use guest_protocol::message::{Exec, Stdin};
use operation::{Call, ErrorKind, Handler, OpError};
use workspace_api::idle::IdlePolicy;
use workspace_api::run::{CommandEvent, CommandOptions, Run, RunResult};

use super::Engine;
use super::creation::{Created, Plan};
use super::network::policy;
use crate::keeper::Lifetime;

/// Where commands run unless they say otherwise.
const DEFAULT_DIRECTORY: &str = "/workspace";

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

/// The guest's request for a command, without the secrets that it is given: see
/// [`Engine::give`].
pub(super) fn to_exec(argv: Vec<String>, options: CommandOptions) -> Result<Exec, OpError> {
    if argv.is_empty() {
        return Err(OpError::plain(ErrorKind::InvalidRequest, "there is no command to run")
            .hinted("put it behind `--`: `hotcell run debian:12 -- git --version`"));
    }
    if argv.iter().any(|word| word.contains('\0')) {
        return Err(OpError::plain(ErrorKind::InvalidRequest, "the command holds a NUL byte"));
    }
    let env: BTreeMap<String, String> =
        options.env.into_iter().map(|variable| (variable.name, variable.value)).collect();
    Ok(Exec {
        argv,
        env,
        cwd: options.cwd.unwrap_or_else(|| DEFAULT_DIRECTORY.to_owned()),
        timeout_ms: options.timeout.map(workspace_api::time::TimeSpan::as_millis),
        stdin: Stdin::Stream,
        ..Exec::default()
    })
}
