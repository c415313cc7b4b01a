//! Starts processes for one engine, in one epoch.
//!
//! ```text
//! reserved ──▶ group made ──▶ warden ready ──▶ registered ──▶ told ──▶ running
//!    │             │               │               │            │
//!    └─────────────┴───────────────┴── nothing of the order has run yet
//! ```
//!
//! | SIGKILL of the engine while | leaves | who ends it |
//! |---|---|---|
//! | reserved | an entry | next engine: forgets it |
//! | group made | and an empty group | next engine: removes it |
//! | warden ready | and a warden without a plan | it ends by itself: its engine hung up |
//! | registered | the same, and the entry names it | the same |
//! | told, running | the process | the warden, at once; the next engine proves it |
//!
//! A stopped engine leaves the same things alive; there the next engine ends
//! them, and what the stopped one does when it goes on is refused by the registry
//! (`registry`) or said to a warden that is dead.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use batch_api::Epoch;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::pipe::PipeFlags;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::cgroup::{self, Cgroup};
use super::ending;
use super::entry::{Entry, Key};
use super::held::{self, Held};
use super::holding::{Holding, unsharing};
use super::lines::{LINE_BYTES_MAX, Lines};
use super::mark::{self, ProcessMark};
use super::order::Order;
use super::registry::{Permission, Registry, RegistryError};
use super::settling::{self, SettleError, Settled};
use super::stderr::{self, STDERR_BYTES_MAX};
use super::survey::group_name;
use super::warden::{DOOR_SUBCOMMAND, WARDEN_SUBCOMMAND, group_argument};
use super::wire::{self, FromWarden, Plan, Streams};

/// How long a warden may take to say something; it takes milliseconds.
const WARDEN_DEADLINE: Duration = Duration::from_secs(20);

/// Starts processes and proves their end.
#[derive(Debug)]
pub struct Custodian {
    root: PathBuf,
    program: PathBuf,
    holding: Holding,
    permission: Arc<Permission>,
    used: Mutex<BTreeSet<Key>>,
}

/// Custody could not begin.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// The epoch cannot begin.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// What earlier engines left could not be looked after.
    #[error(transparent)]
    Settle(#[from] SettleError),
}

/// A process was not started; nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A key serves once.
    #[error("the key `{0}` was used before")]
    Used(Key),
    /// The registry did not take the entry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A step failed.
    #[error("cannot {action} for `{key}`")]
    Step {
        /// What was tried.
        action: &'static str,
        /// For which process.
        key: Key,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The program cannot be run.
    #[error("`{key}` cannot be run: {explanation}")]
    Refused {
        /// Which process.
        key: Key,
        /// What the warden said.
        explanation: String,
    },
    /// The warden ended without a word, or said nothing in time.
    #[error("the warden of `{key}` {what}")]
    Warden {
        /// Whose.
        key: Key,
        /// What it did.
        what: &'static str,
    },
}

impl Custodian {
    /// Takes custody over: fences every earlier engine, then ends whatever they
    /// left and proves that it is gone. `program` runs the subcommands
    /// [`WARDEN_SUBCOMMAND`] and [`DOOR_SUBCOMMAND`].
    ///
    /// # Errors
    ///
    /// If a later engine has the registry. What cannot be ended is no error but
    /// told in the list.
    pub async fn begin(
        root: &Path,
        epoch: Epoch,
        holding: Holding,
        program: PathBuf,
    ) -> Result<(Self, Vec<Settled>), BeginError> {
        let registry = Registry::at(root);
        let permission = Arc::new(registry.begin(epoch, &holding)?);
        let settled = tokio::task::spawn_blocking(move || settling::settle(&registry))
            .await
            .map_err(|error| SettleError::End(io::Error::other(error)))??;
        let used = Mutex::default();
        Ok((Self { root: root.to_owned(), program, holding, permission, used }, settled))
    }

    /// The epoch in which it starts processes.
    pub fn epoch(&self) -> Epoch {
        self.permission.epoch()
    }

    /// Starts a process. It is in the registry before it runs.
    ///
    /// # Errors
    ///
    /// [`RegistryError::Stale`] once a later engine has taken over; otherwise
    /// naming the step that failed.
    pub async fn start(&self, order: Order) -> Result<Held, StartError> {
        let key = order.key.clone();
        if !self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone()) {
            return Err(StartError::Used(key));
        }
        let mut entry = Entry {
            label: order.label.clone(),
            program: order.program.display().to_string(),
            limits: Vec::new(),
            warden: None,
        };
        self.permission.write(&key, &entry)?;
        step("reserved", &key);
        let name = group_name(self.epoch(), &key);
        let cgroup = match &self.holding {
            Holding::Cgroup { parent } => Some(Cgroup::named(parent, &name)),
            Holding::Namespace { .. } => None,
        };
        let mut beginning = Beginning { warden: None, child: None };
        match self.bring_up(&order, &mut entry, cgroup.as_ref(), &name, &mut beginning).await {
            Ok(running) => {
                let Beginning { child: Some(child), warden: Some(warden) } = beginning else {
                    return Err(misbehaves(&key, "vanished"));
                };
                Ok(Held {
                    key,
                    permission: Arc::clone(&self.permission),
                    control: running.control,
                    child,
                    warden,
                    cgroup,
                    limits: entry.limits,
                    status: None,
                    stdin: Some(running.stdin),
                    stdout: Some(Lines::of(running.stdout, LINE_BYTES_MAX)),
                    stderr: Some(running.stderr),
                })
            }
            Err(error) => {
                self.give_up(&key, beginning, cgroup).await?;
                Err(error)
            }
        }
    }

    async fn bring_up(
        &self,
        order: &Order,
        entry: &mut Entry,
        cgroup: Option<&Cgroup>,
        name: &str,
        beginning: &mut Beginning,
    ) -> Result<Running, StartError> {
        let key = &order.key;
        if let Some(cgroup) = cgroup {
            cgroup.make().map_err(failed("make a cgroup", key))?;
            entry.limits = cgroup.limit(order.limits).map_err(failed("set the limits", key))?;
        }
        step("group-made", key);
        let (control, theirs) = connection(key)?;
        let (stderr, their_stderr) = pipes(key)?;
        let warden_stderr =
            their_stderr.try_clone().map_err(failed("share standard error", key))?;
        let child = self
            .warden(name, cgroup, theirs, warden_stderr)
            .spawn()
            .map_err(failed("start a warden", key))?;
        let stderr = pipe::Receiver::from_owned_fd(stderr)
            .map(|pipe| tokio::spawn(stderr::keep(pipe, order.stderr.clone(), STDERR_BYTES_MAX)))
            .map_err(failed("read standard error", key))?;
        let child = beginning.child.insert(child);

        let ready = heard(&control, key).await?;
        step("warden-ready", key);
        let sender = ready.sender.filter(|_| ready.message == FromWarden::Ready);
        let warden = identify(sender, child)
            .map_err(failed("identify the warden", key))?
            .ok_or_else(|| misbehaves(key, "is not who it should be"))?;
        beginning.warden = Some(warden);
        entry.warden = Some(warden);
        self.permission.write(key, entry)?;
        step("registered", key);

        let (stdin, stdout) = self.hand_over(order, &control, their_stderr).await?;
        Ok(Running { control, stdin, stdout, stderr })
    }

    /// Has a warden that is registered run what was ordered.
    async fn hand_over(
        &self,
        order: &Order,
        control: &UnixStream,
        their_stderr: OwnedFd,
    ) -> Result<(pipe::Sender, pipe::Receiver), StartError> {
        let key = &order.key;
        let (their_stdin, stdin) = pipes(key)?;
        let (stdout, their_stdout) = pipes(key)?;
        let streams = Streams { stdin: their_stdin, stdout: their_stdout, stderr: their_stderr };
        let plan = Plan {
            door: vec![self.program.display().to_string(), DOOR_SUBCOMMAND.to_owned()],
            program: order.program.clone(),
            arguments: order.arguments.clone(),
            environment: order.environment.pairs(),
            directory: order.directory.clone(),
        };
        wire::send_plan(control, &plan, &streams)
            .map_err(failed("tell the warden what to run", key))?;
        drop(streams);
        step("told", key);
        match heard(control, key).await?.message {
            FromWarden::Started => {}
            FromWarden::Refused { explanation } => {
                return Err(StartError::Refused { key: key.clone(), explanation });
            }
            FromWarden::Ready | FromWarden::Ended(_) => {
                return Err(misbehaves(key, "talks out of turn"));
            }
        }
        step("running", key);
        let stdin = pipe::Sender::from_owned_fd(stdin);
        let stdin = stdin.map_err(failed("write to standard input", key))?;
        let stdout = pipe::Receiver::from_owned_fd(stdout);
        let stdout = stdout.map_err(failed("read standard output", key))?;
        Ok((stdin, stdout))
    }

    fn warden(
        &self,
        name: &str,
        cgroup: Option<&Cgroup>,
        control: OwnedFd,
        stderr: OwnedFd,
    ) -> Command {
        let (program, before, stderr): (&Path, Vec<OsString>, Stdio) = match &self.holding {
            Holding::Cgroup { .. } => (&self.program, Vec::new(), stderr.into()),
            // When what it holds is killed, `unshare` complains that SIGKILL has no
            // handler to be reset: no word of the agent's, so it has nowhere to go.
            Holding::Namespace { unshare } => {
                let program = self.program.clone().into_os_string();
                let before = unsharing().map(OsString::from).chain([program]);
                (unshare, before.collect(), Stdio::null())
            }
        };
        let mut command = Command::new(program);
        command
            .args(before)
            .arg(WARDEN_SUBCOMMAND)
            .arg(&self.root)
            .arg(name)
            .arg(group_argument(cgroup))
            .env_clear()
            .current_dir("/")
            .stdin(control)
            .stdout(Stdio::null())
            .stderr(stderr);
        command
    }

    /// Ends what an order that failed has begun.
    async fn give_up(
        &self,
        key: &Key,
        beginning: Beginning,
        cgroup: Option<Cgroup>,
    ) -> Result<(), StartError> {
        let action = "end what was begun";
        if let Some(mut child) = beginning.child {
            // The connection is closed, so it ends by itself, too.
            let _ = child.start_kill();
            let warden = beginning.warden;
            let work = move || ending::end(warden.as_slice(), cgroup.as_ref());
            tokio::task::spawn_blocking(work)
                .await
                .map_err(io::Error::other)
                .and_then(|ended| ended)
                .map_err(failed(action, key))?;
            child.wait().await.map_err(failed(action, key))?;
        } else if let Some(cgroup) = cgroup {
            ending::end(&[], Some(&cgroup)).map_err(failed(action, key))?;
        }
        Ok(self.permission.forget(key)?)
    }
}

impl Drop for Custodian {
    /// One that has started nothing leaves nothing.
    fn drop(&mut self) {
        if let Holding::Cgroup { parent } = &self.holding {
            cgroup::remove_empty(parent);
        }
    }
}

/// What an order has brought about so far.
#[derive(Debug)]
struct Beginning {
    child: Option<Child>,
    warden: Option<ProcessMark>,
}

struct Running {
    control: UnixStream,
    stdin: pipe::Sender,
    stdout: pipe::Receiver,
    stderr: tokio::task::JoinHandle<io::Result<()>>,
}

/// Says how far an order is. Tests end the engine at each of these.
fn step(step: &'static str, key: &Key) {
    tracing::debug!(step, %key, "starting a process");
}

/// The next word of a warden.
async fn heard(control: &UnixStream, key: &Key) -> Result<wire::Received<FromWarden>, StartError> {
    match timeout(WARDEN_DEADLINE, held::receive(control)).await {
        Ok(Ok(Some(received))) => Ok(received),
        Ok(Ok(None)) => Err(misbehaves(key, "ended unexpectedly")),
        Ok(Err(error)) => Err(failed("hear the warden", key)(error)),
        Err(_) => Err(misbehaves(key, "does not answer")),
    }
}

/// The warden's mark, if the sender is our child or, behind `unshare`, a child of
/// that. Our child's number cannot pass to anybody else before it is waited for.
fn identify(sender: Option<i32>, child: &Child) -> io::Result<Option<ProcessMark>> {
    let (Some(sender), Some(child)) = (sender, child.id().and_then(|id| i32::try_from(id).ok()))
    else {
        return Ok(None);
    };
    let Some(stat) = mark::stat(sender)? else { return Ok(None) };
    let ours = sender == child || stat.parent == child;
    Ok(ours.then_some(ProcessMark { pid: sender, start_ticks: stat.start_ticks }))
}

/// The connection to a warden, and its end of it.
fn connection(key: &Key) -> Result<(UnixStream, OwnedFd), StartError> {
    let (ours, theirs) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(|error| failed("make a connection", key)(error.into()))?;
    // Only this side: a flag of the open socket, which both do not share.
    rustix::io::ioctl_fionbio(&ours, true)
        .and_then(|()| rustix::net::sockopt::set_socket_passcred(&ours, true))
        .map_err(|error| failed("prepare a connection", key)(error.into()))?;
    let control = UnixStream::from_std(ours.into());
    Ok((control.map_err(failed("watch a connection", key))?, theirs))
}

fn pipes(key: &Key) -> Result<(OwnedFd, OwnedFd), StartError> {
    rustix::pipe::pipe_with(PipeFlags::CLOEXEC)
        .map_err(|error| failed("make a pipe", key)(error.into()))
}

fn misbehaves(key: &Key, what: &'static str) -> StartError {
    StartError::Warden { key: key.clone(), what }
}

fn failed(action: &'static str, key: &Key) -> impl FnOnce(io::Error) -> StartError {
    let key = key.clone();
    move |source| StartError::Step { action, key, source }
}
