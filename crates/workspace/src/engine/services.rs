//! Operations on services.

use std::time::Duration;

use operation::{Call, ErrorKind, Handler, NoEvents, OpError};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use workspace_api::output::OutputBytes;
use workspace_api::service::{
    CheckKind, List, LogChannel, LogEvent, Logs, Restart, Service, ServiceLog, ServiceLogs,
    ServiceName, ServiceState, Services, Start, Status, Stop,
};

use super::Engine;
use super::jobs::{has_its_memory, status};
use super::terms::shown;
use crate::exec::DEFAULT_DIRECTORY;
use crate::jobs::log::{self, Excerpt};
use crate::keeper::asking::{AwaitService, StartService, StopService};
use crate::keeper::client::KeeperConnection;
use crate::keeper::services::ServiceUntil;
use crate::services::{ServiceFiles, ServiceRecord, exec_of, job_of};
use crate::store::Record;

/// How long one question to a keeper waits; longer waits are several questions.
const WAIT_STEP: Duration = Duration::from_secs(60);

/// How often a log that is followed is looked at.
const FOLLOW_POLL: Duration = Duration::from_millis(100);

/// How many lines are read unless somebody says.
const TAIL_DEFAULT: u32 = 200;

/// How much of a service's last words an error tells, in lines and in bytes.
const LAST_WORDS: u32 = 5;
const LAST_WORDS_BYTES: u32 = 2048;

impl Handler<Start> for Engine {
    async fn handle(&self, start: Start, call: &mut Call<NoEvents>) -> Result<Service, OpError> {
        let workspace = self.store.find(&start.workspace)?;
        let mut connection = self.connect(&workspace).await?;
        self.start_service(&workspace, &mut connection, start, &call.cancel).await
    }
}

impl Handler<List> for Engine {
    async fn handle(&self, list: List, _: &mut Call<NoEvents>) -> Result<Services, OpError> {
        let workspace = self.store.find(&list.workspace)?;
        let found = self.services_of(&workspace).list()?;
        let services = found.into_iter().map(|record| self.service_told(&workspace, record));
        Ok(Services { services: services.collect() })
    }
}

impl Handler<Status> for Engine {
    async fn handle(&self, status: Status, _: &mut Call<NoEvents>) -> Result<Service, OpError> {
        let workspace = self.store.find(&status.workspace)?;
        let record = self.find_service(&workspace, &status.service)?;
        Ok(self.service_told(&workspace, record))
    }
}

impl Handler<Stop> for Engine {
    async fn handle(&self, stop: Stop, call: &mut Call<NoEvents>) -> Result<Service, OpError> {
        let workspace = self.store.find(&stop.workspace)?;
        let record = self.find_service(&workspace, &stop.service)?;
        if self.service_told(&workspace, record).state.is_live() {
            let mut connection = self.connect(&workspace).await?;
            stop_service(&mut connection, &stop.service, &call.cancel).await?;
        }
        let record = self.find_service(&workspace, &stop.service)?;
        Ok(self.service_told(&workspace, record))
    }
}

impl Handler<Restart> for Engine {
    async fn handle(
        &self,
        restart: Restart,
        call: &mut Call<NoEvents>,
    ) -> Result<Service, OpError> {
        let workspace = self.store.find(&restart.workspace)?;
        let record = self.find_service(&workspace, &restart.service)?;
        let mut connection = self.connect(&workspace).await?;
        if record.state.is_live() {
            stop_service(&mut connection, &restart.service, &call.cancel).await?;
        }
        let start = Start { workspace: restart.workspace, no_wait: false, ..record.definition };
        self.start_service(&workspace, &mut connection, start, &call.cancel).await
    }
}

impl Handler<Logs> for Engine {
    async fn handle(&self, logs: Logs, call: &mut Call<LogEvent>) -> Result<ServiceLogs, OpError> {
        let workspace = self.store.find(&logs.workspace)?;
        let record = self.find_service(&workspace, &logs.service)?;
        let wanted = |channel: LogChannel| [LogChannel::Both, channel].contains(&logs.channel);
        let read = |channel| self.first_of_log(&workspace, &logs, channel).map(Some);
        let mut stdout = if wanted(LogChannel::Stdout) { read("stdout")? } else { None };
        let mut stderr = if wanted(LogChannel::Stderr) { read("stderr")? } else { None };
        let mut state = self.service_told(&workspace, record).state;
        if logs.follow {
            state = self.follow(&logs, [&mut stdout, &mut stderr], call).await?;
        }
        Ok(ServiceLogs { service: logs.service, state, stdout, stderr })
    }
}

impl Engine {
    async fn start_service(
        &self,
        workspace: &Record,
        connection: &mut KeeperConnection,
        start: Start,
        cancel: &CancellationToken,
    ) -> Result<Service, OpError> {
        judge(&start)?;
        let mut exec = exec_of(&start)?;
        let secrets = self.give(workspace, connection, &start.options.secret, &mut exec).await?;
        let (name, waits) = (start.service.clone(), !start.no_wait);
        connection.ask(StartService { definition: start, exec, secrets }).await?;
        if waits {
            wait(connection, &name, ServiceUntil::Up, cancel).await?;
        }
        let service = self.service_told(workspace, self.find_service(workspace, &name)?);
        match service.state {
            ServiceState::Failed | ServiceState::Lost => Err(self.not_started(workspace, service)),
            _ => Ok(service),
        }
    }

    fn not_started(&self, workspace: &Record, service: Service) -> OpError {
        let name = &service.name;
        let reason = service.reason.unwrap_or_else(|| format!("it is {}", service.state));
        let mut error = OpError::plain(ErrorKind::Unavailable, reason)
            .during(format!("the service `{name}` did not get ready"))
            .hinted(format!("`hotcell service logs {} {name}` shows what it wrote", workspace.id));
        for channel in ["stdout", "stderr"] {
            // What cannot be read here is still where the hint says.
            let read = self.tail_of_log(workspace, name, channel, LAST_WORDS, LAST_WORDS_BYTES);
            let Ok(Excerpt { bytes, .. }) = read else { continue };
            let words = String::from_utf8_lossy(&bytes).trim().to_owned();
            error.causes.extend((!words.is_empty()).then(|| format!("{channel}: {words}")));
        }
        error
    }

    fn services_of(&self, workspace: &Record) -> ServiceFiles {
        ServiceFiles::at(self.home.workspace(workspace.id).services())
    }

    fn find_service(
        &self,
        workspace: &Record,
        name: &ServiceName,
    ) -> Result<ServiceRecord, OpError> {
        self.services_of(workspace).find(name).ok_or_else(|| {
            OpError::plain(ErrorKind::NotFound, format!("there is no service `{name}`"))
                .hinted(format!("`hotcell service list {}` shows what there is", workspace.id))
        })
    }

    /// How a service is, as far as its record and its workspace tell.
    fn service_told(&self, workspace: &Record, record: ServiceRecord) -> Service {
        let ServiceRecord { definition, mut state, mut reason, .. } = record;
        // The next keeper will write that down.
        if state.is_live() && !has_its_memory(workspace.state) {
            state = ServiceState::Lost;
            reason = workspace.reason.clone().or_else(|| Some("its machine ended".to_owned()));
        }
        let jobs = self.jobs_of(workspace);
        let process = jobs.find(&job_of(&definition.service));
        Service {
            name: definition.service,
            state,
            reason,
            argv: definition.command,
            cwd: definition.options.cwd.unwrap_or_else(|| DEFAULT_DIRECTORY.to_owned()),
            ready: definition.readiness.ready,
            restart: definition.ending.restart,
            restarts: record.restarts,
            after: definition.after,
            // It has those that it had again when it is started, if it can.
            ports: if state.is_live() { record.ports } else { Vec::new() },
            started_at: shown(record.started_at),
            ready_at: record.ready_at.map(shown),
            process: process.map(|process| status(workspace, &jobs, &process)),
        }
    }

    /// What a reader of a log gets at first.
    fn first_of_log(
        &self,
        workspace: &Record,
        logs: &Logs,
        channel: &str,
    ) -> Result<ServiceLog, OpError> {
        let excerpt = match logs.cursor {
            Some(cursor) => self.log(workspace, &logs.service, channel, cursor, logs.max_bytes)?,
            None => {
                let lines = logs.tail.unwrap_or(TAIL_DEFAULT);
                self.tail_of_log(workspace, &logs.service, channel, lines, logs.max_bytes)?
            }
        };
        Ok(ServiceLog {
            cursor: excerpt.begin,
            next_cursor: excerpt.begin + excerpt.bytes.len() as u64,
            total_bytes: excerpt.end,
            skipped_bytes: logs.cursor.map_or(0, |cursor| excerpt.begin.saturating_sub(cursor)),
            output: OutputBytes(excerpt.bytes),
        })
    }

    fn tail_of_log(
        &self,
        workspace: &Record,
        service: &ServiceName,
        channel: &str,
        lines: u32,
        most: u32,
    ) -> Result<Excerpt, OpError> {
        let end = self.log(workspace, service, channel, u64::MAX, 1)?.end;
        let from = end.saturating_sub(most.into());
        let mut excerpt = self.log(workspace, service, channel, from, most)?;
        let begin = begin_of_last_lines(&excerpt.bytes, lines);
        excerpt.bytes.drain(..begin);
        excerpt.begin += begin as u64;
        Ok(excerpt)
    }

    fn log(
        &self,
        workspace: &Record,
        service: &ServiceName,
        channel: &str,
        from: u64,
        most: u32,
    ) -> Result<Excerpt, OpError> {
        let directory = self.jobs_of(workspace).directory(&job_of(service));
        if !directory.exists() {
            // It has not had a process yet.
            return Ok(Excerpt { begin: 0, bytes: Vec::new(), end: 0 });
        }
        let most = usize::try_from(most).expect("usize holds 32 bits here");
        Ok(log::read(&directory, channel, from, most)?)
    }

    /// Tells what a service has written and writes until it ends or nobody wants
    /// to hear it any more.
    async fn follow(
        &self,
        logs: &Logs,
        channels: [&mut Option<ServiceLog>; 2],
        call: &mut Call<LogEvent>,
    ) -> Result<ServiceState, OpError> {
        let event = |channel, bytes| match channel {
            "stdout" => LogEvent::Stdout { bytes },
            _ => LogEvent::Stderr { bytes },
        };
        let mut channels: Vec<(&str, &mut ServiceLog)> = ["stdout", "stderr"]
            .into_iter()
            .zip(channels)
            .filter_map(|(name, log)| Some((name, log.as_mut()?)))
            .collect();
        for (channel, log) in &mut channels {
            let bytes = std::mem::take(&mut log.output);
            if !bytes.0.is_empty() {
                call.emit(event(channel, bytes)).await;
            }
        }
        loop {
            let workspace = self.store.find(&logs.workspace)?;
            // Asked first: what ends after that may write more.
            let state =
                self.service_told(&workspace, self.find_service(&workspace, &logs.service)?).state;
            let mut is_silent = true;
            for (channel, log) in &mut channels {
                let (from, most) = (log.next_cursor, logs.max_bytes);
                let read = self.log(&workspace, &logs.service, channel, from, most)?;
                log.next_cursor = read.begin + read.bytes.len() as u64;
                log.total_bytes = read.end;
                log.skipped_bytes += read.begin.saturating_sub(from);
                if !read.bytes.is_empty() {
                    is_silent = false;
                    call.emit(event(channel, OutputBytes(read.bytes))).await;
                }
            }
            if call.cancel.is_cancelled() || (is_silent && !state.is_live()) {
                return Ok(state);
            }
            if is_silent {
                tokio::select! {
                    () = sleep(FOLLOW_POLL) => {}
                    () = call.cancel.cancelled() => {}
                }
            }
        }
    }
}

/// Refuses a definition that makes no sense.
fn judge(start: &Start) -> Result<(), OpError> {
    let invalid = |message: &str| Err(OpError::plain(ErrorKind::InvalidRequest, message));
    let check = start.readiness.ready.as_ref().map(workspace_api::service::Check::kind);
    match check {
        None if start.readiness.health_interval.is_some() => {
            invalid("there is no check to go on with: say when the service is ready")
        }
        Some(CheckKind::Log(_)) if start.readiness.health_interval.is_some() => {
            invalid("a line of the log is written once: health needs another check")
        }
        _ => Ok(()),
    }
}

async fn stop_service(
    connection: &mut KeeperConnection,
    name: &ServiceName,
    cancel: &CancellationToken,
) -> Result<(), OpError> {
    connection.ask(StopService { service: name.clone() }).await?;
    wait(connection, name, ServiceUntil::Down, cancel).await
}

async fn wait(
    connection: &mut KeeperConnection,
    name: &ServiceName,
    until: ServiceUntil,
    cancel: &CancellationToken,
) -> Result<(), OpError> {
    loop {
        let deadline_ms = u64::try_from(WAIT_STEP.as_millis()).unwrap_or(u64::MAX);
        let ask = AwaitService { service: name.clone(), until, deadline_ms };
        let state = tokio::select! {
            state = connection.ask(ask) => state?,
            () = cancel.cancelled() => {
                let message = "waiting was cancelled; what was waited for goes on";
                return Err(OpError::plain(ErrorKind::Cancelled, message));
            }
        };
        let is_up = matches!(state, ServiceState::Ready | ServiceState::Unhealthy);
        if !state.is_live() || (until == ServiceUntil::Up && is_up) {
            return Ok(());
        }
    }
}

/// Where the last lines of a text begin.
fn begin_of_last_lines(text: &[u8], lines: u32) -> usize {
    let lines = usize::try_from(lines).expect("usize holds 32 bits here");
    // The end of the last line begins no other.
    let whole = text.len() - usize::from(text.ends_with(b"\n"));
    let ends = text[..whole].iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    match lines.checked_sub(1) {
        None => text.len(),
        Some(before) => ends.map(|(at, _)| at + 1).nth(before).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_found_however_the_text_ends() {
        for (text, lines, expected) in [
            ("a\nb\nc\n", 2, "b\nc\n"),
            ("a\nb\nc", 2, "b\nc"),
            ("a\nb\nc\n", 3, "a\nb\nc\n"),
            ("a\n", 100, "a\n"),
            ("a\nb\n", 0, ""),
            ("", 5, ""),
            ("\n\n", 1, "\n"),
        ] {
            let begin = begin_of_last_lines(text.as_bytes(), lines);
            assert_eq!(&text[begin..], expected, "{text:?} {lines}");
        }
    }
}
