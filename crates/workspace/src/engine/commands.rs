//! Operations on commands in the background.

use operation::{Call, ErrorKind, Handler, NoEvents, OpError};
use workspace_api::command::{
    BothEnds, Command, Commands, List, OutputChannel, Ran, Read, Run, Send, Signalled, Start,
    Status, Wait,
};
use workspace_api::job::{CommandRef, JobState, OutputExcerpt, Signal};
use workspace_api::output::OutputBytes;

use guest_protocol::message::{Exec, Stdin};

use super::Engine;
use super::jobs::{FoundJob, new_job_id, status};
use super::run::to_exec;
use crate::jobs::log::Excerpt;
use crate::jobs::{JobKind, JobRecord};
use crate::keeper::asking::{OrderJob, StartJob};
use crate::keeper::jobs::{JobOrder, Until};

const LIST: &str = "command list";

impl Engine {
    async fn start_command(&self, start: Start) -> Result<FoundJob, OpError> {
        let secrets = start.options.secret.clone();
        let mut exec = Exec { stdin: Stdin::Null, ..to_exec(start.command, start.options)? };
        let workspace = self.store.find(&start.workspace)?;
        let mut connection = self.connect(&workspace).await?;
        let secrets = self.give(&workspace, &mut connection, &secrets, &mut exec).await?;
        let id = new_job_id(CommandRef::PREFIX);
        let job = JobKind::Command;
        connection
            .ask(StartJob { id: id.clone(), job, exec, secrets })
            .await
            .map_err(|error| error.during("cannot start the command"))?;
        self.find_job(&start.workspace, &id.0, LIST)
    }
}

impl Handler<Start> for Engine {
    async fn handle(&self, start: Start, _: &mut Call<NoEvents>) -> Result<Command, OpError> {
        Ok(told(&self.start_command(start).await?))
    }
}

impl Handler<Run> for Engine {
    async fn handle(&self, run: Run, call: &mut Call<NoEvents>) -> Result<Ran, OpError> {
        let Run { workspace, wait, max_bytes, options, command } = run;
        let found = self.start_command(Start { workspace, options, command }).await?;
        let waited =
            self.await_job(&found, Until::Ended, Some(wait.duration()), &call.cancel).await;
        if let Err(error) = waited {
            // Who cancels does not want the command; who lost it could not end it.
            if error.kind == ErrorKind::Cancelled {
                self.order(&found, JobOrder::Signal { number: Signal::TERMINATE.number() }).await?;
            }
            return Err(error.during(format!("`{}` was not waited for", found.record.id.0)));
        }
        ran(&found.fresh(), max_bytes)
    }
}

/// A command as it is, with both ends of what it wrote, `most` bytes of each output.
fn ran(found: &FoundJob, most: u32) -> Result<Ran, OpError> {
    let [stdout, stderr] = ["stdout", "stderr"]
        .map(|channel| both_ends(|from, most| found.excerpt(channel, from, most), most));
    Ok(Ran { command: told(found), stdout: stdout?, stderr: stderr? })
}

/// The beginning and the end of what a job has written, `most` bytes of it.
fn both_ends(
    read: impl Fn(u64, u32) -> Result<Excerpt, OpError>,
    most: u32,
) -> Result<BothEnds, OpError> {
    let mut head = read(0, most)?;
    let kept = (head.bytes.len() as u64).saturating_add(head.begin);
    if head.begin == 0 && kept >= head.end {
        let total_bytes = head.end;
        return Ok(BothEnds { total_bytes, head: OutputBytes(head.bytes), ..BothEnds::default() });
    }
    head.bytes.truncate(usize::try_from(most / 2).expect("usize holds 32 bits here"));
    if let Some(end) = head.bytes.iter().rposition(|byte| *byte == b'\n') {
        head.bytes.truncate(end + 1);
    }
    // Less than that may be there if its middle could not be written.
    let tail_begin = head.end.saturating_sub(u64::from(most / 2)).max(head.bytes.len() as u64);
    let tail = read(tail_begin, most / 2)?;
    let begin = tail.bytes.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    Ok(BothEnds {
        total_bytes: tail.begin + tail.bytes.len() as u64,
        // What is no longer kept of the beginning belongs to what is left out.
        head: OutputBytes(if head.begin == 0 { head.bytes } else { Vec::new() }),
        tail: OutputBytes(tail.bytes[begin..].to_vec()),
    })
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
    async fn handle(&self, wait: Wait, call: &mut Call<NoEvents>) -> Result<Ran, OpError> {
        let found = self.find_job(&wait.workspace, wait.command.as_str(), LIST)?;
        let longest = wait.timeout.map(workspace_api::time::TimeSpan::duration);
        self.await_job(&found, Until::Ended, longest, &call.cancel).await?;
        ran(&found.fresh(), wait.max_bytes)
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
        self.order(&found, JobOrder::Signal { number: send.signal.number() }).await?;
        Ok(Signalled { id: found.record.id.0, signal: send.signal })
    }
}

impl Engine {
    async fn order(&self, found: &FoundJob, order: JobOrder) -> Result<(), OpError> {
        let mut connection = self.connect(&found.workspace).await?;
        connection.ask(OrderJob { id: found.record.id.clone(), order }).await?;
        Ok(())
    }
}

fn told(found: &FoundJob) -> Command {
    let JobRecord { id, argv, cwd, .. } = found.record.clone();
    Command { id: id.0, argv, cwd, status: found.status() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::log;

    #[test]
    fn both_ends_of_an_output_whose_middle_could_not_be_written_do_not_overlap() {
        let directory = tempfile::tempdir().unwrap();
        // The disk was full between these.
        for (name, content) in [("stdout.0", "beginning\n"), ("stdout.20", "\nend\n")] {
            std::fs::write(directory.path().join(name), content).unwrap();
        }
        let read = |from, most| Ok(log::read(directory.path(), "stdout", from, most as usize)?);
        let ends = both_ends(read, 100).unwrap();
        let text = |bytes: &OutputBytes| String::from_utf8_lossy(&bytes.0).into_owned();
        assert_eq!((text(&ends.head), text(&ends.tail)), ("beginning\n".into(), "end\n".into()));
        assert_eq!(ends.total_bytes, 25);
    }
}
