//! The life of one service, from its start to its end.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use operation::OpError;
use tokio::time::{Instant, sleep, timeout};
use workspace_api::ledger::LedgerEvent;
use workspace_api::run::CommandEnd;
use workspace_api::service::{RestartPolicy, ServiceName, ServiceState, ServiceStep, Start};
use workspace_api::time::TimeSpan;

use super::checks::Checker;
use super::verdict::{End, Verdict, verdict};
use super::{Known, Process, STOP_GRACE, STOP_SIGNAL, ServiceTable};
use crate::jobs::{JobId, JobKind, JobState};
use crate::keeper::asking::StartJob;
use crate::keeper::jobs::JobOrder;
use crate::services::job_of;

/// How long a service may take to be ready unless somebody says.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// How many failed checks in a row make a service unhealthy unless somebody says.
const HEALTH_FAILURES: u32 = 3;

/// A service that was ready for so long starts the count of restarts anew.
const STEADY: Duration = Duration::from_secs(60);

/// How much longer the guest may take to say that it is dead.
const BURIAL: Duration = Duration::from_secs(15);

/// How a supervisor begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// With nothing: the service waits for others, then has a process started.
    Waiting,
    /// With a process that the guest has kept.
    Kept,
    /// The same as with nothing, once what the guest has kept has ended.
    Leftover,
}

/// Looks after one service.
pub(super) struct Supervisor {
    table: Rc<ServiceTable>,
    known: Rc<Known>,
    name: ServiceName,
    job: JobId,
    definition: Start,
    process: Process,
    /// Since when it is ready, if it is.
    ready: Cell<Option<Instant>>,
}

/// What became of a process.
enum Outcome {
    /// It was stopped, as somebody wanted.
    Stopped,
    /// It is gone with its machine.
    Lost(String),
    /// It ended, or was ended because it does not do what it should.
    Ended { end: End, how: String },
}

impl Supervisor {
    pub(super) fn new(table: Rc<ServiceTable>, known: Rc<Known>, process: Process) -> Self {
        let definition = known.record.borrow().definition.clone();
        let name = definition.service.clone();
        let job = job_of(&name);
        Self { table, known, name, job, definition, process, ready: Cell::new(None) }
    }

    /// The whole life.
    pub(super) async fn run(self, begin: Begin) {
        if begin == Begin::Leftover {
            self.end_process().await;
        }
        let mut has_process = begin == Begin::Kept;
        if !has_process {
            let others = tokio::select! {
                others = self.others() => others,
                () = self.known.stop.cancelled() => return self.stopped_early(),
            };
            if let Err(reason) = others {
                return self.failed(reason);
            }
        }
        let mut in_a_row = 0;
        loop {
            let (end, how) = match self.life_of(std::mem::take(&mut has_process)).await {
                Outcome::Stopped => return,
                Outcome::Lost(reason) => return self.step(ServiceStep::Lose, Some(reason)),
                Outcome::Ended { end, how } => (end, how),
            };
            if self.ready.take().is_some_and(|since| since.elapsed() >= STEADY) {
                in_a_row = 0;
            }
            let pause = match verdict(&self.definition.ending, end, in_a_row) {
                Verdict::Retry(pause) => pause,
                Verdict::Finish => {
                    self.step(ServiceStep::Finish, Some(how));
                    return self.note_stopped();
                }
                Verdict::GiveUp => return self.failed(how),
                Verdict::Exhausted(limit) => {
                    return self.failed(format!("{how}, after {limit} restarts in a row"));
                }
            };
            in_a_row += 1;
            self.note_failed(&how);
            self.step(ServiceStep::Retry, Some(how));
            tokio::select! {
                () = sleep(pause) => {}
                () = self.known.stop.cancelled() => return self.stopped_early(),
            }
        }
    }

    /// Waits until the services are ready that this one comes after.
    async fn others(&self) -> Result<(), String> {
        for other in &self.definition.after {
            let gone = || format!("the service `{other}` is gone");
            let known = self.table.find(other).ok_or_else(gone)?;
            let mut record = known.record.subscribe();
            let is_over = |state: ServiceState| state == ServiceState::Ready || !state.is_live();
            let state = record.wait_for(|record| is_over(record.state)).await;
            let state = state.map_err(|_| gone())?.state;
            if state != ServiceState::Ready {
                return Err(format!("the service `{other}`, which it comes after, is {state}"));
            }
        }
        Ok(())
    }

    /// One process, from its start to its end.
    async fn life_of(&self, has_process: bool) -> Outcome {
        let checker = Checker::new(&self.table, &self.job, &self.definition, &self.process.exec);
        let begun = if has_process {
            if !self.table.jobs.is_here(&self.job).await {
                return self.ended();
            }
            Ok(())
        } else {
            self.step(ServiceStep::Run, None);
            self.start().await
        };
        if let Err(error) = begun {
            let causes: String = error.causes.iter().map(|cause| format!(": {cause}")).collect();
            let how = format!("{}{causes}", error.message);
            return Outcome::Ended { end: End::Hopeless, how };
        }
        let trouble = tokio::select! {
            () = self.table.jobs.until_ended(&self.job) => return self.ended(),
            trouble = self.watch(&checker) => trouble,
            () = self.known.stop.cancelled() => {
                self.step(ServiceStep::Stop, None);
                self.end_process().await;
                self.step(ServiceStep::Stopped, None);
                self.note_stopped();
                return Outcome::Stopped;
            }
        };
        self.end_process().await;
        Outcome::Ended { end: End::Failure, how: trouble }
    }

    async fn start(&self) -> Result<(), OpError> {
        let job = JobKind::Service { name: self.name.to_string() };
        let id = self.job.clone();
        let Process { exec, secrets } = self.process.clone();
        self.table.jobs.start(StartJob { id, job, exec, secrets }).await
    }

    /// Checks until something is wrong for which the process has to end.
    async fn watch(&self, checker: &Checker<'_>) -> String {
        let readiness = &self.definition.readiness;
        if self.state() == ServiceState::Starting {
            let longest = readiness.ready_timeout.map_or(READY_TIMEOUT, TimeSpan::duration);
            if timeout(longest, checker.passes()).await.is_err() {
                let missing = checker.missing();
                return format!("it was not ready after {longest:?}: {missing}");
            }
            self.step(ServiceStep::Pass, None);
            self.table.scribe.note(LedgerEvent::ServiceReady { service: self.name.to_string() });
        }
        self.ready.set(Some(Instant::now()));
        let Some(interval) = readiness.health_interval.map(TimeSpan::duration) else {
            return std::future::pending().await;
        };
        let allowed = readiness.health_failures.unwrap_or(HEALTH_FAILURES);
        let mut failures = 0;
        loop {
            sleep(interval).await;
            match (checker.once().await, self.state()) {
                (Ok(()), state) => {
                    failures = 0;
                    if state == ServiceState::Unhealthy {
                        self.step(ServiceStep::Pass, None);
                    }
                }
                (Err(missing), ServiceState::Ready) => {
                    failures += 1;
                    if failures < allowed {
                        continue;
                    }
                    let reason = format!("unhealthy: {missing}");
                    self.step(ServiceStep::Sicken, Some(missing));
                    if self.definition.ending.restart != RestartPolicy::Never {
                        return reason;
                    }
                    self.note_failed(&reason);
                }
                (Err(_), _) => {}
            }
        }
    }

    /// Asks the process to end and waits until all of it has.
    async fn end_process(&self) {
        let ending = &self.definition.ending;
        let grace = ending.stop_timeout.map_or(STOP_GRACE, TimeSpan::duration);
        let signal = ending.stop_signal.map_or(STOP_SIGNAL, |signal| signal.number());
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        // An error means that it has ended.
        if self.table.jobs.order(&self.job, JobOrder::Stop { signal, grace_ms }).await.is_ok() {
            let longest = grace.saturating_add(BURIAL);
            if timeout(longest, self.table.jobs.until_ended(&self.job)).await.is_err() {
                tracing::error!(service = %self.name, "the guest does not end a process");
            }
        }
    }

    /// How the process ended, as its record says.
    fn ended(&self) -> Outcome {
        let state = self.table.job_files.find(&self.job).map(|record| record.state);
        let (exit_code, end) = match state {
            Some(JobState::Ended { end, exit_code, .. }) => (exit_code, end),
            Some(JobState::Lost { reason, .. }) => return Outcome::Lost(reason),
            Some(JobState::Running) | None => {
                return Outcome::Lost("nobody knows how its process ended".to_owned());
            }
        };
        let early = self.state() == ServiceState::Starting;
        let mut how = match end {
            CommandEnd::Exited => format!("its process exited with code {exit_code}"),
            CommandEnd::Signaled { signal } => format!("signal {signal} ended its process"),
            CommandEnd::TimedOut => "the time of its process was up".to_owned(),
        };
        if early {
            how.push_str(" before it was ready");
        }
        let end = if exit_code == 0 && !early { End::Success } else { End::Failure };
        Outcome::Ended { end, how }
    }

    fn state(&self) -> ServiceState {
        self.known.record.borrow().state
    }

    fn step(&self, step: ServiceStep, reason: Option<String>) {
        self.table.step(&self.known, step, reason);
    }

    /// It is stopped while it has no process.
    fn stopped_early(&self) {
        self.step(ServiceStep::Stop, None);
        self.step(ServiceStep::Stopped, None);
        self.note_stopped();
    }

    fn failed(&self, reason: String) {
        self.note_failed(&reason);
        self.step(ServiceStep::GiveUp, Some(reason));
    }

    fn note_failed(&self, reason: &str) {
        let (service, reason) = (self.name.to_string(), reason.to_owned());
        self.table.scribe.note(LedgerEvent::ServiceFailed { service, reason }.bounded());
    }

    fn note_stopped(&self) {
        self.table.scribe.note(LedgerEvent::ServiceStopped { service: self.name.to_string() });
    }
}
