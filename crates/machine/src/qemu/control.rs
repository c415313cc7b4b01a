//! The control stream: orders out, replies and events in.
//!
//! One owner gives one order at a time and reads until its reply; events that
//! come in between wait in a bounded queue. No task is needed, and reading is
//! cancel safe, because what was read is kept here. The monitor may be in the
//! hands of a hostile guest, so lines, queue and waiting times are bounded, and
//! anything out of place is an error after which the stream is not used again.

use std::collections::VecDeque;
use std::fs::File;
use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use serde_json::Value;
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::UnixStream;

use super::messages::{Event, Message, MigrationStatus};
use super::orders::Order;
use crate::MachineError;

/// How long the monitor may take to answer an order, in milliseconds. Halting
/// the guest waits for its disks, which can take seconds on a busy host.
const ORDER_LIMIT_MS: u64 = 30_000;

/// Longest line that is accepted, in bytes. Replies to our orders are under
/// two thousand.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// How many events can wait to be looked at. The same event again is dropped,
/// and there are few kinds for each of a few drives.
const MAX_WAITING_EVENTS: usize = 1024;

/// Bytes that are read at once.
const READ_BYTES: usize = 4096;

/// The control stream of one monitor.
#[derive(Debug)]
pub(super) struct Control {
    stream: UnixStream,
    /// What was read and not yet looked at; bounded by the longest line.
    unread: Vec<u8>,
    /// How much of `unread` is known to hold no end of line.
    searched: usize,
    last_id: u64,
    events: VecDeque<Event>,
}

impl Control {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self { stream, unread: Vec::new(), searched: 0, last_id: 0, events: VecDeque::new() }
    }

    /// Waits for the greeting and leaves the negotiation that follows it.
    pub(super) async fn greet(&mut self, limit_ms: u64) -> Result<(), MachineError> {
        let order = "greeting";
        match within(order, limit_ms, self.message()).await? {
            Message::Greeting => {}
            Message::Reply { .. } | Message::Event(_) => {
                return Err(broken(order, invalid("the monitor does not begin with a greeting")));
            }
        }
        self.execute(Order::QmpCapabilities).await.map(drop)
    }

    /// Gives an order and returns the monitor's answer.
    pub(super) async fn execute(&mut self, order: Order) -> Result<Value, MachineError> {
        self.give(order, None).await
    }

    /// The same, with a file that the order hands over.
    pub(super) async fn execute_with(
        &mut self,
        order: Order,
        file: File,
    ) -> Result<Value, MachineError> {
        self.give(order, Some(file.as_fd())).await
    }

    async fn give(
        &mut self,
        order: Order,
        file: Option<BorrowedFd<'_>>,
    ) -> Result<Value, MachineError> {
        let name = order.name();
        let answer = within(name, ORDER_LIMIT_MS, self.exchange(&order, file)).await?;
        let refused = |reason| MachineError::Refused { order: name.to_owned(), reason };
        answer.map_err(refused)
    }

    /// Waits until the migration that `order` began is over.
    pub(super) async fn migrated(
        &mut self,
        order: Order,
        limit_ms: u64,
    ) -> Result<MigrationStatus, MachineError> {
        let over = async {
            loop {
                match self.migration_step().await? {
                    MigrationStatus::Underway | MigrationStatus::PreSwitchover => {}
                    over => return Ok(over),
                }
            }
        };
        within(order.name(), limit_ms, over).await
    }

    /// The next step of a migration that is under way. Cancel safe.
    pub(super) async fn migration_step(&mut self) -> io::Result<MigrationStatus> {
        self.awaited(|event| match event {
            Event::Migration(status) => Some(*status),
            _ => None,
        })
        .await
    }

    /// Waits for the end of the job that `order` began; the reason if it failed.
    pub(super) async fn job_end(
        &mut self,
        order: &'static str,
        limit_ms: u64,
    ) -> Result<Option<String>, MachineError> {
        let end = self.awaited(|event| match event {
            Event::JobEnded { failure } => Some(failure.clone()),
            _ => None,
        });
        within(order, limit_ms, end).await
    }

    /// Takes the first event that `wanted` makes something of; others wait on.
    async fn awaited<T>(&mut self, wanted: impl Fn(&Event) -> Option<T>) -> io::Result<T> {
        loop {
            if let Some(found) = self.take(&wanted) {
                return Ok(found);
            }
            match self.message().await? {
                Message::Event(Some(event)) => self.keep(event)?,
                Message::Event(None) => {}
                Message::Greeting | Message::Reply { .. } => {
                    return Err(invalid("an answer that nobody asked for"));
                }
            }
        }
    }

    /// The same among the events that have arrived.
    pub(super) fn take<T>(&mut self, wanted: impl Fn(&Event) -> Option<T>) -> Option<T> {
        let waiting = self.events.iter().enumerate();
        let (place, found) =
            waiting.filter_map(|(place, event)| Some((place, wanted(event)?))).next()?;
        self.events.remove(place);
        Some(found)
    }

    /// The next event; an error if the stream has ended or broken. Cancel safe.
    pub(super) async fn event(&mut self) -> io::Result<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            match self.message().await? {
                Message::Event(Some(event)) => return Ok(event),
                Message::Event(None) => {}
                Message::Greeting | Message::Reply { .. } => {
                    return Err(invalid("an answer that nobody asked for"));
                }
            }
        }
    }

    async fn exchange(
        &mut self,
        order: &Order,
        file: Option<BorrowedFd<'_>>,
    ) -> io::Result<Result<Value, String>> {
        self.last_id += 1;
        let expected = self.last_id;
        self.send(order.line(expected).as_bytes(), file).await?;
        loop {
            match self.message().await? {
                Message::Event(Some(event)) => self.keep(event)?,
                Message::Event(None) => {}
                Message::Reply { id, result } if id == expected => return Ok(result),
                Message::Greeting | Message::Reply { .. } => {
                    return Err(invalid("an answer that nobody asked for"));
                }
            }
        }
    }

    fn keep(&mut self, event: Event) -> io::Result<()> {
        if self.events.back() == Some(&event) {
            return Ok(());
        }
        if self.events.len() == MAX_WAITING_EVENTS {
            return Err(invalid("more events than can wait"));
        }
        self.events.push_back(event);
        Ok(())
    }

    async fn send(&self, mut line: &[u8], file: Option<BorrowedFd<'_>>) -> io::Result<()> {
        // The descriptor travels with the first byte.
        let mut attached = file.as_slice();
        while !line.is_empty() {
            let write = || send_part(&self.stream, line, attached);
            let sent = self.stream.async_io(Interest::WRITABLE, write).await?;
            line = line.get(sent..).unwrap_or_default();
            attached = &[];
        }
        Ok(())
    }

    async fn message(&mut self) -> io::Result<Message> {
        loop {
            let fresh = self.unread.get(self.searched..).unwrap_or_default();
            if let Some(end) = fresh.iter().position(|byte| *byte == b'\n') {
                let end = self.searched + end;
                let message = Message::parse(self.unread.get(..end).unwrap_or_default())?;
                self.unread.drain(..=end);
                self.searched = 0;
                return Ok(message);
            }
            self.searched = self.unread.len();
            if self.searched > MAX_LINE_BYTES {
                return Err(invalid("a line without an end"));
            }
            self.unread.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.unread).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

fn send_part(stream: &UnixStream, line: &[u8], files: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !files.is_empty() && !control.push(SendAncillaryMessage::ScmRights(files)) {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    let parts = [io::IoSlice::new(line)];
    Ok(rustix::net::sendmsg(stream, &parts, &mut control, SendFlags::NOSIGNAL)?)
}

async fn within<T>(
    order: &str,
    limit_ms: u64,
    work: impl Future<Output = io::Result<T>>,
) -> Result<T, MachineError> {
    match tokio::time::timeout(Duration::from_millis(limit_ms), work).await {
        Ok(result) => result.map_err(|source| broken(order, source)),
        Err(_) => Err(MachineError::TimedOut { order: order.to_owned(), limit_ms }),
    }
}

fn broken(order: &str, source: io::Error) -> MachineError {
    MachineError::Control { order: order.to_owned(), source }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
