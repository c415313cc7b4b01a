//! Hotcell's Rust SDK: disposable Linux microVMs that an agent inhabits.
//!
//! A [`Client`] carries out the same operations as the command line, typed and
//! async. It needs no daemon: machines are owned by keeper processes, which the
//! client starts from the `hotcell` program (in `PATH`, or named by
//! `HOTCELL_PROGRAM`).
//!
//! ```no_run
//! # async fn example() -> Result<(), hotcell::Error> {
//! use hotcell::{Client, Run};
//!
//! let client = Client::open()?;
//! let done = client.run(Run::new("debian:12".parse().unwrap(), ["git", "--version"])).await?;
//! assert_eq!(done.result.exit_code, 0);
//! println!("{}", String::from_utf8_lossy(&done.result.stdout.tail.0));
//! # Ok(())
//! # }
//! ```
//!
//! Every operation can also be called as it is, with its events, input and
//! cancellation: [`Client::call`].

mod background;
mod batch;
mod networking;
mod port;
mod secret;
mod service;
mod shell;

use std::path::PathBuf;
use std::sync::Arc;

use operation::{Handler, Operation};
use workspace::{Engine, Settings};

pub use background::BackgroundCommand;
pub use batch::{Batch, Batches};
pub use batch_api::{
    agents as batch_agents, control as batch_control, export as batch_export, init as batch_init,
    mailbox as batch_mailbox, plan as batch_plan, processes as batch_processes,
};
pub use operation::{Call, ErrorKind, OpError as Error};
pub use service::{Service, ServiceDefinition};
pub use shell::Shell;
pub use tokio_util::sync::CancellationToken;
pub use workspace::settings::AcceleratorChoice;
pub use workspace_api::command::OutputChannel;
pub use workspace_api::diff::{Diff, DiffFormat, Difference, Extent};
pub use workspace_api::digest::Digest;
pub use workspace_api::doctor::{Diagnosis, Doctor, Finding, FindingStatus, Verdict};
pub use workspace_api::id::{WorkspaceId, WorkspaceName, WorkspaceRef};
pub use workspace_api::idle::{IdleAction, IdleAfter, IdlePolicy};
pub use workspace_api::job::{CommandRef, JobState, JobStatus, OutputExcerpt, ShellRef, Signal};
pub use workspace_api::label::{Label, LabelFilter, LabelKey};
pub use workspace_api::ledger::LedgerEvent;
pub use workspace_api::logs::{Log, LoggedEvent, Logs};
pub use workspace_api::network::{HostPattern, NetworkMode, NetworkOptions, NetworkPolicy};
pub use workspace_api::output::{CapturedOutput, OutputBytes};
pub use workspace_api::path::{FileMode, LineRange, PathText};
pub use workspace_api::port::{PortMapping, PublishedPort};
pub use workspace_api::prepare::{Prepare, Prepared, Warmth, WorkProgress};
pub use workspace_api::run::{
    CommandEnd, CommandEvent, CommandOptions, CommandResult, Run, RunResult,
};
pub use workspace_api::secret::{Secret, SecretName, SecretUse};
pub use workspace_api::seed::{Seed, SeedFiles, SeedReport};
pub use workspace_api::service::{
    Check, Ending, Readiness, RestartPolicy, ServiceLogs, ServiceName, ServiceState,
};
pub use workspace_api::shell::{TerminalExcerpt, TerminalSize, View};
pub use workspace_api::snapshot::{SnapshotName, SnapshotRef};
pub use workspace_api::spec::{Accelerator, EnvironmentRef, Shape, Variable};
pub use workspace_api::state::WorkspaceState;
pub use workspace_api::summary::{Summarize, Summary};
pub use workspace_api::time::TimeSpan;
pub use workspace_api::workspace::{
    AppliedBack, ApplyBack, ApplyMode, ArchiveFormat, Conflicts, Danger, Existing, Export, Exported,
};
pub use workspace_api::{env, file, host, network, patch, snapshot, sync, workspace as operations};

/// Carries operations out.
#[derive(Debug, Clone)]
pub struct Client {
    engine: Arc<Engine>,
    batches: ::batch::Batches,
}

/// How a [`Client`] is set up.
#[derive(Debug, Clone, Default)]
pub struct ClientOptions {
    /// Directory that holds everything of Hotcell's; from the environment
    /// unless given.
    pub home: Option<PathBuf>,
    /// The `hotcell` program; from the environment unless given.
    pub program: Option<PathBuf>,
    /// What executes guests; from the environment unless given.
    pub accelerator: Option<AcceleratorChoice>,
}

impl Client {
    /// A client that is set up by the environment, as the command line is.
    ///
    /// # Errors
    ///
    /// If the home cannot be opened or the `hotcell` program is not found.
    pub fn open() -> Result<Self, Error> {
        Self::with_options(ClientOptions::default())
    }

    /// A client with some settings of its own.
    ///
    /// # Errors
    ///
    /// If the home cannot be opened or the `hotcell` program is not found.
    pub fn with_options(options: ClientOptions) -> Result<Self, Error> {
        let mut settings = Settings::from_environment(options.program)?;
        if let Some(home) = options.home {
            settings.home = home;
        }
        if let Some(accelerator) = options.accelerator {
            settings.accelerator = accelerator;
        }
        let batches = ::batch::Batches::of(&settings);
        Ok(Self { engine: Arc::new(Engine::open(settings)?), batches })
    }

    /// Carries any operation out, with its events, input and cancellation.
    ///
    /// # Errors
    ///
    /// Whatever the operation fails with.
    pub async fn call<O>(&self, operation: O, call: &mut Call<O::Event>) -> Result<O::Output, Error>
    where
        O: Operation,
        Engine: Handler<O>,
    {
        self.engine.handle(operation, call).await
    }

    /// Runs a command in a new machine that leaves nothing behind.
    ///
    /// # Errors
    ///
    /// If there is no machine or the command cannot be started in it. A command
    /// that fails is no error: see [`CommandResult::exit_code`].
    pub async fn run(&self, run: Run) -> Result<RunResult, Error> {
        self.call(run, &mut Call::quiet()).await
    }

    /// Does all one-time work for an environment and a shape.
    ///
    /// # Errors
    ///
    /// If a step of it fails.
    pub async fn prepare(
        &self,
        environment: EnvironmentRef,
        shape: Shape,
    ) -> Result<Prepared, Error> {
        self.call(Prepare { environment, shape, force: false }, &mut Call::quiet()).await
    }

    /// Says what this host can do.
    ///
    /// # Errors
    ///
    /// If the host cannot be looked at.
    pub async fn doctor(&self) -> Result<Diagnosis, Error> {
        let doctor = Doctor { environment: EnvironmentRef::default(), shape: Shape::default() };
        self.call(doctor, &mut Call::quiet()).await
    }

    /// Creates a workspace that stays until it is deleted.
    ///
    /// # Errors
    ///
    /// If the environment is not prepared for the shape, the name is taken, or
    /// the machine does not start.
    pub async fn create(&self, create: operations::Create) -> Result<Workspace, Error> {
        let created = self.call(create, &mut Call::quiet()).await?;
        Ok(Workspace { client: self.clone(), id: created.id })
    }

    /// The workspace that a name or an id means.
    ///
    /// # Errors
    ///
    /// If it means none, or several.
    pub async fn workspace(&self, reference: WorkspaceRef) -> Result<Workspace, Error> {
        let status = operations::Status { workspace: reference };
        let found = self.call(status, &mut Call::quiet()).await?;
        Ok(Workspace { client: self.clone(), id: found.id })
    }

    /// All workspaces, the one with the newest activity first.
    ///
    /// # Errors
    ///
    /// If the records cannot be read.
    pub async fn workspaces(&self) -> Result<Vec<operations::Workspace>, Error> {
        Ok(self.find(operations::List::default()).await?.workspaces)
    }

    /// The workspaces that a list's filters mean, or what is left of deleted ones.
    ///
    /// # Errors
    ///
    /// If the records cannot be read.
    pub async fn find(&self, list: operations::List) -> Result<operations::Workspaces, Error> {
        self.call(list, &mut Call::quiet()).await
    }
}

/// A workspace. Dropping this does nothing to it.
#[derive(Debug, Clone)]
pub struct Workspace {
    client: Client,
    id: WorkspaceId,
}

impl Workspace {
    /// Identifies it for ever.
    #[must_use]
    pub const fn id(&self) -> WorkspaceId {
        self.id
    }

    /// What is known of it.
    ///
    /// # Errors
    ///
    /// If it no longer exists.
    pub async fn status(&self) -> Result<operations::Workspace, Error> {
        let status = operations::Status { workspace: self.id.into() };
        self.client.call(status, &mut Call::quiet()).await
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    ///
    /// If the machine is gone or the command cannot be started in it. A command
    /// that fails is no error: see [`CommandResult::exit_code`].
    pub async fn exec<S: Into<String>>(
        &self,
        command: impl IntoIterator<Item = S>,
    ) -> Result<CommandResult, Error> {
        self.exec_with(command, CommandOptions::default(), &mut Call::quiet()).await
    }

    /// Runs a command to its end, with options, and with its output as it
    /// comes, its input and its cancellation.
    ///
    /// # Errors
    ///
    /// As [`Workspace::exec`]; [`ErrorKind::Cancelled`] if it was cancelled.
    pub async fn exec_with<S: Into<String>>(
        &self,
        command: impl IntoIterator<Item = S>,
        options: CommandOptions,
        call: &mut Call<CommandEvent>,
    ) -> Result<CommandResult, Error> {
        let exec = operations::Exec::new(self.id.into(), command).with_options(options);
        self.client.call(exec, call).await
    }

    /// Puts it back to how it was created; whatever runs in it is lost.
    ///
    /// # Errors
    ///
    /// If the host no longer has what it came from; nothing has changed then.
    pub async fn reset(&self) -> Result<(), Error> {
        self.reset_to(SnapshotRef::Baseline).await
    }

    /// Puts it back to a snapshot, with what ran in the background then.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] if it has no such snapshot; nothing has changed
    /// then.
    pub async fn reset_to(&self, to: SnapshotRef) -> Result<(), Error> {
        let reset = operations::Reset { workspace: self.id.into(), to };
        self.client.call(reset, &mut Call::quiet()).await.map(|_| ())
    }

    /// Makes so many independent workspaces that go on where it is now; it runs
    /// on.
    ///
    /// # Errors
    ///
    /// If its machine does not run or the host has no room; none is left then.
    pub async fn fork(&self, count: u8) -> Result<Vec<Self>, Error> {
        let fork = operations::Fork::new(self.id.into()).with_count(count);
        let forked = self.client.call(fork, &mut Call::quiet()).await?;
        let child =
            |child: operations::Workspace| Self { client: self.client.clone(), id: child.id };
        Ok(forked.children.into_iter().map(child).collect())
    }

    /// Takes a snapshot of disks, memory and processes; it runs on.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`] if the name is taken or its machine does not run.
    pub async fn snapshot(&self, name: SnapshotName) -> Result<snapshot::Snapshot, Error> {
        let create = snapshot::Create { workspace: self.id.into(), name };
        self.client.call(create, &mut Call::quiet()).await.map(|taken| taken.snapshot)
    }

    /// Reads a file, at most [`file::READ_DEFAULT`] bytes of it.
    ///
    /// # Errors
    ///
    /// If there is no such file in the workspace.
    pub async fn read_file(&self, path: PathText) -> Result<file::FileContent, Error> {
        let max_bytes = file::READ_DEFAULT;
        let workspace = self.id.into();
        let read = file::Read {
            workspace,
            path,
            lines: None,
            offset: None,
            max_bytes,
            allow_secrets: false,
        };
        self.client.call(read, &mut Call::quiet()).await
    }

    /// Writes a whole file of any bytes, with the directories that it needs.
    ///
    /// # Errors
    ///
    /// If something else than a file lies there, or the path leads out.
    pub async fn write_file(
        &self,
        path: PathText,
        content: impl Into<Vec<u8>>,
    ) -> Result<file::Written, Error> {
        let write = file::Write {
            workspace: self.id.into(),
            path,
            text: None,
            encoding: file::TextEncoding::Plain,
            mode: None,
            parents: true,
            create_only: false,
        };
        let content = std::io::Cursor::new(content.into());
        self.client.call(write, &mut Call::quiet().with_input(content)).await
    }

    /// Applies what `git diff` printed, as a whole or not at all.
    ///
    /// # Errors
    ///
    /// If it does not match the files; nothing is changed then.
    pub async fn apply_patch(&self, text: impl Into<Vec<u8>>) -> Result<patch::Applied, Error> {
        let (workspace, directory) = (self.id.into(), PathText::default());
        let apply =
            patch::Apply { workspace, patch: None, patch_file: None, directory, check: false };
        let text = std::io::Cursor::new(text.into());
        self.client.call(apply, &mut Call::quiet().with_input(text)).await
    }

    /// Tells what changed in it since it was created; a [`DiffFormat::Patch`] is
    /// what [`Workspace::apply_patch`] takes.
    ///
    /// # Errors
    ///
    /// If it does not run, or a file changes while it is compared.
    pub async fn diff(&self, format: DiffFormat) -> Result<Difference, Error> {
        let extent = Extent { format, ..Extent::default() };
        let diff = Diff { workspace: self.id.into(), against: SnapshotRef::Baseline, extent };
        self.client.call(diff, &mut Call::quiet()).await
    }

    /// Copies a file, a directory or a link out, to where nothing is yet on the
    /// host; [`operations::Export`] has more to choose from.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`] if something is there.
    pub async fn export(
        &self,
        path: PathText,
        to: impl AsRef<std::path::Path>,
    ) -> Result<Exported, Error> {
        let to = to.as_ref().to_string_lossy();
        self.client.call(Export::new(self.id.into(), path, to), &mut Call::quiet()).await
    }

    /// Brings what changed in a host directory into `/workspace`, and deletes
    /// nothing; [`sync::Push`] has more to choose from.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`] if a file would replace a directory.
    pub async fn push(
        &self,
        directory: impl AsRef<std::path::Path>,
    ) -> Result<sync::Pushed, Error> {
        let directory = directory.as_ref().to_string_lossy();
        self.client.call(sync::Push::new(self.id.into(), directory), &mut Call::quiet()).await
    }

    /// Says what applying its changes to a checkout of the host would do; see
    /// [`ApplyBack`] for doing it.
    ///
    /// # Errors
    ///
    /// If it or the checkout cannot be read.
    pub async fn plan_apply_back(
        &self,
        checkout: impl AsRef<std::path::Path>,
    ) -> Result<AppliedBack, Error> {
        let checkout = checkout.as_ref().to_string_lossy();
        self.client.call(ApplyBack::plan(self.id.into(), checkout), &mut Call::quiet()).await
    }

    /// Changes its name and labels.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`] if the name is taken.
    pub async fn update(
        &self,
        name: Option<WorkspaceName>,
        labels: impl IntoIterator<Item = Label>,
    ) -> Result<operations::Workspace, Error> {
        let mut update = operations::Update::new(self.id.into());
        update.name = name;
        update.label.extend(labels);
        self.client.call(update, &mut Call::quiet()).await
    }

    /// Changes what becomes of it when nobody uses it.
    ///
    /// # Errors
    ///
    /// If it no longer exists.
    pub async fn set_idle(&self, idle: IdlePolicy) -> Result<operations::Workspace, Error> {
        let mut update = operations::Update::new(self.id.into());
        update.idle_after = Some(idle.idle_after);
        update.idle_then = Some(idle.idle_then);
        self.client.call(update, &mut Call::quiet()).await
    }

    /// Keeps it ready for at least that time from now on, even if nobody uses it.
    ///
    /// # Errors
    ///
    /// If it does not run, or runs on anyway.
    pub async fn extend(&self, span: TimeSpan) -> Result<operations::Workspace, Error> {
        let update = operations::Update::new(self.id.into()).with_extension(span);
        self.client.call(update, &mut Call::quiet()).await
    }

    /// Gives it another size; it has to be stopped, and has it from its next start on.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`] if it is not stopped.
    pub async fn resize(&self, shape: Shape) -> Result<operations::Workspace, Error> {
        let update = operations::Update::new(self.id.into()).with_shape(shape);
        self.client.call(update, &mut Call::quiet()).await
    }

    /// Stops its machine and keeps its disks.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub async fn stop(&self) -> Result<operations::Workspace, Error> {
        let stop = operations::Stop { workspace: self.id.into() };
        self.client.call(stop, &mut Call::quiet()).await
    }

    /// Puts it aside with its memory; whatever needs its machine wakes it.
    ///
    /// # Errors
    ///
    /// If it does not run, or its machine cannot be saved; it runs on then.
    pub async fn hibernate(&self) -> Result<operations::Workspace, Error> {
        let hibernate = operations::Hibernate { workspace: self.id.into() };
        self.client.call(hibernate, &mut Call::quiet()).await
    }

    /// Starts it again: from its memory if it was hibernated, from its disks if it was
    /// stopped or its machine died.
    ///
    /// # Errors
    ///
    /// If it runs already, or does not come up.
    pub async fn boot(&self) -> Result<operations::Workspace, Error> {
        let start = operations::Start { workspace: self.id.into() };
        self.client.call(start, &mut Call::quiet()).await
    }

    /// What happened in it since its last reset.
    ///
    /// # Errors
    ///
    /// If nothing is on record of it.
    pub async fn summary(&self) -> Result<Summary, Error> {
        self.client.call(Summarize::new(self.id.into()), &mut Call::quiet()).await
    }

    /// The last events of its ledger, the oldest first.
    ///
    /// # Errors
    ///
    /// If nothing is on record of it.
    pub async fn logs(&self) -> Result<Log, Error> {
        self.client.call(Logs::new(self.id.into()), &mut Call::quiet()).await
    }

    /// Deletes it with everything in it.
    ///
    /// # Errors
    ///
    /// If it could not be deleted whole.
    pub async fn delete(self) -> Result<(), Error> {
        let delete = operations::Delete { workspace: self.id.into() };
        self.client.call(delete, &mut Call::quiet()).await.map(|_| ())
    }
}
