//! The queue of bytes that leave for the host.
//!
//! One buffer, because a write to the port should carry as much as possible
//! and frames of one stream must keep their order. Output takes [`Room`] before
//! a pipe is read; the semaphore behind it is first come, first served, so a
//! flood on one stream cannot starve another. Messages take no room: they are
//! small, and [`Outbox::overrun`] bounds what a host can provoke without reading.
//!
//! A new epoch drops all of it, half-sent frames included: the host looks for
//! its nonce and for nothing else.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use guest_protocol::epoch::Nonce;
use guest_protocol::frame::{self, Body, Channel, Frame, StreamId};
use guest_protocol::message::{self, GuestMessage, Refusal};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Output that may be queued in total, in bytes.
const ROOM: usize = 512 * 1024;

/// Messages that may be queued beyond the output, in bytes.
const MESSAGES: usize = 1024 * 1024;

/// The longest explanation in a refusal, in characters.
const EXPLANATION: usize = 500;

/// Owned by the session; shared with every command on the thread.
#[derive(Debug)]
pub(crate) struct Outbox {
    queue: RefCell<Queue>,
    room: Arc<Semaphore>,
    filled: Notify,
    overrun: Cell<bool>,
}

#[derive(Debug, Default)]
struct Queue {
    bytes: BytesMut,
    /// Bytes that have left since the agent's start.
    left: u64,
    /// Room that is free again once so many bytes have left.
    taken: VecDeque<(u64, OwnedSemaphorePermit)>,
}

/// The right to queue some bytes of output.
#[derive(Debug)]
pub(crate) struct Room(OwnedSemaphorePermit);

impl Outbox {
    pub(crate) fn new() -> Self {
        Self {
            queue: RefCell::default(),
            room: Arc::new(Semaphore::new(ROOM)),
            filled: Notify::new(),
            overrun: Cell::new(false),
        }
    }

    /// Drops everything and answers the opening of an epoch.
    pub(crate) fn restart(&self, nonce: &Nonce) {
        let mut queue = self.queue.borrow_mut();
        queue.taken.clear();
        queue.bytes.clear();
        queue.bytes.extend_from_slice(nonce);
        self.overrun.set(false);
        self.filled.notify_one();
    }

    pub(crate) fn message(&self, stream: StreamId, message: &GuestMessage) {
        // The only text of any length is a refusal's, and that is cut below.
        let Ok(frame) = message::control(stream, message) else { return };
        let mut queue = self.queue.borrow_mut();
        frame::encode(&frame, &mut queue.bytes);
        if queue.bytes.len() > ROOM + MESSAGES {
            self.overrun.set(true);
        }
        self.filled.notify_one();
    }

    pub(crate) fn refuse(&self, stream: StreamId, reason: Refusal, why: &str) {
        let message = why.chars().take(EXPLANATION).collect();
        self.message(stream, &GuestMessage::Refused { reason, message });
    }

    /// Whether the host provoked more answers than it has read.
    pub(crate) fn overrun(&self) -> bool {
        self.overrun.get()
    }

    /// Waits until `bytes` of output may be queued.
    pub(crate) async fn room(&self, bytes: u32) -> Room {
        match Arc::clone(&self.room).acquire_many_owned(bytes).await {
            Ok(permit) => Room(permit),
            // The semaphore lives as long as the agent and is never closed.
            Err(_) => std::future::pending().await,
        }
    }

    /// Queues output; what it does not need of `room` is free at once.
    pub(crate) fn output(&self, stream: StreamId, channel: Channel, bytes: Bytes, room: Room) {
        let mut permit = room.0;
        drop(permit.split(permit.num_permits().saturating_sub(bytes.len())));
        let mut queue = self.queue.borrow_mut();
        frame::encode(&Frame { stream, body: Body::Data(channel, bytes) }, &mut queue.bytes);
        let end = queue.left + queue.bytes.len() as u64;
        queue.taken.push_back((end, permit));
        self.filled.notify_one();
    }

    /// Waits until there is something to send.
    pub(crate) async fn filled(&self) {
        while self.queue.borrow().bytes.is_empty() {
            self.filled.notified().await;
        }
    }

    /// Lets `write` take bytes from the front.
    pub(crate) fn send(&self, write: impl FnOnce(&[u8]) -> io::Result<usize>) -> io::Result<()> {
        let mut queue = self.queue.borrow_mut();
        if queue.bytes.is_empty() {
            return Ok(());
        }
        let sent = write(&queue.bytes)?;
        queue.bytes.advance(sent);
        queue.left += sent as u64;
        let left = queue.left;
        while queue.taken.front().is_some_and(|(end, _)| *end <= left) {
            queue.taken.pop_front();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;

    fn now<F: Future>(future: F) -> Option<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::pin!(future).poll(&mut context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn room_is_free_again_once_the_bytes_have_left_or_were_dropped() {
        let outbox = Outbox::new();
        let all = u32::try_from(ROOM).expect("small");
        let fill = |size: usize| {
            let room = now(outbox.room(all)).expect("all room is free");
            outbox.output(StreamId(1), Channel::Stdout, Bytes::from(vec![0; size]), room);
        };
        fill(frame::MAX_PAYLOAD);
        assert!(now(outbox.room(all)).is_none());
        outbox.send(|bytes| Ok(bytes.len() - 1)).expect("sent");
        assert!(now(outbox.room(all)).is_none());
        outbox.send(|bytes| Ok(bytes.len())).expect("sent");
        fill(1);
        assert!(now(outbox.room(all - 1)).is_some());
        assert!(now(outbox.room(all)).is_none());
        outbox.restart(&[5; 32]);
        assert!(now(outbox.room(all)).is_some());
        outbox
            .send(|bytes| {
                assert_eq!(bytes, [5; 32]);
                Ok(32)
            })
            .expect("sent");
    }

    #[test]
    fn a_host_that_never_reads_is_noticed() {
        let outbox = Outbox::new();
        while !outbox.overrun() {
            outbox.refuse(StreamId(1), Refusal::Unsupported, &"x".repeat(100_000));
        }
        outbox.restart(&[0; 32]);
        assert!(!outbox.overrun());
    }
}
