//! Operations on commands in the background.

use operation::{Call, Handler, NoEvents, OpError};
use workspace_api::command::{
    Command, Commands, List, OutputChannel, Read, Send, Signalled, Start, Status, Wait, Waited,
};
use workspace_api::job::{CommandRef, JobState, OutputExcerpt};
use workspace_api::output::OutputBytes;

use guest_protocol::message::{Exec, Stdin};

use super::Engine;
use super::jobs::{FoundJob, new_job_id, status};
use super::run::to_exec;
use crate::jobs::{JobKind, JobRecord};
use crate::keeper::asking::{OrderJob, StartJob};
use crate::keeper::jobs::{JobOrder, Until};

const LIST: &str = "command list";

impl Handler<Start> for Engine {
    async fn handle(&self, start: Start, _: &mut Call<NoEvents>) -> Result<Command, OpError> {
        let exec = Exec { stdin: Stdin::Null, ..to_exec(start.command, start.options)? };
        let workspace = self.store.find(&start.workspace)?;
        let mut connection = self.connect(&workspace).await?;
        let id = new_job_id(CommandRef::PREFIX);
        let job = JobKind::Command;
        connection
            .ask(StartJob { id: id.clone(), job, exec, secrets: Vec::new() })
            .await
            .map_err(|error| error.during("cannot start the command"))?;
        Ok(told(&self.find_job(&start.workspace, &id.0, LIST)?))
    }
}

impl Handler<List> for Engine {
    async fn handle(&self, list: List, _: &mut Call<NoEvents>) -> Result<Commands, OpError> {
        let workspace = self.store.find(&list.workspace)?;
        let jobs = self.jobs_of(&workspace);
        let commands = jobs.list()?.into_iter().filter(|job| job.kind == JobKind::Command);
        Ok(Commands {
            commands: commands
                .map(|record| {
                    let status = status(&workspace, &jobs, &record);
                    let JobRecord { id, argv, cwd, .. } = record;
                    Command { id: id.0, argv, cwd, status }
                })
                .collect(),
        })
    }
}

impl Handler<Status> for Engine {
    async fn handle(&self, status: Status, _: &mut Call<NoEvents>) -> Result<Command, OpError> {
        Ok(told(&self.find_job(&status.workspace, status.command.as_str(), LIST)?))
    }
}

impl Handler<Wait> for Engine {
    async fn handle(&self, wait: Wait, call: &mut Call<NoEvents>) -> Result<Waited, OpError> {
        let found = self.find_job(&wait.workspace, wait.command.as_str(), LIST)?;
        let longest = wait.timeout.map(workspace_api::time::TimeSpan::duration);
        self.await_job(&found, Until::Ended, longest, &call.cancel).await?;
        Ok(Waited { command: told(&found.fresh()) })
    }
}

impl Handler<Read> for Engine {
    async fn handle(&self, read: Read, _: &mut Call<NoEvents>) -> Result<OutputExcerpt, OpError> {
        let found = self.find_job(&read.workspace, read.command.as_str(), LIST)?;
        // Asked first: what ends after that may write more.
        let running = found.status().state == JobState::Running;
        let channel = match read.channel {
            OutputChannel::Stdout => "stdout",
            OutputChannel::Stderr => "stderr",
        };
        let excerpt = found.excerpt(channel, read.cursor, read.max_bytes)?;
        Ok(OutputExcerpt {
            cursor: excerpt.begin,
            next_cursor: excerpt.begin + excerpt.bytes.len() as u64,
            total_bytes: excerpt.end,
            skipped_bytes: excerpt.begin.saturating_sub(read.cursor),
            running,
            output: OutputBytes(excerpt.bytes),
        })
    }
}

impl Handler<Send> for Engine {
    async fn handle(&self, send: Send, _: &mut Call<NoEvents>) -> Result<Signalled, OpError> {
        let found = self.find_job(&send.workspace, send.command.as_str(), LIST)?;
        let mut connection = self.connect(&found.workspace).await?;
        let order = JobOrder::Signal { number: send.signal.number() };
        connection.ask(OrderJob { id: found.record.id.clone(), order }).await?;
        Ok(Signalled { id: found.record.id.0, signal: send.signal })
    }
}

fn told(found: &FoundJob) -> Command {
    let JobRecord { id, argv, cwd, .. } = found.record.clone();
    Command { id: id.0, argv, cwd, status: found.status() }
}
