//! What an engine and a warden say to each other.
//!
//! ```text
//! engine                              warden
//!   ◀── ready ────────────────────────  (with its process id, by the kernel)
//!   ─── plan + stdin, stdout, stderr ▶  runs it
//!   ◀── started | refused ────────────
//!   ─── terminate ───────────────────▶  SIGTERM to the leader
//!   ◀── ended ────────────────────────  empties the group and ends
//!   ─── (closed) ────────────────────▶  empties the group and ends
//! ```
//!
//! A `SOCK_SEQPACKET` pair gives messages whole. The plan itself lies in a file
//! in memory that travels as a descriptor, because the arguments of an agent may
//! be longer than a packet.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::MemfdFlags;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::{Deserialize, Serialize};

/// How long a plan's text may be, in bytes. The kernel allows arguments and
/// environment of 2 MiB; in JSON that takes somewhat more.
const PLAN_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// How long a message may be, in bytes.
const MESSAGE_BYTES_MAX: usize = 4096;

/// How much of an explanation travels, in characters; at most four bytes each.
const EXPLANATION_CHARS_MAX: usize = 512;

/// The plan and the three streams of the leader.
const DESCRIPTORS: usize = 4;

/// What a warden is to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    /// The program that becomes the leader by way of the door.
    pub(super) door: Vec<String>,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) directory: PathBuf,
}

/// What an engine says besides the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ToWarden {
    Plan,
    Terminate,
}

/// What a warden says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum FromWarden {
    Ready,
    Started,
    Refused { explanation: String },
    Ended(Status),
}

/// How the leader of an entry ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// With an exit code.
    Exited(i32),
    /// By a signal.
    Signalled(i32),
}

/// The descriptors that travel with a plan.
#[derive(Debug)]
pub(super) struct Streams {
    pub(super) stdin: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

/// A received message and who sent it.
#[derive(Debug)]
pub(super) struct Received<T> {
    pub(super) message: T,
    /// The sender's process id, from the kernel, if the socket asks for it.
    pub(super) sender: Option<i32>,
    descriptors: Vec<OwnedFd>,
}

impl FromWarden {
    pub(super) fn refused(why: &impl ToString) -> Self {
        let explanation = why.to_string().chars().take(EXPLANATION_CHARS_MAX).collect();
        Self::Refused { explanation }
    }
}

pub(super) fn send(socket: impl AsFd, message: &impl Serialize) -> io::Result<()> {
    send_with(socket.as_fd(), message, &[])
}

/// Sends the plan, which is the word to run it.
pub(super) fn send_plan(socket: impl AsFd, plan: &Plan, streams: &Streams) -> io::Result<()> {
    let mut file = File::from(rustix::fs::memfd_create("plan", MemfdFlags::CLOEXEC)?);
    serde_json::to_writer(&mut file, plan)?;
    file.flush()?;
    if file.stream_position()? > PLAN_BYTES_MAX {
        let message = format!("arguments and environment exceed {PLAN_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::ArgumentListTooLong, message));
    }
    let descriptors =
        [file.as_fd(), streams.stdin.as_fd(), streams.stdout.as_fd(), streams.stderr.as_fd()];
    send_with(socket.as_fd(), &ToWarden::Plan, &descriptors)
}

fn send_with(
    socket: BorrowedFd<'_>,
    message: &impl Serialize,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    let mut space = control_space();
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    rustix::net::sendmsg(socket, &[io::IoSlice::new(&text)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// The next message; `None` if the other side is gone.
pub(super) fn receive<T: for<'de> Deserialize<'de>>(
    socket: impl AsFd,
) -> io::Result<Option<Received<T>>> {
    let mut text = [0; MESSAGE_BYTES_MAX];
    let mut space = control_space();
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [io::IoSliceMut::new(&mut text)];
    let received =
        rustix::net::recvmsg(socket, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut descriptors = Vec::new();
    let mut sender = None;
    for part in control.drain() {
        match part {
            RecvAncillaryMessage::ScmRights(rights) => descriptors.extend(rights),
            RecvAncillaryMessage::ScmCredentials(who) => {
                sender = Some(who.pid.as_raw_nonzero().get());
            }
            _ => {}
        }
    }
    if received.bytes == 0 {
        return Ok(None);
    }
    if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a message was cut"));
    }
    let message = serde_json::from_slice(text.get(..received.bytes).unwrap_or_default())?;
    Ok(Some(Received { message, sender, descriptors }))
}

impl Received<ToWarden> {
    /// The plan and the streams that came along.
    pub(super) fn into_plan(self) -> io::Result<(Plan, Streams)> {
        let lacking = || io::Error::new(io::ErrorKind::InvalidData, "a plan lacks descriptors");
        let descriptors: [OwnedFd; DESCRIPTORS] =
            self.descriptors.try_into().map_err(|_| lacking())?;
        let [plan, stdin, stdout, stderr] = descriptors;
        let mut file = File::from(plan);
        file.rewind()?;
        let plan = serde_json::from_reader(io::BufReader::new(file.take(PLAN_BYTES_MAX)))?;
        Ok((plan, Streams { stdin, stdout, stderr }))
    }
}

fn control_space() -> Vec<MaybeUninit<u8>> {
    let bytes = rustix::cmsg_space!(ScmRights(DESCRIPTORS), ScmCredentials(1));
    vec![MaybeUninit::uninit(); bytes]
}
