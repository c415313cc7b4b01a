//! Standard input of a command: what the host sent and the process has yet to
//! read.
//!
//! ```text
//! Open ── StdinClosed ──▶ Closing ── buffer empty ──▶ pipe closed
//!   └──────────┬────────────┘
//!       EPIPE: Refused, said once; what comes is dropped but still granted
//! ```
//!
//! The host may send what its window allows and gets more as the pipe takes
//! it, in steps, so that single bytes do not cause as many messages back. The
//! window bounds the buffer; overrunning it is the host's error.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future;
use std::rc::Rc;

use bytes::{Buf, Bytes};
use guest_protocol::frame::INITIAL_CREDIT;
use guest_protocol::message::GuestMessage;
use rustix::io::Errno;
use tokio::sync::Notify;

use crate::hearing::Hearing;
use crate::outbox::Outbox;
use crate::sys::Watched;

/// Consumed bytes after which the host gets as much again.
const STEP: u32 = INITIAL_CREDIT / 4;

/// What the host did that it must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InputError {
    #[error("more standard input than the guest had granted")]
    Overrun,
    #[error("standard input after its end")]
    AfterEnd,
    #[error("standard input for a command that has none")]
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// More may come.
    Open,
    /// The host has said that nothing more comes.
    Closing,
    /// The command reads `/dev/null`.
    Null,
}

/// Shared by the session, which fills it, and the command's task.
#[derive(Debug)]
pub(crate) struct Input {
    chunks: RefCell<VecDeque<Bytes>>,
    window: Cell<u32>,
    consumed: Cell<u32>,
    end: Cell<End>,
    /// The process no longer reads.
    refused: Cell<bool>,
    hearing: Rc<Hearing>,
    changed: Notify,
}

impl Input {
    pub(crate) fn open(hearing: Rc<Hearing>) -> Self {
        Self::with(End::Open, hearing)
    }

    pub(crate) fn null(hearing: Rc<Hearing>) -> Self {
        Self::with(End::Null, hearing)
    }

    fn with(end: End, hearing: Rc<Hearing>) -> Self {
        Self {
            chunks: RefCell::default(),
            window: Cell::new(INITIAL_CREDIT),
            consumed: Cell::new(0),
            end: Cell::new(end),
            refused: Cell::new(false),
            hearing,
            changed: Notify::new(),
        }
    }

    /// Takes in what the host sent.
    pub(crate) fn push(&self, bytes: Bytes) -> Result<(), InputError> {
        match self.end.get() {
            End::Open => {}
            End::Closing => return Err(InputError::AfterEnd),
            End::Null => return Err(InputError::None),
        }
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let window = self.window.get().checked_sub(length).ok_or(InputError::Overrun)?;
        self.window.set(window);
        if length > 0 {
            self.chunks.borrow_mut().push_back(bytes);
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Grants the initial credit to a host that has just attached, and tells it if
    /// nothing more can be sent.
    pub(crate) fn attached(&self, outbox: &Outbox) {
        self.window.set(INITIAL_CREDIT);
        self.consumed.set(0);
        if self.refused.get() || self.end.get() != End::Open {
            self.say(&GuestMessage::StdinRefused, outbox);
        }
    }

    fn say(&self, message: &GuestMessage, outbox: &Outbox) {
        if let Some(stream) = self.hearing.stream() {
            outbox.message(stream, message);
        }
    }

    /// Takes in that nothing more comes.
    pub(crate) fn close(&self) {
        if self.end.get() == End::Open {
            self.end.set(End::Closing);
            self.changed.notify_one();
        }
    }

    /// Writes what the host sends into the pipe; ends only by being dropped.
    pub(crate) async fn pump(&self, pipe: Option<Watched>, outbox: &Outbox) {
        if let Some(pipe) = pipe {
            if self.write_all(&pipe, outbox).await.is_err() {
                self.refused.set(true);
                self.say(&GuestMessage::StdinRefused, outbox);
            }
            drop(pipe);
            while self.some().await {
                let length = self.chunks.borrow().front().map_or(0, Bytes::len);
                self.consume(length, outbox);
            }
        }
        future::pending().await
    }

    /// Until the end that the host announces, or until nobody reads any more.
    async fn write_all(&self, pipe: &Watched, outbox: &Outbox) -> rustix::io::Result<()> {
        while self.some().await {
            let Ok(mut ready) = pipe.writable().await else { return Err(Errno::IO) };
            let written = {
                let chunks = self.chunks.borrow();
                let Some(chunk) = chunks.front() else { continue };
                rustix::io::write(pipe, chunk)
            };
            match written {
                Ok(written) => self.consume(written, outbox),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits for bytes; false once all of them are consumed and no more come.
    async fn some(&self) -> bool {
        loop {
            if !self.chunks.borrow().is_empty() {
                return true;
            }
            if self.end.get() != End::Open {
                return false;
            }
            self.changed.notified().await;
        }
    }

    fn consume(&self, bytes: usize, outbox: &Outbox) {
        let mut chunks = self.chunks.borrow_mut();
        if let Some(chunk) = chunks.front_mut() {
            chunk.advance(bytes);
            if chunk.is_empty() {
                chunks.pop_front();
            }
        }
        let consumed = self.consumed.get().saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        self.consumed.set(consumed);
        if consumed >= STEP && self.end.get() == End::Open {
            self.consumed.set(0);
            self.window.set(self.window.get().saturating_add(consumed));
            self.say(&GuestMessage::Credit { bytes: consumed }, outbox);
        }
    }
}
