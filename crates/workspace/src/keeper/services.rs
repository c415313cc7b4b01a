//! Services while their machine runs: one supervisor each.
//!
//! ```text
//! start ──▶ record, ports ──▶ supervisor: waits for others, process, checks, restarts
//! stop  ──▶ token ──────────────┘   │
//!                                   └── every step is judged, written, told
//! ```
//!
//! * [`supervisor`] is the life of one service; `verdict` decides what follows
//!   when a process has ended; `checks` finds out whether a service is ready.
//! * A service's process is a job (`keeper/jobs`): its output is kept there, and
//!   it survives a restore of the machine, after which [`ServiceTable::go_on`]
//!   looks after it again.
//!
//! **Failure paths.** A machine that is stopped or put back halts all services,
//! and none is started again by itself: what a service needs (a port, a lock,
//! half-written files) may not be there any more, so whoever wants it says so.
//! A keeper that is killed leaves records that are out of date; the next one
//! writes down that those services are lost.

mod checks;
mod supervisor;
mod verdict;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use guest_protocol::message::Exec;
use jiff::Timestamp;
use operation::{ErrorKind, OpError};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use workspace_api::ledger::LedgerEvent;
use workspace_api::port::PortMapping;
use workspace_api::service::{ServiceName, ServiceState, ServiceStep, Start, next};

use self::supervisor::{Begin, Supervisor};
use super::concealment::Concealment;
use super::inside::Inside;
use super::jobs::{JobOrder, JobTable};
use super::ports::{Port, PortTable};
use super::scribe::Scribe;
use crate::jobs::{JobId, JobRecord, Jobs};
use crate::services::{ServiceFiles, ServiceRecord, exec_of, job_of};

/// How long a process may take to end unless somebody says.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// The signal that asks a process to end unless somebody says: SIGTERM.
const STOP_SIGNAL: i32 = 15;

/// How many services a workspace may have.
const SERVICES_MAX: usize = 64;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ServiceUntil {
    /// It is ready, or has ended before it was.
    Up,
    /// It has ended.
    Down,
}

/// How many services there are.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ServiceCounts {
    pub(crate) running: usize,
    pub(crate) ready: usize,
    pub(crate) failed: usize,
}

/// All services of a keeper.
#[derive(Debug)]
pub(crate) struct ServiceTable {
    files: ServiceFiles,
    job_files: Jobs,
    jobs: Rc<JobTable>,
    ports: Rc<PortTable>,
    inside: Inside,
    scribe: Scribe,
    concealment: Concealment,
    known: RefCell<BTreeMap<ServiceName, Rc<Known>>>,
}

/// A service, looked after or not.
#[derive(Debug)]
struct Known {
    record: watch::Sender<ServiceRecord>,
    stop: CancellationToken,
    supervisor: RefCell<Option<AbortHandle>>,
}

/// What the table works with.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) files: ServiceFiles,
    pub(crate) job_files: Jobs,
    pub(crate) jobs: Rc<JobTable>,
    pub(crate) ports: Rc<PortTable>,
    pub(crate) inside: Inside,
    pub(crate) scribe: Scribe,
    pub(crate) concealment: Concealment,
}

/// What runs as a service.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) exec: Exec,
    /// Names of the secrets that are among its variables.
    pub(crate) secrets: Vec<String>,
}

impl ServiceTable {
    /// No service runs yet; what an earlier keeper looked after is lost.
    pub(crate) fn new(parts: Parts) -> Rc<Self> {
        let Parts { files, job_files, jobs, ports, inside, scribe, concealment } = parts;
        let table = Self {
            files,
            job_files,
            jobs,
            ports,
            inside,
            scribe,
            concealment,
            known: RefCell::default(),
        };
        for record in table.files.list().unwrap_or_default() {
            let known = Rc::new(Known::new(record));
            table.known.borrow_mut().insert(known.name(), Rc::clone(&known));
        }
        table.end_all(ServiceStep::Lose, "its machine ended");
        Rc::new(table)
    }

    /// Starts a service. It is on record then and has its ports; its process
    /// comes later.
    pub(crate) fn start(
        self: &Rc<Self>,
        definition: Start,
        process: Process,
    ) -> Result<(), OpError> {
        let name = definition.service.clone();
        let earlier = self.find(&name).map(|known| known.record.borrow().clone());
        if let Some(earlier) = &earlier
            && earlier.state.is_live()
        {
            let message = format!("the service `{name}` is {} already", earlier.state);
            return Err(OpError::plain(ErrorKind::Conflict, message)
                .hinted("stop it first, or restart it as it was defined"));
        }
        if earlier.is_none() && self.known.borrow().len() >= SERVICES_MAX {
            let message = format!("{SERVICES_MAX} services are defined already");
            return Err(OpError::plain(ErrorKind::Exhausted, message)
                .hinted("start another one under the name of one that has ended"));
        }
        if self.concealment.data(definition.clone()) != definition {
            let message = "the definition of the service holds the value of a secret";
            return Err(OpError::plain(ErrorKind::Denied, message)
                .hinted("it is written down: give the service the secret with `--secret`"));
        }
        self.judge_order(&definition)?;
        let ports = self.publish(&definition, earlier.as_ref())?;
        let (state, started_at) = (ServiceState::Stopped, Timestamp::now());
        let (reason, restarts, ready_at) = (None, 0, None);
        let record = ServiceRecord {
            definition,
            state: earlier.map_or(state, |earlier| earlier.state),
            reason,
            restarts,
            ports,
            started_at,
            ready_at,
        };
        let known = Rc::new(Known::new(record));
        self.known.borrow_mut().insert(name.clone(), Rc::clone(&known));
        self.scribe.note(LedgerEvent::ServiceStarted {
            service: name.to_string(),
            argv: process.exec.argv.clone(),
            secrets: process.secrets.clone(),
        });
        self.step(&known, ServiceStep::Start, None);
        self.supervise(&known, process, Begin::Waiting);
        Ok(())
    }

    /// The services that are looked after.
    pub(crate) fn under_way(&self) -> Vec<ServiceRecord> {
        let known = self.known.borrow();
        let records = known.values().map(|known| known.record.borrow().clone());
        records.filter(|record| record.state.is_live()).collect()
    }

    /// Goes on with the services that were looked after when the machine was
    /// saved, as they were then. The job table goes on with the jobs.
    pub(crate) fn go_on(self: &Rc<Self>, services: Vec<ServiceRecord>, jobs: &[JobRecord]) {
        for record in services {
            let job = job_of(record.name());
            let has_process = jobs.iter().any(|kept| kept.id == job);
            self.adopt(record, has_process);
        }
    }

    /// Looks after a service again; the guest may have kept its process.
    fn adopt(self: &Rc<Self>, mut record: ServiceRecord, has_process: bool) {
        let (name, was) = (record.name().clone(), record.state);
        let is_ours = self.find(&name).is_some();
        let process = self.process_of(&record.definition);
        if !is_ours {
            // A copy of a workspace begins without any ports.
            record.ports.clear();
        }
        for &PortMapping { guest, host } in &record.ports {
            let service = Some(name.to_string());
            if let Err(error) = self.ports.publish(Port { guest, host, service }) {
                tracing::warn!(%error, service = %name, "a port is not published again");
            }
        }
        let begin = match (was, has_process) {
            (ServiceState::Starting | ServiceState::Ready | ServiceState::Unhealthy, true) => {
                Begin::Kept
            }
            // It had none yet, or it ended while the machine was being saved.
            (_, has_process) => {
                record.state = ServiceState::Waiting;
                if has_process { Begin::Leftover } else { Begin::Waiting }
            }
        };
        let known = Rc::new(Known::new(record));
        self.write(&known.record.borrow());
        self.known.borrow_mut().insert(name.clone(), Rc::clone(&known));
        match process {
            Ok(process) => self.supervise(&known, process, begin),
            Err(error) => {
                self.step(&known, ServiceStep::GiveUp, Some(error.message));
                self.abandon(job_of(&name));
            }
        }
    }

    /// Has a process ended that nobody looks after.
    fn abandon(&self, job: JobId) {
        let jobs = Rc::clone(&self.jobs);
        tokio::task::spawn_local(async move {
            let grace_ms = u64::try_from(STOP_GRACE.as_millis()).unwrap_or(u64::MAX);
            // An error means that it has ended.
            let _ = jobs.order(&job, JobOrder::Stop { signal: STOP_SIGNAL, grace_ms }).await;
        });
    }

    /// What runs as a service, with the present values of its secrets.
    fn process_of(&self, definition: &Start) -> Result<Process, OpError> {
        let mut exec = exec_of(definition)?;
        let secrets = self.concealment.give(&definition.options.secret, &mut exec)?;
        Ok(Process { exec, secrets })
    }

    fn supervise(self: &Rc<Self>, known: &Rc<Known>, process: Process, begin: Begin) {
        let supervisor = Supervisor::new(Rc::clone(self), Rc::clone(known), process);
        let task = tokio::task::spawn_local(supervisor.run(begin));
        *known.supervisor.borrow_mut() = Some(task.abort_handle());
    }

    /// Refuses what could never become ready: a service after one that does not
    /// run, or after itself by whatever way.
    fn judge_order(&self, definition: &Start) -> Result<(), OpError> {
        let name = &definition.service;
        for other in &definition.after {
            if let Some(way) = self.way(other, name, &mut vec![name.clone()]) {
                let way: Vec<&str> = way.iter().map(ServiceName::as_str).collect();
                let message = format!("`{name}` would wait for itself: {}", way.join(" after "));
                return Err(OpError::plain(ErrorKind::Conflict, message));
            }
            let known = self.find(other).ok_or_else(|| {
                OpError::plain(ErrorKind::NotFound, format!("there is no service `{other}`"))
                    .hinted(format!("start `{other}` before what comes after it"))
            })?;
            let state = known.record.borrow().state;
            if !state.is_live() {
                let message = format!("the service `{other}` is {state}");
                return Err(OpError::plain(ErrorKind::Conflict, message)
                    .during(format!("`{name}` cannot come after it"))
                    .hinted(format!("start `{other}` first")));
            }
        }
        Ok(())
    }

    /// How one service comes after another, if it does.
    fn way(
        &self,
        from: &ServiceName,
        to: &ServiceName,
        walked: &mut Vec<ServiceName>,
    ) -> Option<Vec<ServiceName>> {
        if from != to && walked.contains(from) {
            return None;
        }
        walked.push(from.clone());
        if from == to {
            return Some(walked.clone());
        }
        let after = self.find(from).map(|known| known.record.borrow().definition.after.clone());
        let found = after.into_iter().flatten().find_map(|next| self.way(&next, to, walked));
        if found.is_none() {
            walked.pop();
        }
        found
    }

    /// Publishes a service's ports, all or none, at those that it had last.
    fn publish(
        &self,
        definition: &Start,
        earlier: Option<&ServiceRecord>,
    ) -> Result<Vec<PortMapping>, OpError> {
        let mut published = Vec::new();
        for &PortMapping { guest, host } in &definition.publish {
            let service = Some(definition.service.to_string());
            let port = |host| Port { guest, host, service: service.clone() };
            let last = earlier.and_then(|earlier| {
                earlier.ports.iter().find(|port| port.guest == guest && host.is_none())?.host
            });
            let again = last.and_then(|last| self.ports.publish(port(Some(last))).ok());
            let told = match again {
                Some(told) => Ok(told),
                None => self.ports.publish(port(host)),
            };
            match told {
                Ok(told) => {
                    let host = std::num::NonZeroU16::new(told.host_port);
                    published.push(PortMapping { guest, host });
                }
                Err(error) => {
                    self.ports.release(&definition.service);
                    return Err(error);
                }
            }
        }
        Ok(published)
    }

    /// Has a service stopped; its supervisor does that.
    pub(crate) fn stop(&self, name: &ServiceName) -> Result<(), OpError> {
        self.find(name).ok_or_else(|| unknown(name))?.stop.cancel();
        Ok(())
    }

    /// Waits for something of a service, at most until the deadline. How it is
    /// then.
    pub(crate) async fn wait(
        &self,
        name: &ServiceName,
        until: ServiceUntil,
        deadline: Duration,
    ) -> Result<ServiceState, OpError> {
        let known = self.find(name).ok_or_else(|| unknown(name))?;
        let mut record = known.record.subscribe();
        let is_so = |record: &ServiceRecord| match record.state {
            ServiceState::Ready | ServiceState::Unhealthy => until == ServiceUntil::Up,
            state => !state.is_live(),
        };
        let _ = timeout(deadline, record.wait_for(is_so)).await;
        Ok(record.borrow().state)
    }

    /// How many there are.
    pub(crate) fn counts(&self) -> ServiceCounts {
        let mut counts = ServiceCounts::default();
        for known in self.known.borrow().values() {
            let state = known.record.borrow().state;
            counts.running += usize::from(state.is_live());
            counts.ready += usize::from(state == ServiceState::Ready);
            counts.failed += usize::from(state == ServiceState::Failed);
        }
        counts
    }

    /// Ends all supervisors, because there is no machine for them any more.
    pub(crate) fn end_all(&self, step: ServiceStep, reason: &str) {
        for known in self.known.borrow().values() {
            if let Some(supervisor) = known.supervisor.borrow_mut().take() {
                supervisor.abort();
            }
            if known.record.borrow().state.is_live() {
                self.step(known, step, Some(reason.to_owned()));
            }
        }
    }

    /// Ends all supervisors and leaves the records as they are: whoever wakes the
    /// machine goes on with them.
    pub(crate) fn let_go(&self) {
        for known in self.known.borrow().values() {
            if let Some(supervisor) = known.supervisor.borrow_mut().take() {
                supervisor.abort();
            }
        }
    }

    fn find(&self, name: &ServiceName) -> Option<Rc<Known>> {
        self.known.borrow().get(name).cloned()
    }

    /// Takes a service one step further: judged, written down, told.
    fn step(&self, known: &Known, step: ServiceStep, reason: Option<String>) {
        let mut record = known.record.borrow().clone();
        let was = record.state;
        record.state = match next(was, step) {
            Ok(state) => state,
            Err(illegal) => {
                tracing::error!(%illegal, service = %record.name(), "a step that is not legal");
                return;
            }
        };
        tracing::debug!(service = %record.name(), %was, now = %record.state, ?reason, "a step");
        record.reason = reason.map(|reason| self.concealment.text(reason));
        record.restarts += u32::from(was == ServiceState::BackingOff && step == ServiceStep::Run);
        if record.state == ServiceState::Ready {
            record.ready_at = Some(Timestamp::now());
        }
        self.write(&record);
        if !record.state.is_live() {
            self.ports.release(record.name());
        }
        known.record.send_replace(record);
    }

    fn write(&self, record: &ServiceRecord) {
        if let Err(error) = self.files.write(record) {
            tracing::error!(%error, service = %record.name(), "a record could not be written");
        }
    }
}

impl Known {
    fn new(record: ServiceRecord) -> Self {
        Self {
            record: watch::Sender::new(record),
            stop: CancellationToken::new(),
            supervisor: RefCell::default(),
        }
    }

    fn name(&self) -> ServiceName {
        self.record.borrow().name().clone()
    }
}

fn unknown(name: &ServiceName) -> OpError {
    OpError::plain(ErrorKind::NotFound, format!("there is no service `{name}`"))
        .hinted("`hotcell service list` shows what there is")
}
