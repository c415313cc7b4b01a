//! How a waiting connection gets from the daemon to the process that carries it.
//!
//! Over a socket in a directory that only root may enter: its path cannot be
//! taken by somebody else, and nobody else can fetch a connection.

use std::fs::{self, File};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::files::MEMORY;

/// How long either side waits for the other; both are on one machine.
const PATIENCE: Duration = Duration::from_secs(10);

fn directory() -> PathBuf {
    Path::new(MEMORY).join("network")
}

/// Waits until no other daemon runs. One that is killed no longer does.
pub(crate) fn alone() -> io::Result<File> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory())?;
    let lock = File::create(directory().join("lock"))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    Ok(lock)
}

fn path() -> PathBuf {
    directory().join("handover")
}

/// Where connections can be fetched.
pub(crate) fn listen() -> io::Result<UnixListener> {
    let path = path();
    // An earlier daemon may have left it.
    let _ = fs::remove_file(&path);
    UnixListener::bind(path)
}

/// Gives the connection that is asked for on `asked`, if `find` has it.
pub(crate) fn give(
    asked: &UnixStream,
    find: impl FnOnce(u32) -> Option<TcpStream>,
) -> io::Result<()> {
    asked.set_read_timeout(Some(PATIENCE))?;
    asked.set_write_timeout(Some(PATIENCE))?;
    let mut id = [0; 4];
    io::Read::read_exact(&mut &*asked, &mut id)?;
    let Some(connection) = find(u32::from_le_bytes(id)) else { return Ok(()) };
    let descriptors = [connection.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(asked, &[IoSlice::new(&[1])], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Fetches a connection.
pub(crate) fn fetch(id: u32) -> io::Result<TcpStream> {
    let asking = UnixStream::connect(path())?;
    asking.set_read_timeout(Some(PATIENCE))?;
    io::Write::write_all(&mut &asking, &id.to_le_bytes())?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let flags = RecvFlags::CMSG_CLOEXEC;
    recvmsg(&asking, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, flags)?;
    let descriptor: Option<OwnedFd> = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    descriptor.map(TcpStream::from).ok_or_else(|| io::ErrorKind::NotFound.into())
}
