//! Messages of netlink (`netlink(7)`), as far as they are needed here.
//!
//! Own code: the crates for it bring a type per attribute of the kernel, and
//! some need `unsafe` or an executor. What is said here is fixed and short.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};

const HEADER: usize = 16;
const KIND_ERROR: u16 = 2;
const FLAG_REQUEST: u16 = 1;
const FLAG_ACK: u16 = 4;
const NESTED: u16 = 0x8000;

/// Create what is not there.
pub(crate) const CREATE: u16 = 0x400;
/// Put it in the place of what is there.
pub(crate) const REPLACE: u16 = 0x100;
/// Put it behind what is there.
pub(crate) const APPEND: u16 = 0x800;

/// How long the kernel may take to answer; it does so at once.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many bytes of an answer are read.
const ANSWER: usize = 16 * 1024;

/// A message that is being written.
#[derive(Debug)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    /// A message of a kind, with the header that its family wants.
    pub(crate) fn new(kind: u16, flags: u16, family_header: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(flags | FLAG_REQUEST).to_ne_bytes());
        bytes.extend_from_slice(family_header);
        Self(bytes)
    }

    /// Adds an attribute.
    pub(crate) fn with(mut self, kind: u16, value: &[u8]) -> Self {
        attribute(&mut self.0, kind, value);
        self
    }

    /// Adds an attribute made of others.
    pub(crate) fn with_nested(self, kind: u16, inner: &Attributes) -> Self {
        self.with(kind | NESTED, &inner.0)
    }

    fn finish(mut self, sequence: u32, flags: u16) -> Vec<u8> {
        let length = u32::try_from(self.0.len()).expect("messages are short");
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        let flags = u16::from_ne_bytes([self.0[6], self.0[7]]) | flags;
        self.0[6..8].copy_from_slice(&flags.to_ne_bytes());
        self.0[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.0
    }
}

/// Attributes within an attribute.
#[derive(Debug, Default, Clone)]
pub(crate) struct Attributes(Vec<u8>);

impl Attributes {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn with(mut self, kind: u16, value: &[u8]) -> Self {
        attribute(&mut self.0, kind, value);
        self
    }

    pub(crate) fn with_nested(self, kind: u16, inner: &Self) -> Self {
        self.with(kind | NESTED, &inner.0)
    }
}

/// Length and kind, the value, and zeros up to a multiple of four bytes.
fn attribute(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len() + 4).expect("attributes are short");
    bytes.extend_from_slice(&length.to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// A text as the kernel wants it.
pub(crate) fn text(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

/// A way to one part of the kernel.
#[derive(Debug)]
pub(crate) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

impl Netlink {
    pub(crate) fn open(protocol: Option<Protocol>) -> io::Result<Self> {
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            protocol,
        )?;
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Says one thing and waits until the kernel has done it.
    pub(crate) fn say(&mut self, message: Message) -> io::Result<()> {
        self.sequence += 1;
        let bytes = message.finish(self.sequence, FLAG_ACK);
        self.exchange(&bytes)
    }

    /// Says several things that are done all together or not at all, between
    /// the messages that begin and end that.
    pub(crate) fn say_all(
        &mut self,
        begin: Message,
        messages: Vec<Message>,
        end: Message,
    ) -> io::Result<()> {
        let last = messages.len();
        let mut bytes = begin.finish(self.sequence, 0);
        for (position, message) in (1..).zip(messages) {
            self.sequence += 1;
            let flags = if position == last { FLAG_ACK } else { 0 };
            bytes.extend(message.finish(self.sequence, flags));
        }
        bytes.extend(end.finish(self.sequence, 0));
        self.exchange(&bytes)
    }

    /// Sends, and waits for the answer to the last message or the first failure.
    fn exchange(&self, bytes: &[u8]) -> io::Result<()> {
        rustix::net::send(&self.socket, bytes, SendFlags::empty())?;
        let mut answer = vec![0; ANSWER];
        loop {
            let (length, _) = rustix::net::recv(&self.socket, &mut answer[..], RecvFlags::empty())?;
            let mut rest = answer.get(..length).unwrap_or_default();
            while let Some((kind, sequence, body, next)) = split(rest) {
                if kind == KIND_ERROR {
                    let code = body.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
                    if code != 0 {
                        return Err(io::Error::from_raw_os_error(-code));
                    }
                    if sequence == self.sequence {
                        return Ok(());
                    }
                }
                rest = next;
            }
        }
    }
}

/// Kind, sequence, body of the first message, and what follows it.
fn split(bytes: &[u8]) -> Option<(u16, u32, &[u8], &[u8])> {
    let (header, _) = bytes.split_first_chunk::<HEADER>()?;
    let [l0, l1, l2, l3, k0, k1, _, _, s0, s1, s2, s3, ..] = *header;
    let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).ok()?;
    let body = bytes.get(HEADER..length)?;
    let next = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((u16::from_ne_bytes([k0, k1]), u32::from_ne_bytes([s0, s1, s2, s3]), body, next))
}

/// What is there already is no failure.
pub(crate) fn unless_present(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::EXIST) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_nested() {
        let inner = Attributes::new().with(1, b"abc");
        let message = Message::new(7, CREATE, &[9; 4]).with_nested(2, &inner).finish(5, FLAG_ACK);
        let attributes = &message[HEADER + 4..];
        assert_eq!(attributes[..4], [12, 0, 2, 0x80]);
        assert_eq!(attributes[4..], [7, 0, 1, 0, b'a', b'b', b'c', 0]);
        assert_eq!(message[..4], 32u32.to_ne_bytes());
        assert_eq!(message[6..8], (CREATE | FLAG_ACK | FLAG_REQUEST).to_ne_bytes());
        let (kind, sequence, body, rest) = split(&message).unwrap();
        assert_eq!((kind, sequence, body.len(), rest.len()), (7, 5, 16, 0));
    }
}
