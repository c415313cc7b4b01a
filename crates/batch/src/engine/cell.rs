//! Workspaces, as an engine uses them.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use operation::{Call, ErrorKind, Handler, OpError, Operation};
use workspace::Engine;
use workspace_api::command::{List, OutputChannel, Read, SHOWN_DEFAULT, Send, Start, Wait};
use workspace_api::id::{WorkspaceId, WorkspaceRef};
use workspace_api::job::{JobState, JobStatus, Signal};
use workspace_api::run::{CommandEvent, CommandOptions, CommandResult};
use workspace_api::service;
use workspace_api::state::WorkspaceState;
use workspace_api::workspace::{
    self as of_workspace, Create, Delete, Exec, Export, Status, Workspace,
};

use super::Trouble;

/// How much of the end of an output is read, in bytes.
const PRINTED_BYTES_MAX: u32 = 1024 * 1024;

/// Whoever makes workspaces.
#[derive(Debug, Clone)]
pub(crate) struct Cells(pub(crate) Arc<Engine>);

/// A workspace.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    cells: Cells,
    id: WorkspaceId,
}

/// A command in the background of one.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    cell: Cell,
    id: String,
}

impl Cells {
    async fn call<O>(&self, operation: O) -> Result<O::Output, OpError>
    where
        O: Operation,
        Engine: Handler<O>,
    {
        self.0.handle(operation, &mut Call::quiet()).await
    }

    pub(crate) async fn create(&self, create: Create) -> Result<Cell, OpError> {
        let created = self.call(create).await?;
        Ok(Cell { cells: self.clone(), id: created.id })
    }

    /// A workspace by its name, if it is there.
    pub(crate) async fn find(&self, workspace: WorkspaceRef) -> Result<Option<Cell>, OpError> {
        match self.call(Status { workspace }).await {
            Ok(found) => Ok(Some(Cell { cells: self.clone(), id: found.id })),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Cell {
    /// Has something done in it.
    pub(crate) async fn ask<O>(
        &self,
        about: impl FnOnce(WorkspaceRef) -> O,
    ) -> Result<O::Output, OpError>
    where
        O: Operation,
        Engine: Handler<O>,
    {
        self.cells.call(about(self.id.into())).await
    }

    /// Starts its machine if that died; whether it did.
    pub(crate) async fn revive(&self) -> Result<bool, OpError> {
        if self.status().await?.state != WorkspaceState::Stopped {
            return Ok(false);
        }
        match self.ask(|workspace| of_workspace::Start { workspace }).await {
            // Somebody else was faster.
            Err(error) if error.kind == ErrorKind::Conflict => Ok(true),
            started => started.map(|_| true),
        }
    }

    /// Returns once all that was written in it is on its disk.
    pub(crate) async fn sync(&self) -> Result<(), Trouble> {
        match self.exec(&["sync"], Vec::new()).await?.exit_code {
            0 => Ok(()),
            code => Err(format!("the guest cannot be synced: exit code {code}").into()),
        }
    }

    pub(crate) async fn status(&self) -> Result<Workspace, OpError> {
        self.cells.call(Status { workspace: self.id.into() }).await
    }

    /// Runs a command to its end, with some input.
    pub(crate) async fn exec(
        &self,
        command: &[&str],
        input: Vec<u8>,
    ) -> Result<CommandResult, OpError> {
        let exec = Exec::new(self.id.into(), command.iter().copied());
        let mut call = Call::<CommandEvent>::quiet().with_input(Cursor::new(input));
        self.cells.0.handle(exec, &mut call).await
    }

    /// Writes a file anywhere in the guest.
    pub(crate) async fn write(&self, path: &str, content: Vec<u8>) -> Result<(), Trouble> {
        const SCRIPT: &str = "mkdir -p \"$(dirname \"$1\")\" && cat > \"$1\" && sync \"$1\"";
        let done = self.exec(&["sh", "-c", SCRIPT, "write", path], content).await?;
        match done.exit_code {
            0 => Ok(()),
            code => Err(format!("{path} cannot be written in the guest: exit code {code}").into()),
        }
    }

    /// Removes a file anywhere in the guest.
    pub(crate) async fn remove(&self, path: &str) -> Result<(), Trouble> {
        const SCRIPT: &str = "rm -- \"$1\" && sync \"$(dirname \"$1\")\"";
        match self.exec(&["sh", "-c", SCRIPT, "remove", path], Vec::new()).await?.exit_code {
            0 => Ok(()),
            code => Err(format!("{path} cannot be removed in the guest: exit code {code}").into()),
        }
    }

    /// Reads a file anywhere in the guest; none if there is none, or if it is larger
    /// than output that is kept.
    pub(crate) async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, OpError> {
        let done = self.exec(&["cat", "--", path], Vec::new()).await?;
        let is_whole = done.stdout.omitted_bytes == 0;
        Ok((done.exit_code == 0 && is_whole).then_some(done.stdout.tail.0))
    }

    /// The names in a directory of the guest that do not begin with a dot; none if there
    /// is no such directory.
    pub(crate) async fn names(&self, path: &str) -> Result<Vec<String>, OpError> {
        let done = self.exec(&["ls", "-1", "--", path], Vec::new()).await?;
        let listed = String::from_utf8_lossy(&done.stdout.tail.0).into_owned();
        Ok(listed.lines().map(str::to_owned).collect())
    }

    pub(crate) async fn start(
        &self,
        command: Vec<String>,
        options: CommandOptions,
    ) -> Result<Job, OpError> {
        let start = Start { workspace: self.id.into(), options, command };
        let started = self.cells.call(start).await?;
        Ok(Job { cell: self.clone(), id: started.id })
    }

    /// Ends every process in it, and sees that none is left: also those that a command
    /// has left behind, of which no list knows any more.
    pub(super) async fn clear(&self) -> Result<(), Trouble> {
        const SCRIPT: &str = include_str!("clear.sh");
        match self.exec(&["sh", "-c", SCRIPT], Vec::new()).await?.exit_code {
            0 => Ok(()),
            _ => Err("what was left in the guest does not end".into()),
        }
    }

    /// Stops the services that run in it, which would otherwise be started again when
    /// their processes are ended.
    pub(crate) async fn stop_services(&self) -> Result<(), OpError> {
        let listed = self.ask(|workspace| service::List { workspace }).await?.services;
        for running in listed.into_iter().filter(|service| service.state.is_live()) {
            let name = running.name;
            self.ask(|workspace| service::Stop { workspace, service: name }).await?;
        }
        Ok(())
    }

    /// The commands that run in the background.
    pub(crate) async fn running(&self) -> Result<Vec<Job>, OpError> {
        let listed = self.cells.call(List { workspace: self.id.into() }).await?.commands;
        let running = listed.into_iter().filter(|one| one.status.state == JobState::Running);
        Ok(running.map(|one| Job { cell: self.clone(), id: one.id }).collect())
    }

    /// Copies a file of the tree out, to where nothing is, unless it is larger than so
    /// many bytes.
    pub(crate) async fn export(&self, path: &str, to: &Path, max: u64) -> Result<(), Trouble> {
        let to = to.to_string_lossy();
        let mut export = Export::new(self.id.into(), path.parse()?, to);
        export.max_mib = max.div_ceil(1024 * 1024);
        self.cells.call(export).await?;
        Ok(())
    }

    pub(crate) async fn delete(self) -> Result<(), OpError> {
        self.cells.call(Delete { workspace: self.id.into() }).await.map(drop)
    }
}

impl Job {
    /// Waits for its end, at most so long.
    pub(crate) async fn wait(&self, at_most: &str) -> Result<JobStatus, Trouble> {
        let wait = Wait {
            workspace: self.cell.id.into(),
            command: self.id.parse()?,
            timeout: Some(at_most.parse()?),
            max_bytes: SHOWN_DEFAULT,
        };
        Ok(self.cell.cells.call(wait).await?.command.status)
    }

    /// The end of what it has printed: its output, then its errors.
    pub(crate) async fn output(&self, status: &JobStatus) -> Result<Vec<u8>, Trouble> {
        let mut printed = Vec::new();
        let channels = [
            (OutputChannel::Stdout, status.stdout_bytes),
            (OutputChannel::Stderr, status.stderr_bytes),
        ];
        for (channel, total) in channels {
            let read = Read {
                workspace: self.cell.id.into(),
                command: self.id.parse()?,
                channel,
                cursor: total.saturating_sub(PRINTED_BYTES_MAX.into()),
                max_bytes: PRINTED_BYTES_MAX,
            };
            printed.extend(self.cell.cells.call(read).await?.output.0);
        }
        Ok(printed)
    }

    pub(crate) async fn signal(&self, signal: Signal) -> Result<(), Trouble> {
        let (workspace, command) = (self.cell.id.into(), self.id.parse()?);
        self.cell.cells.call(Send { workspace, command, signal }).await?;
        Ok(())
    }
}
