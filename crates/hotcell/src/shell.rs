//! Shells: programs on terminals, inhabited across many calls.

use operation::Call;
use workspace_api::command::READ_DEFAULT;
use workspace_api::job::{ShellRef, Signal};
use workspace_api::run::CommandOptions;
use workspace_api::shell::{
    Close, Open, Read, Resize, Send, TerminalExcerpt, TerminalSize, View, Write, Written,
};
use workspace_api::time::TimeSpan;

use crate::{Error, Workspace};

/// A shell. Dropping this does nothing to it.
#[derive(Debug, Clone)]
pub struct Shell {
    workspace: Workspace,
    id: ShellRef,
}

impl Workspace {
    /// Opens a shell on a terminal of its own. Without a command it is bash, or
    /// sh where there is none.
    ///
    /// # Errors
    ///
    /// If the machine is gone or the program cannot be started in it.
    pub async fn open_shell<S: Into<String>>(
        &self,
        command: impl IntoIterator<Item = S>,
        size: TerminalSize,
        options: CommandOptions,
    ) -> Result<Shell, Error> {
        let command = command.into_iter().map(Into::into).collect();
        let open = Open { workspace: self.id.into(), size, options, command };
        let opened = self.client.call(open, &mut Call::quiet()).await?;
        Ok(self.shell(opened.id.parse().expect("ids of shells are references")))
    }

    /// A shell that is known by its id.
    #[must_use]
    pub fn shell(&self, id: ShellRef) -> Shell {
        Shell { workspace: self.clone(), id }
    }
}

impl Shell {
    /// Names it within its workspace.
    #[must_use]
    pub fn id(&self) -> &ShellRef {
        &self.id
    }

    /// Types a line; the answer says where its output begins at the earliest.
    ///
    /// # Errors
    ///
    /// If the shell has ended or takes no input.
    pub async fn write_line(&self, line: impl Into<String>) -> Result<Written, Error> {
        let (workspace, shell) = (self.workspace.id.into(), self.id.clone());
        let write = Write { workspace, shell, text: Some(line.into()), raw: false };
        self.workspace.client.call(write, &mut Call::quiet()).await
    }

    /// Reads what it wrote from a position on, at most 64 KiB of raw output;
    /// first waits until it has been silent for `idle`, at most 30 seconds.
    ///
    /// # Errors
    ///
    /// If it or its workspace no longer exists.
    pub async fn read(
        &self,
        view: View,
        cursor: u64,
        idle: Option<TimeSpan>,
    ) -> Result<TerminalExcerpt, Error> {
        let read = Read {
            workspace: self.workspace.id.into(),
            shell: self.id.clone(),
            cursor,
            max_bytes: READ_DEFAULT,
            view,
            wait: false,
            idle,
            timeout: None,
        };
        self.workspace.client.call(read, &mut Call::quiet()).await
    }

    /// Waits until it has written something beyond a position, at most 30 seconds,
    /// and reads that as it is; read on at [`TerminalExcerpt::next_cursor`]. With
    /// [`Shell::type_bytes`] this attaches a terminal to it.
    ///
    /// # Errors
    ///
    /// If it or its workspace no longer exists.
    pub async fn next_output(&self, cursor: u64) -> Result<TerminalExcerpt, Error> {
        let read = Read {
            workspace: self.workspace.id.into(),
            shell: self.id.clone(),
            cursor,
            max_bytes: READ_DEFAULT,
            view: View::Raw,
            wait: true,
            idle: None,
            timeout: None,
        };
        self.workspace.client.call(read, &mut Call::quiet()).await
    }

    /// Types these bytes, and nothing else.
    ///
    /// # Errors
    ///
    /// If the shell has ended or takes no input.
    pub async fn type_bytes(&self, bytes: Vec<u8>) -> Result<Written, Error> {
        let (workspace, shell) = (self.workspace.id.into(), self.id.clone());
        let write = Write { workspace, shell, text: None, raw: true };
        let mut call = Call::quiet().with_input(std::io::Cursor::new(bytes));
        self.workspace.client.call(write, &mut call).await
    }

    /// Gives its terminal another size.
    ///
    /// # Errors
    ///
    /// If it has ended.
    pub async fn resize(&self, size: TerminalSize) -> Result<(), Error> {
        let (workspace, shell) = (self.workspace.id.into(), self.id.clone());
        let resize = Resize { workspace, shell, size };
        self.workspace.client.call(resize, &mut Call::quiet()).await.map(drop)
    }

    /// Signals its foreground job.
    ///
    /// # Errors
    ///
    /// If it has ended.
    pub async fn signal(&self, signal: Signal) -> Result<(), Error> {
        let (workspace, shell) = (self.workspace.id.into(), self.id.clone());
        self.workspace
            .client
            .call(Send { workspace, shell, signal }, &mut Call::quiet())
            .await
            .map(drop)
    }

    /// Hangs up and has what is left of it killed.
    ///
    /// # Errors
    ///
    /// If it or its workspace no longer exists.
    pub async fn close(self) -> Result<(), Error> {
        let (workspace, shell) = (self.workspace.id.into(), self.id.clone());
        self.workspace.client.call(Close { workspace, shell }, &mut Call::quiet()).await.map(drop)
    }
}
