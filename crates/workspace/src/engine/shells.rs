//! Operations on shells.

mod render;

use std::time::Duration;

use guest_protocol::message::{self, Exec};
use operation::{Call, ErrorKind, Handler, NoEvents, OpError};
use tokio::io::AsyncReadExt;
use workspace_api::command::Signalled;
use workspace_api::id::WorkspaceRef;
use workspace_api::job::{JobState, ShellRef};
use workspace_api::output::OutputBytes;
use workspace_api::shell::{
    Close, List, Open, Read, Resize, Send, Shell, Shells, TerminalExcerpt, TerminalSize, View,
    Write, Written,
};

use super::Engine;
use super::jobs::{FoundJob, new_job_id, status};
use super::run::to_exec;
use crate::jobs::{JobKind, JobRecord};
use crate::keeper::asking::{Attend, OrderJob, StartJob, WriteJob};
use crate::keeper::client::KeeperConnection;
use crate::keeper::jobs::{JobOrder, Until};

const LIST: &str = "shell list";

/// What is opened unless something else is asked for.
const LOGIN_SHELL: &str = "command -v bash >/dev/null && exec bash -l || exec sh -l";

/// What programs are told about the terminal; every environment knows it.
const TERMINAL: (&str, &str) = ("TERM", "xterm-256color");

/// How long a read waits for silence unless somebody says.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// How long input may wait for a program that does not read it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest input of one call, in bytes.
const INPUT_MAX: u64 = 16 * 1024 * 1024;

/// How long a shell may take to end once its terminal has hung up.
const CLOSE_GRACE: Duration = Duration::from_secs(2);

/// How much of a shell's output its screen is made of, in bytes.
const SCREEN_BYTES: u32 = 1024 * 1024;

impl Handler<Open> for Engine {
    async fn handle(&self, open: Open, _: &mut Call<NoEvents>) -> Result<Shell, OpError> {
        let argv = if open.command.is_empty() {
            ["sh", "-c", LOGIN_SHELL].map(str::to_owned).to_vec()
        } else {
            open.command
        };
        let secrets = open.options.secret.clone();
        let mut exec = to_exec(argv, open.options)?;
        exec.env.entry(TERMINAL.0.to_owned()).or_insert_with(|| TERMINAL.1.to_owned());
        let size = to_guest(open.size);
        let mut exec = Exec { terminal: Some(size), ..exec };
        let workspace = self.store.find(&open.workspace)?;
        let mut connection = self.connect(&workspace).await?;
        let secrets = self.give(&workspace, &mut connection, &secrets, &mut exec).await?;
        let id = new_job_id(ShellRef::PREFIX);
        let job = JobKind::Shell { size };
        connection
            .ask(StartJob { id: id.clone(), job, exec, secrets })
            .await
            .map_err(|error| error.during("cannot open the shell"))?;
        told(&self.find_job(&open.workspace, &id.0, LIST)?)
    }
}

impl Handler<List> for Engine {
    async fn handle(&self, list: List, _: &mut Call<NoEvents>) -> Result<Shells, OpError> {
        let workspace = self.store.find(&list.workspace)?;
        let jobs = self.jobs_of(&workspace);
        let shells = jobs.list()?.into_iter().filter_map(|record| {
            let JobKind::Shell { size } = record.kind else { return None };
            let status = status(&workspace, &jobs, &record);
            let JobRecord { id, argv, .. } = record;
            Some(Shell { id: id.0, argv, size: from_guest(size), status })
        });
        Ok(Shells { shells: shells.collect() })
    }
}

impl Handler<Read> for Engine {
    async fn handle(
        &self,
        read: Read,
        call: &mut Call<NoEvents>,
    ) -> Result<TerminalExcerpt, OpError> {
        let found = self.find_job(&read.workspace, read.shell.as_str(), LIST)?;
        let until = match read.idle {
            Some(idle) => Some(Until::Idle { quiet_ms: idle.as_millis() }),
            None => read.wait.then_some(Until::Output { beyond: read.cursor }),
        };
        if let Some(until) = until {
            let longest =
                read.timeout.map_or(READ_TIMEOUT, workspace_api::time::TimeSpan::duration);
            self.await_job(&found, until, Some(longest), &call.cancel).await?;
        }
        let found = found.fresh();
        let running = found.status().state == JobState::Running;
        let size = terminal_size(&found)?;
        let excerpt = found.excerpt("stdout", read.cursor, read.max_bytes)?;
        let next_cursor = excerpt.begin + excerpt.bytes.len() as u64;
        let output = match read.view {
            View::Raw => excerpt.bytes,
            View::Plain => render::new_text(&excerpt.bytes, size).into_bytes(),
            View::Screen | View::Paint => {
                let from = excerpt.end.saturating_sub(SCREEN_BYTES.into());
                let whole = found.excerpt("stdout", from, SCREEN_BYTES)?;
                match read.view {
                    View::Paint => render::paint(&whole.bytes, size),
                    _ => render::screen(&whole.bytes, size).into_bytes(),
                }
            }
        };
        Ok(TerminalExcerpt {
            cursor: excerpt.begin,
            next_cursor: match read.view {
                View::Screen | View::Paint => excerpt.end,
                View::Plain | View::Raw => next_cursor,
            },
            total_bytes: excerpt.end,
            skipped_bytes: excerpt.begin.saturating_sub(read.cursor),
            running,
            view: read.view,
            output: OutputBytes(output),
        })
    }
}

impl Handler<Write> for Engine {
    async fn handle(&self, write: Write, call: &mut Call<NoEvents>) -> Result<Written, OpError> {
        let found = self.find_job(&write.workspace, write.shell.as_str(), LIST)?;
        let mut input = match write.text {
            Some(text) => text.into_bytes(),
            None => read_all(call).await?,
        };
        if !write.raw {
            input.push(b'\n');
        }
        let mut connection = self.connect(&found.workspace).await?;
        let cursor = found.status().stdout_bytes;
        let mut written = 0;
        for piece in input.chunks(WriteJob::BYTES_MAX) {
            let id = found.record.id.clone();
            let ask = connection.ask(WriteJob { id, input: OutputBytes(piece.to_vec()) });
            tokio::time::timeout(WRITE_TIMEOUT, ask).await.unwrap_or_else(|_| {
                let message = format!("the shell took {written} of {} bytes", input.len());
                Err(OpError::plain(ErrorKind::TimedOut, message)
                    .hinted("whatever runs in it does not read its input"))
            })?;
            written += piece.len() as u64;
        }
        Ok(Written { id: found.record.id.0, bytes: written, cursor })
    }
}

impl Handler<Resize> for Engine {
    async fn handle(&self, resize: Resize, _: &mut Call<NoEvents>) -> Result<Shell, OpError> {
        let found = self.find_job(&resize.workspace, resize.shell.as_str(), LIST)?;
        let order = JobOrder::Resize { size: to_guest(resize.size) };
        self.order_shell(&found, order).await?;
        told(&found.fresh())
    }
}

impl Handler<Send> for Engine {
    async fn handle(&self, send: Send, _: &mut Call<NoEvents>) -> Result<Signalled, OpError> {
        let found = self.find_job(&send.workspace, send.shell.as_str(), LIST)?;
        self.order_shell(&found, JobOrder::Signal { number: send.signal.number() }).await?;
        Ok(Signalled { id: found.record.id.0, signal: send.signal })
    }
}

impl Handler<Close> for Engine {
    async fn handle(&self, close: Close, call: &mut Call<NoEvents>) -> Result<Shell, OpError> {
        let found = self.find_job(&close.workspace, close.shell.as_str(), LIST)?;
        if found.status().state == JobState::Running {
            let grace_ms = u64::try_from(CLOSE_GRACE.as_millis()).unwrap_or(u64::MAX);
            match self.order_shell(&found, JobOrder::End { grace_ms }).await {
                // It ended by itself a moment ago.
                Err(error) if error.kind == ErrorKind::Conflict => {}
                other => other?,
            }
            let longest = Some(CLOSE_GRACE * 4);
            self.await_job(&found, Until::Ended, longest, &call.cancel).await?;
        }
        told(&found.fresh())
    }
}

/// Somebody who is at a shell of a workspace for as long as this lives: that holds its
/// idle timer off, however silent both are.
#[derive(Debug)]
pub struct Attendance {
    _connection: KeeperConnection,
}

impl Engine {
    /// Counts the caller as somebody who is at a shell of a workspace.
    ///
    /// # Errors
    ///
    /// If its machine does not run and cannot be woken.
    pub async fn attend(&self, workspace: &WorkspaceRef) -> Result<Attendance, OpError> {
        let mut connection = self.connect(&self.store.find(workspace)?).await?;
        connection.ask(Attend {}).await?;
        Ok(Attendance { _connection: connection })
    }

    async fn order_shell(&self, found: &FoundJob, order: JobOrder) -> Result<(), OpError> {
        let mut connection = self.connect(&found.workspace).await?;
        connection.ask(OrderJob { id: found.record.id.clone(), order }).await
    }
}

/// All input of a call, as far as it is not absurd.
async fn read_all(call: &mut Call<NoEvents>) -> Result<Vec<u8>, OpError> {
    let mut input = Vec::new();
    let mut limited = (&mut call.input).take(INPUT_MAX + 1);
    limited.read_to_end(&mut input).await.map_err(|error| {
        OpError::new(ErrorKind::InvalidRequest, &error).during("cannot read the input")
    })?;
    if input.len() as u64 > INPUT_MAX {
        let message = format!("the input is longer than {} MiB", INPUT_MAX >> 20);
        return Err(OpError::plain(ErrorKind::InvalidRequest, message));
    }
    Ok(input)
}

fn terminal_size(found: &FoundJob) -> Result<message::TerminalSize, OpError> {
    match found.record.kind {
        JobKind::Shell { size } => Ok(size),
        _ => Err(OpError::plain(
            ErrorKind::InvalidRequest,
            format!("`{}` is no shell", found.record.id.0),
        )),
    }
}

fn told(found: &FoundJob) -> Result<Shell, OpError> {
    let size = from_guest(terminal_size(found)?);
    let JobRecord { id, argv, .. } = found.record.clone();
    Ok(Shell { id: id.0, argv, size, status: found.status() })
}

const fn to_guest(size: TerminalSize) -> message::TerminalSize {
    message::TerminalSize { columns: size.columns, rows: size.rows }
}

const fn from_guest(size: message::TerminalSize) -> TerminalSize {
    TerminalSize { columns: size.columns, rows: size.rows }
}
