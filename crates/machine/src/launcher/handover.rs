//! One packet carries the plan and the descriptors to the launching stage.
//!
//! A `SOCK_SEQPACKET` pair keeps plan and descriptors together and never gives
//! half of them. The packet is written before the stage exists; it fits into
//! the socket's buffer because both parts are bounded.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use serde::{Deserialize, Serialize};

use super::plan::{LaunchPlan, Reopen};

/// Number under which the stage and the monitor find the first descriptor.
pub const FIRST_DESCRIPTOR: u32 = 3;

/// How many descriptors a monitor can be given; the kernel passes 253 at once.
pub const MAX_DESCRIPTORS: usize = 240;

/// How long a plan's text can be, in bytes. Command lines of machines with the
/// deepest chains of images take about a third of it.
const MAX_PLAN_BYTES: usize = 128 * 1024;

/// The descriptors that a monitor is given, in order.
#[derive(Debug, Default)]
pub struct Descriptors {
    entries: Vec<(OwnedFd, Reopen)>,
}

impl Descriptors {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one and returns its number in the monitor.
    pub fn add(&mut self, descriptor: OwnedFd, reopen: Reopen) -> u32 {
        let index = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        self.entries.push((descriptor, reopen));
        FIRST_DESCRIPTOR.saturating_add(index)
    }
}

/// The packet's text.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Packet {
    pub(super) plan: LaunchPlan,
    /// Who must still be the stage's parent once its death signal is armed.
    pub(super) parent: u32,
    /// One entry per descriptor.
    pub(super) reopen: Vec<Reopen>,
}

/// Writes the packet and returns the socket it can be read from.
pub(super) fn send(plan: LaunchPlan, descriptors: Descriptors) -> io::Result<OwnedFd> {
    if descriptors.entries.len() > MAX_DESCRIPTORS {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("a machine has at most {MAX_DESCRIPTORS} descriptors"),
        ));
    }
    let packet = Packet {
        plan,
        parent: std::process::id(),
        reopen: descriptors.entries.iter().map(|entry| entry.1).collect(),
    };
    let text = serde_json::to_vec(&packet)?;
    if text.len() > MAX_PLAN_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("a launch plan has at most {MAX_PLAN_BYTES} bytes"),
        ));
    }
    let (ours, theirs) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let borrowed: Vec<BorrowedFd<'_>> =
        descriptors.entries.iter().map(|entry| entry.0.as_fd()).collect();
    let mut space = control_space();
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !borrowed.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&borrowed)) {
        return Err(io::Error::from(io::ErrorKind::OutOfMemory));
    }
    // A full buffer would mean that nobody can ever read the packet.
    rustix::net::sendmsg(
        &ours,
        &[io::IoSlice::new(&text)],
        &mut control,
        SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
    )?;
    Ok(theirs)
}

/// Reads the packet. All other descriptors from [`FIRST_DESCRIPTOR`] on must be
/// closed, so that the kernel gives out the expected numbers.
pub(super) fn receive(socket: BorrowedFd<'_>) -> io::Result<(Packet, Vec<OwnedFd>)> {
    let mut text = vec![0; MAX_PLAN_BYTES];
    let mut space = control_space();
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = rustix::net::recvmsg(
        socket,
        &mut [io::IoSliceMut::new(&mut text)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut descriptors = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = part {
            descriptors.extend(received);
        }
    }
    if message.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(invalid("the packet was cut"));
    }
    let packet: Packet = serde_json::from_slice(text.get(..message.bytes).unwrap_or_default())?;
    if packet.reopen.len() != descriptors.len() {
        return Err(invalid("the packet lacks descriptors"));
    }
    let in_order = descriptors.iter().zip(FIRST_DESCRIPTOR..).all(|(descriptor, expected)| {
        u32::try_from(descriptor.as_raw_fd()).is_ok_and(|number| number == expected)
    });
    if !in_order {
        return Err(invalid("the descriptors arrived under other numbers"));
    }
    Ok((packet, descriptors))
}

fn control_space() -> Vec<MaybeUninit<u8>> {
    vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))]
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
