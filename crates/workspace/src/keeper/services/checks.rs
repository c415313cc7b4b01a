//! Whether a service is ready: looked at from inside the guest, or in its log.
//!
//! A probe of the guest's tools tries again by itself for a while, so waiting
//! costs a process per some seconds. Everything is bounded, whatever the guest
//! answers or leaves out.

use std::cell::RefCell;
use std::time::Duration;

use guest_protocol::TOOLS_PATH;
use guest_protocol::message::{End, Exec, Stdin};
use guest_protocol::path::ROOT;
use guest_protocol::tools::probe::{self, Probe, Probed, Target};
use guest_protocol::tools::{self, Answer, EXIT_UNKNOWN};
use operation::OpError;
use regex::bytes::Regex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};
use workspace_api::service::{Check, CheckKind, Start};
use workspace_api::time::TimeSpan;

use super::ServiceTable;
use crate::jobs::{JobId, log};

/// Time between two checks of a service that is not ready, unless somebody says.
const INTERVAL: Duration = Duration::from_millis(200);

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(5);

/// How long one probe tries again by itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// How much later than the guest the host gives up.
const LATE: Duration = Duration::from_secs(10);

/// The longest answer of a probe, in bytes.
const ANSWER_MAX: usize = 64 * 1024;

/// The longest part of a line that an expression is looked for in, in bytes.
const LINE_MAX: usize = 64 * 1024;

/// How much of a log is read at once, in bytes.
const CHUNK: usize = 64 * 1024;

/// Checks one process of a service.
pub(super) struct Checker<'a> {
    table: &'a ServiceTable,
    job: &'a JobId,
    check: Option<&'a CheckKind>,
    interval: Duration,
    exec: &'a Exec,
    /// Where the output of this process begins.
    begins: [(&'static str, u64); 2],
    missing: RefCell<String>,
}

impl<'a> Checker<'a> {
    /// For a process that is about to be started.
    pub(super) fn new(
        table: &'a ServiceTable,
        job: &'a JobId,
        definition: &'a Start,
        exec: &'a Exec,
    ) -> Self {
        let readiness = &definition.readiness;
        let begin = |channel| (channel, table.job_files.written(job, channel));
        Self {
            table,
            job,
            check: readiness.ready.as_ref().map(Check::kind),
            interval: readiness.ready_interval.map_or(INTERVAL, TimeSpan::duration),
            exec,
            begins: [begin("stdout"), begin("stderr")],
            missing: RefCell::new("no check has ended".to_owned()),
        }
    }

    /// What was wrong last.
    pub(super) fn missing(&self) -> String {
        self.missing.borrow().clone()
    }

    /// Waits until the service passes.
    pub(super) async fn passes(&self) {
        match self.check {
            None => {}
            Some(CheckKind::Log(text)) => match Check::expression(text) {
                Ok(expression) => self.logs(&expression).await,
                Err(error) => {
                    *self.missing.borrow_mut() = error.to_string();
                    std::future::pending().await
                }
            },
            Some(check) => {
                // The first one says soon what is missing.
                let mut patience = Duration::ZERO;
                while let Err(missing) = self.attempt(check, patience).await {
                    *self.missing.borrow_mut() = missing;
                    sleep(self.interval).await;
                    patience = PATIENCE;
                }
            }
        }
    }

    /// Looks once whether the service still passes.
    pub(super) async fn once(&self) -> Result<(), String> {
        match self.check {
            // Whoever starts a service has made sure that there is another check.
            None | Some(CheckKind::Log(_)) => Ok(()),
            Some(check) => self.attempt(check, Duration::ZERO).await,
        }
    }

    async fn attempt(&self, check: &CheckKind, patience: Duration) -> Result<(), String> {
        let target = match check {
            CheckKind::File(path) if path.starts_with('/') => Target::File { path: path.clone() },
            CheckKind::File(path) => Target::File { path: format!("{ROOT}/{path}") },
            CheckKind::Tcp(port) => Target::Tcp { port: port.get() },
            CheckKind::Http { port, path, status } => {
                Target::Http { port: port.get(), path: path.clone(), status: *status }
            }
            CheckKind::Command(script) => return self.run(script).await,
            CheckKind::Log(_) => return Ok(()),
        };
        let longest = patience + ATTEMPT + LATE;
        match timeout(longest, self.probe(target, patience)).await {
            Ok(Ok(Probed { missing: None })) => Ok(()),
            Ok(Ok(Probed { missing: Some(missing) })) => Err(missing),
            Ok(Err(error)) => Err(error.message),
            Err(_) => Err("the guest does not answer".to_owned()),
        }
    }

    async fn probe(&self, target: Target, patience: Duration) -> Result<Probed, OpError> {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let request = Probe {
            target,
            timeout_ms: milliseconds(ATTEMPT),
            interval_ms: milliseconds(self.interval),
            patience_ms: milliseconds(patience),
        };
        let internal = |what: &str| OpError::plain(operation::ErrorKind::Internal, what);
        let header = tools::header(&request).map_err(|_| internal("the check is too long"))?;
        let exec = Exec {
            argv: vec![TOOLS_PATH.to_owned(), probe::TOOL.to_owned()],
            cwd: "/".to_owned(),
            stdin: Stdin::Stream,
            ..Exec::default()
        };
        let (mut input, mut output, mut ending) =
            self.table.inside.connect().await?.pipe(exec)?.into_parts();
        // A tool that does not read has ended; how is told below.
        let _ = input.write_all(&header).await;
        let _ = input.shutdown().await;
        let mut prefix = [0; 4];
        let mut json = Vec::new();
        if output.read_exact(&mut prefix).await.is_ok() {
            let length = tools::header_length(prefix).unwrap_or(0).min(ANSWER_MAX);
            json.resize(length, 0);
            let _ = output.read_exact(&mut json).await;
        }
        drop(output);
        match tools::parse::<Answer<Probed>>(&json) {
            Ok(Answer::Done(probed)) => Ok(probed),
            Ok(Answer::Failed(failure)) => Err(internal(&failure.message)),
            Err(_) if ending.wait().await?.end == (End::Code { code: EXIT_UNKNOWN }) => {
                Err(internal("the workspace's guest is too old for checks"))
            }
            Err(_) => Err(internal("the guest did not answer as it should")),
        }
    }

    /// Runs a script as the service would.
    async fn run(&self, script: &str) -> Result<(), String> {
        let timeout_ms = u64::try_from(ATTEMPT.as_millis()).ok();
        let exec = Exec {
            argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
            env: self.exec.env.clone(),
            cwd: self.exec.cwd.clone(),
            timeout_ms,
            ..Exec::default()
        };
        let ended = timeout(ATTEMPT + LATE, async {
            self.table.inside.connect().await?.pipe(exec)?.finish().await
        });
        match ended.await {
            Ok(Ok(ended)) => match ended.end {
                End::Code { code: 0 } => Ok(()),
                End::Code { code } => {
                    let said = ended.stderr.lines().last().unwrap_or_default().to_owned();
                    Err(format!("the check exited with code {code} {said}").trim_end().to_owned())
                }
                End::TimedOut => Err(format!("the check did not end within {ATTEMPT:?}")),
                End::Signal { number } => Err(format!("signal {number} ended the check")),
                End::Killed => Err("the check was killed".to_owned()),
            },
            Ok(Err(error)) => Err(error.message),
            Err(_) => Err("the guest does not answer".to_owned()),
        }
    }

    /// Waits until a line of the output matches.
    async fn logs(&self, expression: &Regex) {
        *self.missing.borrow_mut() = format!("no line of its output matches `{expression}`");
        let directory = self.table.job_files.directory(self.job);
        let mut channels = self.begins.map(|(channel, begin)| (channel, begin, Vec::new()));
        loop {
            for (channel, position, line) in &mut channels {
                // What cannot be read now is read the next time.
                while let Ok(read) = log::read(&directory, channel, *position, CHUNK)
                    && !read.bytes.is_empty()
                {
                    *position = read.begin + read.bytes.len() as u64;
                    if matches(expression, line, &read.bytes) {
                        return;
                    }
                }
            }
            sleep(self.interval).await;
        }
    }
}

/// Whether a line matches that ends in `bytes`, or the one that has not ended.
/// Of that one the beginning is kept in `line`.
fn matches(expression: &Regex, line: &mut Vec<u8>, bytes: &[u8]) -> bool {
    for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
        let room = LINE_MAX.saturating_sub(line.len());
        let text = piece.strip_suffix(b"\n").unwrap_or(piece);
        line.extend_from_slice(&text[..text.len().min(room)]);
        if expression.is_match(line) {
            return true;
        }
        if text.len() < piece.len() {
            line.clear();
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_matches_however_it_arrives_and_no_two_lines_do_together() {
        let expression = Check::expression("^listening on [0-9]+$").unwrap();
        let mut line = Vec::new();
        let mut arrives = |bytes: &[u8]| matches(&expression, &mut line, bytes);
        assert!(!arrives(b"starting\nlisten"));
        assert!(!arrives(b"ing on "));
        assert!(arrives(b"80\n"));
        line.clear();
        let mut arrives = |bytes: &[u8]| matches(&expression, &mut line, bytes);
        assert!(!arrives(b"listening\n on 80\n"));
        assert!(!arrives(&vec![b'x'; 3 * LINE_MAX]));
        assert!(arrives(b"\nlistening on 80\n"));
        assert!(line.len() <= LINE_MAX);
    }
}
