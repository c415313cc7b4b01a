//! The byte channel to the host: a virtio serial port, or a socket in tests.
//!
//! The host end may go away and come back at any time; that is never an error.
//!
//! ```text
//! Present ── read gives 0, or an error ──▶ Away: try again every 5 to 50 ms
//!    ▲                                       │
//!    └──── read gives bytes or would block ──┘
//! ```
//!
//! While the host is away the port reports a hang-up, and the runtime never
//! forgets a hang-up. So whenever one was seen the descriptor is registered
//! anew, which asks the kernel for the present state; without that every wait
//! would end at once and the agent would spin. Both directions have their own
//! descriptor, hence their own registration.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use guest_protocol::PORT_NAME;
use rustix::buffer::spare_capacity;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFdReadyGuard;
use tokio::io::{Interest, Ready};

use crate::outbox::Outbox;
use crate::sys;

const PORTS: &str = "/sys/class/virtio-ports";
const APPEARANCE: Duration = Duration::from_secs(10);
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// The most that one read takes, in bytes.
const CHUNK: usize = 64 * 1024;

/// Why there is no channel to the host.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// The device did not appear in time.
    #[error("no port named `{PORT_NAME}` appeared in {PORTS} within {} s", APPEARANCE.as_secs())]
    Missing,
    /// The device is there but cannot be used.
    #[error("cannot open the port {path}")]
    Open {
        /// The device.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A descriptor could not be set up.
    #[error("cannot watch the port")]
    Watch(#[source] io::Error),
}

/// Waits for the host's port and opens it.
///
/// # Errors
///
/// If it does not appear within some seconds or cannot be opened.
pub fn open() -> Result<OwnedFd, PortError> {
    let deadline = Instant::now() + APPEARANCE;
    loop {
        if let Some(path) = find() {
            let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
            match rustix::fs::open(&path, flags, Mode::empty()) {
                // The node may appear a moment after its entry in sysfs.
                Err(Errno::NOENT) => {}
                other => return other.map_err(|e| PortError::Open { path, source: e.into() }),
            }
        }
        if Instant::now() >= deadline {
            return Err(PortError::Missing);
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn find() -> Option<PathBuf> {
    fs::read_dir(PORTS).ok()?.flatten().find_map(|entry| {
        let name = fs::read_to_string(entry.path().join("name")).ok()?;
        (name.trim_end() == PORT_NAME).then(|| PathBuf::from("/dev").join(entry.file_name()))
    })
}

/// Both directions of `port`.
pub(crate) fn split(port: OwnedFd) -> Result<(Receiver, Sender), PortError> {
    let twin = port.try_clone().map_err(PortError::Watch)?;
    let receiver = Receiver { watched: Watched::new(port, Interest::READABLE)? };
    let sender = Sender { watched: Watched::new(twin, Interest::WRITABLE)? };
    Ok((receiver, sender))
}

/// The direction from the host.
#[derive(Debug)]
pub(crate) struct Receiver {
    watched: Watched,
}

impl Receiver {
    /// Replaces `chunk` by what has arrived; waits for it as long as it takes.
    pub(crate) async fn receive(&mut self, chunk: &mut Vec<u8>) {
        let mut pause = Pause::default();
        chunk.clear();
        chunk.reserve(CHUNK);
        loop {
            let Some(mut ready) = self.watched.ready().await else {
                pause.rest().await;
                continue;
            };
            match rustix::io::read(ready.get_inner(), spare_capacity(chunk)) {
                Ok(0) => pause.rest().await,
                Ok(_) => return,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    if hung_up(ready.ready()) {
                        self.watched.renew();
                    } else {
                        ready.clear_ready();
                    }
                }
                Err(_) => pause.rest().await,
            }
        }
    }
}

/// The direction to the host.
#[derive(Debug)]
pub(crate) struct Sender {
    watched: Watched,
}

impl Sender {
    /// Carries what is queued to the host, for ever.
    pub(crate) async fn run(mut self, outbox: &Outbox) {
        let mut pause = Pause::default();
        loop {
            outbox.filled().await;
            let Some(mut ready) = self.watched.ready().await else {
                pause.rest().await;
                continue;
            };
            let sent = outbox.send(|bytes| Ok(rustix::io::write(ready.get_inner(), bytes)?));
            match sent.as_ref().map_err(io::Error::kind) {
                Ok(()) => pause = Pause::default(),
                Err(io::ErrorKind::Interrupted) => {}
                Err(io::ErrorKind::WouldBlock) if !hung_up(ready.ready()) => ready.clear_ready(),
                Err(_) => {
                    self.watched.renew();
                    pause.rest().await;
                }
            }
        }
    }
}

fn hung_up(ready: Ready) -> bool {
    ready.is_read_closed() || ready.is_write_closed()
}

/// A descriptor and its present registration with the runtime.
#[derive(Debug)]
struct Watched {
    fd: Rc<OwnedFd>,
    interest: Interest,
    registration: Option<sys::Watched>,
}

impl Watched {
    fn new(fd: OwnedFd, interest: Interest) -> Result<Self, PortError> {
        let fd = Rc::new(fd);
        let registration = sys::watch(Rc::clone(&fd), interest);
        let registration = Some(registration.map_err(PortError::Watch)?);
        Ok(Self { fd, interest, registration })
    }

    /// Waits until the descriptor may be used; none if it cannot be watched now.
    async fn ready(&mut self) -> Option<AsyncFdReadyGuard<'_, Rc<OwnedFd>>> {
        if self.registration.is_none() {
            let fd = Rc::clone(&self.fd);
            self.registration = sys::watch(fd, self.interest).ok();
        }
        self.registration.as_ref()?.ready(self.interest).await.ok()
    }

    /// Forgets every hang-up that was seen.
    fn renew(&mut self) {
        self.registration = None;
    }
}

/// Grows with each rest in a row.
#[derive(Debug)]
struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(SHORTEST_PAUSE)
    }
}

impl Pause {
    async fn rest(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(LONGEST_PAUSE);
    }
}
