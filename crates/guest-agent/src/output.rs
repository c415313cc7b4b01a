//! One output channel of a command: a pipe, and how much of it may be sent.
//!
//! ```text
//!          bytes, with credit and room
//! Talking ─────────────────────────────▶ Talking ── end of file ──▶ Closed
//!    │ the command has ended
//!    ▼
//! Rest: what is in the pipe at that moment, and no more
//!    │
//!    ▼
//! Discarding: read and dropped until the last holder has closed it
//! ```
//!
//! The pipe is left unread while the host has granted nothing, so the process
//! blocks on its own pipe and nothing piles up here. Processes that outlive
//! their command keep a reader, so they neither block nor get SIGPIPE.

use std::cell::Cell;
use std::future;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use guest_protocol::frame::{Channel, INITIAL_CREDIT};
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use tokio::sync::Notify;

use crate::hearing::Hearing;
use crate::outbox::Outbox;
use crate::sys::Watched;

/// The most that is read at once, in bytes; what a port carries in one piece.
const CHUNK: u32 = 32 * 1024;

/// What the host lets the guest send on one channel.
#[derive(Debug)]
pub(crate) struct Credit {
    left: Cell<u32>,
    more: Notify,
}

impl Credit {
    pub(crate) fn new() -> Self {
        Self { left: Cell::new(INITIAL_CREDIT), more: Notify::new() }
    }

    pub(crate) fn grant(&self, bytes: u32) {
        self.left.set(self.left.get().saturating_add(bytes));
        self.more.notify_one();
    }

    /// Takes all of it away: nobody hears this channel until credit is granted.
    pub(crate) fn withdraw(&self) {
        self.left.set(0);
    }

    async fn some(&self) -> u32 {
        while self.left.get() == 0 {
            self.more.notified().await;
        }
        self.left.get()
    }

    fn spend(&self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.left.set(self.left.get().saturating_sub(bytes));
    }
}

/// Owned by the command's task.
#[derive(Debug)]
pub(crate) struct Output {
    hearing: Rc<Hearing>,
    channel: Channel,
    kind: Kind,
    /// None once the last writer has closed it.
    pipe: Option<Watched>,
}

/// What the process writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Pipe,
    /// The terminal ends with its session's leader, but what was written to it
    /// may still be on its way through the kernel then.
    Terminal,
}

/// How long the last words of a terminal may be on their way.
const TERMINAL_REST: Duration = Duration::from_millis(200);

enum Read {
    Bytes(u32),
    WouldBlock,
    Closed,
}

impl Output {
    pub(crate) fn new(
        hearing: Rc<Hearing>,
        channel: Channel,
        kind: Kind,
        pipe: Option<Watched>,
    ) -> Self {
        Self { hearing, channel, kind, pipe }
    }

    /// Sends what the process writes; ends only by being dropped, at any time.
    pub(crate) async fn pump(&mut self, credit: &Credit, outbox: &Outbox) {
        while let Some(pipe) = &self.pipe {
            credit.some().await;
            let Ok(mut ready) = pipe.readable().await else { break };
            match self.forward(pipe, credit, outbox, CHUNK).await {
                Read::Bytes(_) => {}
                Read::WouldBlock => ready.clear_ready(),
                Read::Closed => self.pipe = None,
            }
        }
        future::pending().await
    }

    /// Sends what is in the pipe now. Later bytes come from processes that
    /// outlive their command, and might never end.
    pub(crate) async fn rest(&mut self, credit: &Credit, outbox: &Outbox) {
        let Some(pipe) = &self.pipe else { return };
        if self.kind == Kind::Terminal {
            // Reading fails once the terminal is gone and empty.
            let all = async {
                loop {
                    let Ok(mut ready) = pipe.readable().await else { return };
                    match self.forward(pipe, credit, outbox, CHUNK).await {
                        Read::Bytes(_) => {}
                        Read::WouldBlock => ready.clear_ready(),
                        Read::Closed => return,
                    }
                }
            };
            let _ = tokio::time::timeout(TERMINAL_REST, all).await;
            return;
        }
        let mut left = rustix::io::ioctl_fionread(pipe).unwrap_or(0);
        while left > 0 {
            let most = u32::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
            match self.forward(pipe, credit, outbox, most).await {
                Read::Bytes(read) => left = left.saturating_sub(u64::from(read)),
                Read::WouldBlock | Read::Closed => return,
            }
        }
    }

    /// Reads once and queues it. Nothing is awaited between the two, so a pump
    /// that is dropped loses no byte.
    async fn forward(&self, pipe: &Watched, credit: &Credit, outbox: &Outbox, most: u32) -> Read {
        let (most, room) = loop {
            let most = credit.some().await.min(most);
            let room = outbox.room(most).await;
            // The host may have gone while there was no room.
            let left = credit.left.get();
            if left > 0 {
                break (most.min(left), room);
            }
        };
        let mut bytes = Vec::with_capacity(most as usize);
        loop {
            match read_up_to(pipe, &mut bytes) {
                Ok(0) => return Read::Closed,
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Read::WouldBlock,
                Err(_) => return Read::Closed,
            }
        }
        let read = u32::try_from(bytes.len()).unwrap_or(most);
        credit.spend(bytes.len());
        if let Some(stream) = self.hearing.stream() {
            outbox.output(stream, self.channel, Bytes::from(bytes), room);
        }
        Read::Bytes(read)
    }

    /// Reads and drops until the last writer has closed the pipe.
    pub(crate) async fn discard(self) {
        let Some(pipe) = self.pipe else { return };
        let mut bytes = Vec::new();
        loop {
            // Memory is taken only while there is something to drop.
            let Ok(mut ready) = pipe.readable().await else { return };
            bytes.reserve_exact(CHUNK as usize);
            match read_up_to(&pipe, &mut bytes) {
                Ok(0) => return,
                Ok(_) | Err(Errno::INTR) => bytes.clear(),
                Err(Errno::AGAIN) => {
                    bytes = Vec::new();
                    ready.clear_ready();
                }
                Err(_) => return,
            }
        }
    }
}

/// Reads at most the spare capacity of `bytes`.
fn read_up_to(pipe: &Watched, bytes: &mut Vec<u8>) -> rustix::io::Result<usize> {
    rustix::io::read(pipe, spare_capacity(bytes))
}
