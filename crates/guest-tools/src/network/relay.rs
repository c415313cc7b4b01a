//! Carries one connection between a socket and standard input and output.
//!
//! Two threads, one per direction, and each direction ends by itself, with a piece
//! that says so. A process that is killed, one side that breaks, or a host that is
//! no longer there since the machine was restored, resets the connection: nobody
//! takes a part of an answer for the whole.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bytes::BytesMut;
use guest_protocol::egress::{PIECE_MAX, Piece, decode_piece, piece_prefix};
use rustix::net::sockopt::set_socket_linger;

use super::{NetworkError, handover};

/// How long a service in the guest may take to accept a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// Carries the waiting connection of this number.
pub(crate) fn pipe(arguments: &[String]) -> Result<(), NetworkError> {
    let [id] = arguments else { return Err(NetworkError::Usage) };
    let id = id.parse().map_err(|_| NetworkError::Usage)?;
    let connection = handover::fetch(id).map_err(|source| NetworkError::Fetch { id, source })?;
    carry(connection)
}

/// Carries a connection to a port of this machine.
pub(crate) fn connect(arguments: &[String]) -> Result<(), NetworkError> {
    let [port] = arguments else { return Err(NetworkError::Usage) };
    let port = port.parse().map_err(|_| NetworkError::Usage)?;
    let to = |address: SocketAddr| TcpStream::connect_timeout(&address, CONNECT_PATIENCE);
    let connection = to((Ipv4Addr::LOCALHOST, port).into())
        .or_else(|first| to((Ipv6Addr::LOCALHOST, port).into()).map_err(|_| first))
        .map_err(|source| NetworkError::Connect { port, source })?;
    carry(connection)
}

fn carry(connection: TcpStream) -> Result<(), NetworkError> {
    let broken = NetworkError::Broken;
    let _ = connection.set_nodelay(true);
    // From now on the connection's end is a reset, until both sides have ended.
    set_socket_linger(&connection, Some(Duration::ZERO)).map_err(|e| broken(e.into()))?;
    let input = duplicate(io::stdin()).map_err(broken)?;
    let output = duplicate(io::stdout()).map_err(broken)?;
    let (done, ends) = mpsc::channel();
    let inward = connection.try_clone().map_err(broken)?;
    let outward = connection.try_clone().map_err(broken)?;
    let done_inward = done.clone();
    thread::spawn(move || done_inward.send(carry_in(input, &inward)));
    thread::spawn(move || done.send(carry_out(&outward, output)));
    // Whichever breaks first ends the process, and with it the other.
    for _ in 0..2 {
        ends.recv().unwrap_or_else(|_| Err(ErrorKind::BrokenPipe.into())).map_err(broken)?;
    }
    set_socket_linger(&connection, None).map_err(|e| broken(e.into()))
}

fn duplicate(stream: impl AsFd) -> io::Result<File> {
    Ok(File::from(stream.as_fd().try_clone_to_owned()?))
}

fn carry_in(mut input: File, mut connection: &TcpStream) -> io::Result<()> {
    let mut chunk = vec![0; PIECE_MAX];
    let mut buffer = BytesMut::new();
    loop {
        let wrong = |error| io::Error::new(ErrorKind::InvalidData, error);
        while let Some(piece) = decode_piece(&mut buffer).map_err(wrong)? {
            match piece {
                Piece::Data(bytes) => connection.write_all(&bytes)?,
                Piece::End => return connection.shutdown(Shutdown::Write),
            }
        }
        match input.read(&mut chunk) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(length) => buffer.extend_from_slice(&chunk[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn carry_out(mut connection: &TcpStream, mut output: File) -> io::Result<()> {
    let mut buffer = vec![0; 2 + PIECE_MAX];
    loop {
        let (prefix, bytes) = buffer.split_at_mut(2);
        let length = match connection.read(bytes) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        prefix.copy_from_slice(&piece_prefix(&bytes[..length]));
        output.write_all(&buffer[..2 + length])?;
        if length == 0 {
            return Ok(());
        }
    }
}
