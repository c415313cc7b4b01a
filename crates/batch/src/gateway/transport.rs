//! Messages of the protocol over a socket: a line each, of bounded length.

use std::io;
use std::sync::Arc;

use rmcp::RoleServer;
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Mutex;

use crate::custody::{Line, Lines};

/// Longest message of an agent's, in bytes: a file that is written, escaped.
const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A connection of a bridge.
#[derive(Debug)]
pub(super) struct Wire {
    lines: Lines<OwnedReadHalf>,
    /// Answers are given side by side, each as a whole.
    out: Arc<Mutex<OwnedWriteHalf>>,
}

impl Wire {
    pub(super) fn over(stream: UnixStream) -> Self {
        let (reader, writer) = stream.into_split();
        let lines = Lines::of(reader, MESSAGE_BYTES_MAX);
        Self { lines, out: Arc::new(Mutex::new(writer)) }
    }
}

impl Transport<RoleServer> for Wire {
    type Error = io::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let out = Arc::clone(&self.out);
        async move {
            let mut line = serde_json::to_vec(&message)?;
            line.push(b'\n');
            out.lock().await.write_all(&line).await
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            match self.lines.next().await.ok()?? {
                Line::Whole(line) => match serde_json::from_slice(&line) {
                    Ok(message) => return Some(message),
                    Err(error) => tracing::debug!(%error, "an agent sent what is no message"),
                },
                // Its sender would wait for an answer for ever.
                Line::Cut { bytes, .. } => {
                    tracing::warn!(bytes, "an agent sent a message that is too long");
                    return None;
                }
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        self.out.lock().await.shutdown().await
    }
}
