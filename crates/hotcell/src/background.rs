//! Commands in the background of a workspace.

use operation::Call;
use workspace_api::command::{
    Command, OutputChannel, READ_DEFAULT, Read, SHOWN_DEFAULT, Send, Start, Status, Wait,
};
use workspace_api::job::{CommandRef, OutputExcerpt, Signal};
use workspace_api::run::CommandOptions;
use workspace_api::time::TimeSpan;

use crate::{Error, Workspace};

/// A command in the background. Dropping this does nothing to it.
#[derive(Debug, Clone)]
pub struct BackgroundCommand {
    workspace: Workspace,
    id: CommandRef,
}

impl Workspace {
    /// Starts a command in the background.
    ///
    /// # Errors
    ///
    /// If the machine is gone or the command cannot be started in it.
    pub async fn start<S: Into<String>>(
        &self,
        command: impl IntoIterator<Item = S>,
        options: CommandOptions,
    ) -> Result<BackgroundCommand, Error> {
        let command = command.into_iter().map(Into::into).collect();
        let start = Start { workspace: self.id.into(), options, command };
        let started = self.client.call(start, &mut Call::quiet()).await?;
        Ok(self.background(started.id.parse().expect("ids of commands are references")))
    }

    /// A command in the background that is known by its id.
    #[must_use]
    pub fn background(&self, id: CommandRef) -> BackgroundCommand {
        BackgroundCommand { workspace: self.clone(), id }
    }
}

impl BackgroundCommand {
    /// Names it within its workspace.
    #[must_use]
    pub fn id(&self) -> &CommandRef {
        &self.id
    }

    /// How it is.
    ///
    /// # Errors
    ///
    /// If it or its workspace no longer exists.
    pub async fn status(&self) -> Result<Command, Error> {
        let status = Status { workspace: self.workspace.id.into(), command: self.id.clone() };
        self.workspace.client.call(status, &mut Call::quiet()).await
    }

    /// Waits until it has ended, or until the time is up; how it is then.
    ///
    /// # Errors
    ///
    /// If it or its workspace no longer exists.
    pub async fn wait(&self, timeout: Option<TimeSpan>) -> Result<Command, Error> {
        let command = self.id.clone();
        let workspace = self.workspace.id.into();
        let wait = Wait { workspace, command, timeout, max_bytes: SHOWN_DEFAULT };
        Ok(self.workspace.client.call(wait, &mut Call::quiet()).await?.command)
    }

    /// Reads what it wrote from a position on, at most 64 KiB.
    ///
    /// # Errors
    ///
    /// If it or its workspace no longer exists.
    pub async fn read(&self, channel: OutputChannel, cursor: u64) -> Result<OutputExcerpt, Error> {
        let (workspace, command) = (self.workspace.id.into(), self.id.clone());
        let read = Read { workspace, command, channel, cursor, max_bytes: READ_DEFAULT };
        self.workspace.client.call(read, &mut Call::quiet()).await
    }

    /// Signals it and all processes of its group.
    ///
    /// # Errors
    ///
    /// If it has ended.
    pub async fn signal(&self, signal: Signal) -> Result<(), Error> {
        let (workspace, command) = (self.workspace.id.into(), self.id.clone());
        let send = Send { workspace, command, signal };
        self.workspace.client.call(send, &mut Call::quiet()).await.map(drop)
    }
}
