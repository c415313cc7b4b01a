//! How a creator starts a keeper.
//!
//! Three descriptors are handed over: standard input is the creator's
//! connection, standard output is the workspace's lock, standard error is the
//! keeper's log. The lock passes from creator to keeper without ever being
//! free, so nobody can take a workspace in creation for a dead one.
//!
//! A keeper that outlives its creator is not its child either: chat hosts end the
//! servers that they started together with all their descendants. So the creator's
//! child starts the keeper with the same descriptors and ends:
//!
//! ```text
//! creator ──▶ child ──▶ keeper      whose parent is then the system's first process
//!               └ ends at once
//! ```

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::net::UnixStream;
use tokio::process::Command;

use super::protocol::Lifetime;

/// The hidden subcommand that is a keeper.
pub(crate) const SUBCOMMAND: &str = "keeper";
/// Its argument that makes it only start one.
const APART: &str = "apart";

/// A keeper could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpawnError {
    #[error("cannot create the keeper's connection")]
    Connection(#[source] io::Error),
    #[error("cannot open the keeper's log {}", path.display())]
    Log {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot start the keeper {}", program.display())]
    Start {
        program: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Starts a keeper that holds `lock` and logs to `log`; returns the creator's
/// connection to it.
pub(crate) fn spawn(
    program: &Path,
    lock: File,
    log: &Path,
    lifetime: Lifetime,
) -> Result<UnixStream, SpawnError> {
    let (ours, theirs) = StdUnixStream::pair().map_err(SpawnError::Connection)?;
    ours.set_nonblocking(true).map_err(SpawnError::Connection)?;
    let log_file = File::options()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(log)
        .map_err(|source| SpawnError::Log { path: log.to_owned(), source })?;
    let mut child = Command::new(program)
        .arg(SUBCOMMAND)
        .args((lifetime == Lifetime::UntilDeleted).then_some(APART))
        .stdin(OwnedFd::from(theirs))
        .stdout(OwnedFd::from(lock))
        .stderr(Stdio::from(log_file))
        .current_dir("/")
        .spawn()
        .map_err(|source| SpawnError::Start { program: program.to_owned(), source })?;
    // While the creator lives it has to collect its child's exit status.
    tokio::spawn(async move { child.wait().await });
    UnixStream::from_std(ours).map_err(SpawnError::Connection)
}

/// Whether this process, started as a keeper, shall only start one.
pub(super) fn is_only_to_start_one() -> bool {
    std::env::args_os().nth(2).is_some_and(|argument| argument == APART)
}

/// Starts the keeper that this process was to be, with its descriptors, as nobody's
/// child once this process has ended.
pub(super) fn start_apart() -> io::Result<()> {
    std::process::Command::new(std::env::current_exe()?).arg(SUBCOMMAND).spawn().map(drop)
}
