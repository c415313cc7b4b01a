//! A process that runs, seen by the engine that started it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::process::Child;
use tokio::time::timeout;

use super::cgroup::Cgroup;
use super::ending::{self, Ending};
use super::entry::Key;
use super::limits::Limit;
use super::lines::Lines;
use super::mark::ProcessMark;
use super::registry::{Permission, RegistryError};
use super::wire::{self, FromWarden, Status, ToWarden};

/// How long the rest of standard error may take to be read. Nobody can hold it any
/// more but a process that moved itself out of its cgroup.
const STDERR_GRACE: Duration = Duration::from_secs(2);

/// A process in custody. Dropping it makes the warden end everything, but
/// nobody waits for that and the entry stays: call [`Held::kill`].
#[derive(Debug)]
pub struct Held {
    pub(super) key: Key,
    pub(super) permission: Arc<Permission>,
    /// Packets, which the type does not say; only the readiness of it is used.
    pub(super) control: UnixStream,
    pub(super) child: Child,
    pub(super) warden: ProcessMark,
    pub(super) cgroup: Option<Cgroup>,
    pub(super) limits: Vec<Limit>,
    pub(super) status: Option<Status>,
    pub(super) stdin: Option<pipe::Sender>,
    pub(super) stdout: Option<Lines<pipe::Receiver>>,
    pub(super) stderr: Option<tokio::task::JoinHandle<io::Result<()>>>,
}

/// How a process ended. There is one only if nothing of it is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How the program itself ended; `None` if it was killed before it had.
    pub status: Option<Status>,
    /// What was still alive when the rest was killed, by process ids.
    pub killed: Vec<i32>,
}

/// The end of a process is not proved.
#[derive(Debug, thiserror::Error)]
pub enum EndError {
    /// The kernel does not get rid of them.
    #[error("processes {0:?} were killed, but do not end")]
    Stuck(Vec<i32>),
    /// Something went wrong while killing or waiting.
    #[error("cannot prove that nothing of the process is left")]
    Prove(#[source] io::Error),
    /// Nothing is left, but the registry still says so.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl Held {
    /// Its key.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The limits that the kernel holds it to.
    pub fn limits_in_force(&self) -> &[Limit] {
        &self.limits
    }

    /// Its standard input, the first time.
    pub fn take_stdin(&mut self) -> Option<pipe::Sender> {
        self.stdin.take()
    }

    /// What it prints, the first time. It waits while nobody reads.
    pub fn take_stdout(&mut self) -> Option<Lines<pipe::Receiver>> {
        self.stdout.take()
    }

    /// Asks it to end, by SIGTERM.
    ///
    /// # Errors
    ///
    /// If the warden cannot be told.
    pub async fn terminate(&self) -> io::Result<()> {
        let sent = self
            .control
            .async_io(Interest::WRITABLE, || wire::send(&self.control, &ToWarden::Terminate))
            .await;
        match sent {
            // It has ended meanwhile.
            Err(error) if is_hung_up(&error) => Ok(()),
            other => other,
        }
    }

    /// Waits until it ends, and everything that it left behind is killed and
    /// proved gone. Can be given up on and asked again.
    ///
    /// # Errors
    ///
    /// If its end cannot be proved; then the entry stays.
    pub async fn wait(&mut self) -> Result<Outcome, EndError> {
        while let Some(message) = self.next_message().await.map_err(EndError::Prove)? {
            if let FromWarden::Ended(status) = message {
                self.status = Some(status);
                break;
            }
        }
        self.finish().await
    }

    /// Kills it with all its descendants and proves that none is left.
    ///
    /// # Errors
    ///
    /// As [`Self::wait`].
    pub async fn kill(&mut self) -> Result<Outcome, EndError> {
        self.finish().await
    }

    async fn finish(&mut self) -> Result<Outcome, EndError> {
        let (warden, cgroup) = (self.warden, self.cgroup.clone());
        let work = move || ending::end(&[warden], cgroup.as_ref());
        let ending = tokio::task::spawn_blocking(work).await.map_err(io::Error::other);
        let killed = match ending.and_then(|ending| ending).map_err(EndError::Prove)? {
            Ending::Empty(killed) => killed,
            Ending::Stuck(left) => return Err(EndError::Stuck(left)),
        };
        // What the warden said before it died is still there to be read.
        while let Ok(Some(message)) = self.next_message().await {
            if let FromWarden::Ended(status) = message {
                self.status = Some(status);
            }
        }
        self.child.wait().await.map_err(EndError::Prove)?;
        if let Some(mut stderr) = self.stderr.take() {
            match timeout(STDERR_GRACE, &mut stderr).await {
                Ok(Ok(Err(error))) => {
                    tracing::warn!(key = %self.key, %error, "standard error was not kept");
                }
                Ok(_) => {}
                Err(_) => {
                    stderr.abort();
                    tracing::warn!(key = %self.key, "somebody outside holds its standard error");
                }
            }
        }
        self.permission.forget(&self.key)?;
        let killed = killed.into_iter().filter(|pid| *pid != self.warden.pid).collect();
        Ok(Outcome { status: self.status, killed })
    }

    pub(super) async fn next_message(&self) -> io::Result<Option<FromWarden>> {
        receive(&self.control).await.map(|received| received.map(|received| received.message))
    }
}

/// The next message of a warden; `None` if it is gone.
pub(super) async fn receive(
    control: &UnixStream,
) -> io::Result<Option<wire::Received<FromWarden>>> {
    match control.async_io(Interest::READABLE, || wire::receive(control)).await {
        Err(error) if is_hung_up(&error) => Ok(None),
        other => other,
    }
}

fn is_hung_up(error: &io::Error) -> bool {
    [Errno::PIPE, Errno::CONNRESET]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
