//! Connections through the proxy that the host may have to go through.

use std::io;

use bytes::{Bytes, BytesMut};
use egress::upstream::{Refused, Upstream, answer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Why there is no tunnel.
#[derive(Debug, thiserror::Error)]
pub(super) enum TunnelError {
    #[error("the host's proxy cannot be reached: {0}")]
    Unreachable(io::Error),
    #[error("the host's proxy broke the connection: {0}")]
    Broken(io::Error),
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// A tunnel to a host, a name or an address, and what came through it already.
pub(super) async fn open(
    proxy: &Upstream,
    host: &str,
    port: u16,
) -> Result<(TcpStream, Bytes), TunnelError> {
    let mut socket = TcpStream::connect(proxy.address()).await.map_err(TunnelError::Unreachable)?;
    socket.write_all(&proxy.request(host, port)).await.map_err(TunnelError::Broken)?;
    let mut heard = BytesMut::new();
    loop {
        if let Some(length) = answer(&heard)? {
            return Ok((socket, heard.split_off(length).freeze()));
        }
        let read = socket.read_buf(&mut heard).await.map_err(TunnelError::Broken)?;
        if read == 0 {
            return Err(TunnelError::Broken(io::ErrorKind::UnexpectedEof.into()));
        }
    }
}
