//! The agent's one thread and the tasks on it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

use crate::containment::Containment;
use crate::machine::Machine;
use crate::outbox::Outbox;
use crate::port::{self, PortError};
use crate::reaper::{Reaper, Reaping};
use crate::session::{Session, Shared};

/// What differs between a guest and a test.
#[derive(Debug)]
pub struct Settings {
    /// What identity, drive and disks are.
    pub machine: Arc<dyn Machine>,
    /// How trees of processes are held together.
    pub containment: Containment,
    /// Whose death is collected.
    pub reaping: Reaping,
}

/// Why the agent cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The event loop could not be made.
    #[error("cannot create the event loop")]
    Runtime(#[source] io::Error),
    /// Deaths would go unnoticed.
    #[error("cannot watch for SIGCHLD")]
    Deaths(#[source] io::Error),
    /// Commands without input could not be started.
    #[error("cannot open /dev/null")]
    Null(#[source] io::Error),
    /// There is no channel to the host.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// Serves the host at the other end of `port`, for ever.
///
/// # Errors
///
/// Only before the first byte is read.
pub fn serve(port: OwnedFd, settings: Settings) -> Result<Infallible, ServeError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ServeError::Runtime)?;
    LocalSet::new().block_on(&runtime, run(port, settings))
}

async fn run(port: OwnedFd, settings: Settings) -> Result<Infallible, ServeError> {
    let deaths = signal(SignalKind::child()).map_err(ServeError::Deaths)?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| ServeError::Null(error.into()))?;
    let (receiver, sender) = port::split(port)?;
    let shared = Rc::new(Shared {
        outbox: Outbox::new(),
        reaper: Reaper::new(settings.reaping),
        containment: RefCell::new(settings.containment),
        null,
        streams: RefCell::new(BTreeMap::new()),
        kept: RefCell::new(BTreeMap::new()),
    });
    // Apart from each other, so that a long turn of one is not one of all.
    let reaping = Rc::clone(&shared);
    tokio::task::spawn_local(async move {
        reaping.reaper.run(deaths, || reaping.containment.borrow_mut().sweep()).await;
    });
    let sending = Rc::clone(&shared);
    tokio::task::spawn_local(async move { sender.run(&sending.outbox).await });
    Ok(Session::new(shared, settings.machine).run(receiver).await)
}
