//! Carries one connection between the guest and where it goes.
//!
//! Each direction ends by itself; whatever else ends it, both sides see a reset.
//! What the guest sends on a connection to a name is judged before it is passed
//! on.

use std::cell::{Cell, RefCell};
use std::io;

use bytes::{Bytes, BytesMut};
use egress::inspect::{Inspector, Suspicion};
use guest_protocol::egress::{DecodeError, PIECE_MAX, Piece, decode_piece, piece_prefix};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::Notify;

use crate::keeper::client::{GuestPipe, PipeInput, PipeOutput};

/// How much is read at once, in bytes.
const CHUNK: usize = 64 * 1024;

/// Why a connection ended otherwise than both sides wanted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CarryError {
    #[error(transparent)]
    Suspicious(#[from] Suspicion),
    #[error("the other end broke the connection")]
    Remote(#[source] io::Error),
    #[error("the guest broke the connection")]
    Guest,
    #[error("the guest sent bytes that are no piece of a connection")]
    Pieces(#[from] DecodeError),
}

/// A connection that is being carried.
#[derive(Debug)]
pub(crate) struct Carried {
    inspector: RefCell<Option<Inspector>>,
    /// The server's answer has decided something about the guest's bytes.
    answered: Notify,
    pub(crate) sent: Cell<u64>,
    pub(crate) received: Cell<u64>,
}

impl Carried {
    pub(crate) fn new(inspector: Option<Inspector>) -> Self {
        Self {
            inspector: RefCell::new(inspector),
            answered: Notify::new(),
            sent: Cell::new(0),
            received: Cell::new(0),
        }
    }

    /// Carries until both directions have ended; `early` is what the remote end
    /// has said already. Dropping the future resets both ends.
    pub(crate) async fn carry(
        &self,
        mut remote: TcpStream,
        early: Bytes,
        guest: GuestPipe,
    ) -> Result<(), CarryError> {
        // From now on the end of the socket is a reset, until both sides ended.
        remote.set_zero_linger().map_err(CarryError::Remote)?;
        let _ = remote.set_nodelay(true);
        // Halves that own the socket would end it in an orderly way when they are
        // dropped, whatever has happened.
        let (from_remote, to_remote) = remote.split();
        let (to_guest, from_guest, mut ending) = guest.into_parts();
        tokio::try_join!(
            self.outward(from_guest, to_remote),
            self.inward(early, from_remote, to_guest)
        )?;
        let _ = ending.wait().await;
        linger_off(&remote);
        Ok(())
    }

    async fn outward(&self, mut from: PipeOutput, mut to: WriteHalf<'_>) -> Result<(), CarryError> {
        let mut buffer = BytesMut::new();
        loop {
            while let Some(piece) = decode_piece(&mut buffer)? {
                match piece {
                    Piece::Data(bytes) => self.pass(bytes, &mut to).await?,
                    Piece::End => {
                        to.shutdown().await.map_err(CarryError::Remote)?;
                        return Ok(());
                    }
                }
            }
            buffer.reserve(CHUNK);
            tokio::select! {
                read = from.read_buf(&mut buffer) => match read {
                    Ok(0) | Err(_) => return Err(CarryError::Guest),
                    Ok(_) => {}
                },
                () = self.answered.notified() => self.pass(Bytes::new(), &mut to).await?,
            }
        }
    }

    async fn pass(&self, bytes: Bytes, to: &mut WriteHalf<'_>) -> Result<(), CarryError> {
        let judged = match self.inspector.borrow_mut().as_mut() {
            Some(inspector) => inspector.client(bytes)?,
            None => bytes,
        };
        self.sent.set(self.sent.get() + judged.len() as u64);
        to.write_all(&judged).await.map_err(CarryError::Remote)
    }

    async fn inward(
        &self,
        early: Bytes,
        mut from: ReadHalf<'_>,
        mut to: PipeInput,
    ) -> Result<(), CarryError> {
        for bytes in early.chunks(PIECE_MAX) {
            self.heard(bytes, &mut to).await?;
        }
        let mut buffer = vec![0; PIECE_MAX];
        loop {
            let length = from.read(&mut buffer).await.map_err(CarryError::Remote)?;
            self.heard(&buffer[..length], &mut to).await?;
            if length == 0 {
                to.shutdown().await.map_err(|_| CarryError::Guest)?;
                return Ok(());
            }
        }
    }

    async fn heard(&self, bytes: &[u8], to: &mut PipeInput) -> Result<(), CarryError> {
        if let Some(inspector) = self.inspector.borrow_mut().as_mut()
            && inspector.awaits_server()
        {
            inspector.server(bytes);
            self.answered.notify_one();
        }
        self.received.set(self.received.get() + bytes.len() as u64);
        let piece = [&piece_prefix(bytes)[..], bytes].concat();
        to.write_all(&piece).await.map_err(|_| CarryError::Guest)
    }
}

/// Both sides have ended: what is still under way is to arrive.
fn linger_off(socket: &TcpStream) {
    let _ = rustix::net::sockopt::set_socket_linger(socket, None);
}
