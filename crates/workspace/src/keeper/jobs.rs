//! Jobs while their machine runs: one task each, which follows the process.
//!
//! ```text
//! start ──▶ running ──process ended──▶ ended
//!             │   ▲
//!      let go │   │ attached, in another epoch of the guest
//!             ▼   │
//!           parked in the guest ──nobody knows it there──▶ lost
//! ```
//!
//! A job's process is kept by the guest under the job's id, so it survives a
//! restore of the machine: the keeper lets go of all jobs before and attaches to
//! them after it. `roster` knows which it has not heard of yet; `following` is the
//! task of one that it has.
//!
//! **Failure paths.** A log that cannot be written costs output, not the job. A
//! connection that breaks takes the record to `lost`; if the whole keeper is
//! killed, the next one does that, and removes directories that have no record.

mod following;
mod roster;

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use guest_protocol::message::{Exec, HostMessage, TerminalSize};
use jiff::Timestamp;
use operation::{ErrorKind, OpError};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};
use workspace_api::ledger::LedgerEvent;

use self::following::{LiveJob, Logs, Piece, attend};
use self::roster::Roster;
use super::asking::StartJob;
use super::client::{PipeEnd, StandardError, command_end};
use super::concealment::Concealment;
use super::inside::Inside;
use super::scribe::Scribe;
use crate::console::{OUTPUT_BYTES, last_lines};
use crate::jobs::log::{self, LogWriter};
use crate::jobs::{JobId, JobKind, JobRecord, JobState, Jobs};

/// How many jobs may run at once in one workspace.
const RUNNING_MAX: usize = 128;

/// How many pieces of input may wait for one job.
const INPUT_QUEUE: usize = 16;

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JobProgress {
    /// Bytes that it has written to its standard output, or its terminal.
    pub(crate) stdout: u64,
    /// Bytes that it has written to its standard error.
    pub(crate) stderr: u64,
    /// Whether it runs.
    pub(crate) running: bool,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub(crate) enum Until {
    /// The job ends.
    Ended,
    /// It writes beyond a position of its standard output, or ends.
    Output {
        /// The position.
        beyond: u64,
    },
    /// It writes nothing for so long, or ends.
    Idle {
        /// How long, in milliseconds.
        quiet_ms: u64,
    },
}

/// What can be done to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub(crate) enum JobOrder {
    /// Signal its process group, or the foreground job of its terminal.
    Signal {
        /// Number of the signal.
        number: i32,
    },
    /// Give its terminal another size.
    Resize {
        /// Which.
        size: TerminalSize,
    },
    /// Ask it to end, by a hang-up, and kill what is left after the grace.
    End {
        /// How long it may take, in milliseconds.
        grace_ms: u64,
    },
    /// Ask it to end by a signal, and kill what is left of it when it has ended
    /// or the grace is over.
    Stop {
        /// Number of the signal.
        signal: i32,
        /// How long it may take, in milliseconds.
        grace_ms: u64,
    },
}

/// All jobs of a keeper.
#[derive(Debug)]
pub(crate) struct JobTable {
    jobs: Jobs,
    inside: Inside,
    scribe: Scribe,
    concealment: Concealment,
    roster: Roster,
}

impl JobTable {
    /// No job runs yet; what an earlier machine left running is lost.
    pub(crate) fn new(
        jobs: Jobs,
        inside: Inside,
        scribe: Scribe,
        concealment: Concealment,
    ) -> Rc<Self> {
        if let Err(error) = jobs.sweep() {
            tracing::warn!(%error, "what is left of jobs stays");
        }
        let table = Self { jobs, inside, scribe, concealment, roster: Roster::default() };
        table.mark_lost("its machine ended");
        Rc::new(table)
    }

    fn mark_lost(&self, reason: &str) {
        let running = self.jobs.list().unwrap_or_default();
        for record in running.into_iter().filter(|record| record.state == JobState::Running) {
            let state = JobState::Lost { reason: reason.to_owned(), at: Timestamp::now() };
            self.write(&JobRecord { state, ..record });
        }
    }

    fn write(&self, record: &JobRecord) {
        if let Err(error) = self.jobs.write(record) {
            tracing::error!(%error, job = record.id.0, "a job's record could not be written");
        }
    }

    /// How many jobs of a kind run.
    pub(crate) fn running(&self, is_wanted: impl Fn(&JobKind) -> bool) -> usize {
        self.roster.count(is_wanted)
    }

    /// Starts a job and waits until its process runs.
    pub(crate) async fn start(
        self: &Rc<Self>,
        StartJob { id, job: kind, exec, secrets }: StartJob,
    ) -> Result<(), OpError> {
        if self.roster.count(|_| true) >= RUNNING_MAX {
            return Err(OpError::plain(
                ErrorKind::Exhausted,
                format!("{RUNNING_MAX} commands, shells and services run already"),
            )
            .hinted("end some of them first"));
        }
        let record = JobRecord {
            id: id.clone(),
            kind,
            argv: exec.argv.clone(),
            cwd: exec.cwd.clone(),
            started_at: Timestamp::now(),
            state: JobState::Running,
        };
        let record = self.concealment.data(record);
        self.jobs.write(&record)?;
        self.jobs.forget_old()?;
        if let Some(event) = beginning(&record, secrets) {
            self.scribe.note(event);
        }
        let exec = Exec { keep: Some(id.0.clone()), ..exec };
        match self.follow(record.clone(), &HostMessage::Exec(exec)).await {
            Ok(()) => Ok(()),
            Err(error) => {
                self.ended(record, Err(error.clone()));
                Err(error)
            }
        }
    }

    /// The records of the jobs that run.
    pub(crate) fn under_way(&self) -> Vec<JobRecord> {
        self.roster.ids().iter().filter_map(|id| self.jobs.find(id)).collect()
    }

    /// Lets go of all jobs, because the machine is put back to another state. Of
    /// those that are not among `kept`, that is the end.
    pub(crate) fn let_go(&self, kept: &[JobRecord]) {
        for id in self.roster.let_go() {
            if kept.iter().any(|kept| kept.id == id) {
                continue;
            }
            if let Some(record) = self.jobs.find(&id) {
                let reason = "the workspace was reset while this was under way";
                self.ended(record, Err(OpError::plain(ErrorKind::MachineLost, reason)));
            }
        }
    }

    /// Goes on with jobs that ran when the machine was saved: on record at once,
    /// heard as soon as the guest answers. What it does not know was lost.
    pub(crate) fn go_on(self: &Rc<Self>, jobs: &[JobRecord]) {
        for record in jobs.iter().cloned() {
            let record = JobRecord { state: JobState::Running, ..record };
            self.write(&record);
            let (id, kind, table) = (record.id.clone(), record.kind.clone(), Rc::clone(self));
            let attaching = tokio::task::spawn_local(async move {
                let attach = HostMessage::Attach { name: record.id.0.clone() };
                if let Err(error) = table.follow(record.clone(), &attach).await {
                    table.ended(record, Err(error));
                }
            });
            self.roster.expect(id, kind, attaching.abort_handle());
        }
    }

    /// Waits until it is known whether the guest still has a job: whether it has.
    pub(crate) async fn is_here(&self, id: &JobId) -> bool {
        self.roster.settled(id).await.is_some()
    }

    async fn follow(
        self: &Rc<Self>,
        record: JobRecord,
        opening: &HostMessage,
    ) -> Result<(), OpError> {
        let directory = self.jobs.directory(&record.id);
        let logs = Logs {
            stdout: LogWriter::open(&directory, "stdout")?,
            stderr: LogWriter::open(&directory, "stderr")?,
        };
        let connection = self.inside.connect().await?;
        let mut pipe = connection.piped(opening, StandardError::Stream)?;
        pipe.started().await?;
        let (changed, progress) = watch::channel(JobProgress {
            stdout: logs.stdout.position(),
            stderr: logs.stderr.position(),
            running: true,
        });
        let (input, pieces) = mpsc::channel(INPUT_QUEUE);
        let control = pipe.control.clone();
        let (table, id, kind) = (Rc::clone(self), record.id.clone(), record.kind.clone());
        let task = tokio::task::spawn_local(async move {
            let end = attend(pipe, logs, &changed, pieces).await;
            table.ended(record, end);
            changed.send_modify(|progress| progress.running = false);
        });
        let job = LiveJob { kind, control, input, progress, task: task.abort_handle() };
        self.roster.arrived(id, job);
        Ok(())
    }

    fn ended(&self, record: JobRecord, end: Result<PipeEnd, OpError>) {
        self.roster.strike(&record.id);
        let at = Timestamp::now();
        let (state, note) = match end {
            Ok(PipeEnd { end, duration_ms, .. }) => {
                let (exit_code, end) = command_end(end);
                (JobState::Ended { end, exit_code, duration_ms, at }, Ok((exit_code, duration_ms)))
            }
            Err(error) => {
                let reason = self.concealment.text(error.message);
                (JobState::Lost { reason: reason.clone(), at }, Err(reason))
            }
        };
        if let Some(event) = self.epitaph(&record, note) {
            self.scribe.note(event);
        }
        self.write(&JobRecord { state, ..record });
    }

    /// What the ledger says of a job's end; a service's is its supervisor's.
    fn epitaph(&self, record: &JobRecord, end: Result<(u8, u64), String>) -> Option<LedgerEvent> {
        match &record.kind {
            JobKind::Command => {
                let (exit_code, duration_ms) = end.as_ref().copied().ok().unzip();
                Some(LedgerEvent::CommandEnded {
                    command: record.id.0.clone(),
                    exit_code,
                    error: end.err(),
                    duration_ms: duration_ms.unwrap_or_default(),
                    stdout_bytes: self.jobs.written(&record.id, "stdout"),
                    stderr_bytes: self.jobs.written(&record.id, "stderr"),
                    output_end: (exit_code != Some(0)).then(|| self.last_lines(record)).flatten(),
                })
            }
            JobKind::Shell { .. } => Some(LedgerEvent::ShellClosed { shell: record.id.0.clone() }),
            JobKind::Service { .. } => None,
        }
    }

    /// The last lines that a job wrote, as far as they can be read.
    fn last_lines(&self, record: &JobRecord) -> Option<String> {
        let directory = self.jobs.directory(&record.id);
        let end = |channel| {
            let from = self.jobs.written(&record.id, channel).saturating_sub(OUTPUT_BYTES as u64);
            let read = log::read(&directory, channel, from, OUTPUT_BYTES);
            read.map(|excerpt| excerpt.bytes).unwrap_or_default()
        };
        last_lines([&end("stderr"), &end("stdout")])
    }

    async fn job(&self, id: &JobId) -> Result<Rc<LiveJob>, OpError> {
        self.roster.find(id).await?.ok_or_else(|| {
            let ended = match self.jobs.find(id) {
                Some(_) => OpError::plain(ErrorKind::Conflict, format!("`{}` has ended", id.0)),
                None => unknown(id),
            };
            ended.hinted("list what there is first")
        })
    }

    /// Gives a job input and waits until it was taken; none means the end of it.
    pub(crate) async fn write_input(&self, id: &JobId, bytes: Bytes) -> Result<(), OpError> {
        let job = self.job(id).await?;
        let closed =
            || OpError::plain(ErrorKind::Conflict, format!("`{}` takes no more input", id.0));
        let (taken, answer) = oneshot::channel();
        job.input.send(Piece { bytes, taken }).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Has something done to a job.
    pub(crate) async fn order(&self, id: &JobId, order: JobOrder) -> Result<(), OpError> {
        const HANG_UP: i32 = 1;
        let job = self.job(id).await?;
        match order {
            JobOrder::Signal { number } => job.control.signal(number),
            JobOrder::Resize { size } => {
                job.control.resize(size);
                if let Some(record) = self.jobs.find(id) {
                    self.jobs.write(&JobRecord { kind: JobKind::Shell { size }, ..record })?;
                }
            }
            JobOrder::End { grace_ms } => {
                // A shell at its prompt ignores an interrupt, which is what
                // a cancellation sends, but not this.
                job.control.signal(HANG_UP);
                job.control.cancel(Duration::from_millis(grace_ms), None);
            }
            JobOrder::Stop { signal, grace_ms } => {
                job.control.cancel(Duration::from_millis(grace_ms), Some(signal));
            }
        }
        Ok(())
    }

    /// Waits for something of a job, at most until the deadline.
    pub(crate) async fn wait(
        &self,
        id: &JobId,
        until: Until,
        deadline: Duration,
    ) -> Result<JobProgress, OpError> {
        let deadline = Instant::now() + deadline;
        let mut progress = match self.roster.find(id).await? {
            Some(job) => job.progress.clone(),
            // It ended before anybody asked.
            None if self.jobs.find(id).is_some() => return Ok(self.ended_progress(id)),
            None => return Err(unknown(id).hinted("list what there is first")),
        };
        // The job's own task has gone when this fails, so it has ended.
        match until {
            Until::Ended => {
                let _ = timeout_at(deadline, progress.wait_for(|seen| !seen.running)).await;
            }
            Until::Output { beyond } => {
                let is_so = |seen: &JobProgress| seen.stdout > beyond || !seen.running;
                let _ = timeout_at(deadline, progress.wait_for(is_so)).await;
            }
            Until::Idle { quiet_ms } => {
                let quiet = Duration::from_millis(quiet_ms);
                while progress.borrow_and_update().running {
                    let until = (Instant::now() + quiet).min(deadline);
                    match timeout_at(until, progress.changed()).await {
                        Ok(Ok(())) if Instant::now() < deadline => {}
                        _ => break,
                    }
                }
            }
        }
        Ok(*progress.borrow())
    }

    /// Waits until a job has ended; its record says how.
    pub(crate) async fn until_ended(&self, id: &JobId) {
        // It has ended if nobody follows it, or whoever did has gone.
        let Some(job) = self.roster.settled(id).await else { return };
        let mut progress = job.progress.clone();
        let _ = progress.wait_for(|seen| !seen.running).await;
    }

    fn ended_progress(&self, id: &JobId) -> JobProgress {
        let written = |channel| self.jobs.written(id, channel);
        JobProgress { stdout: written("stdout"), stderr: written("stderr"), running: false }
    }
}

fn unknown(id: &JobId) -> OpError {
    OpError::plain(ErrorKind::NotFound, format!("there is no `{}`", id.0))
}

/// What the ledger says of a job's beginning; a service's is its supervisor's.
fn beginning(record: &JobRecord, secrets: Vec<String>) -> Option<LedgerEvent> {
    let id = record.id.0.clone();
    match record.kind {
        JobKind::Command => Some(LedgerEvent::CommandStarted {
            command: id,
            argv: record.argv.clone(),
            cwd: record.cwd.clone(),
            secrets,
        }),
        JobKind::Shell { .. } => Some(LedgerEvent::ShellOpened { shell: id, secrets }),
        JobKind::Service { .. } => None,
    }
}
