//! How parts of the keeper itself become clients of its hub.
//!
//! Whatever the keeper does in its guest on its own account (services, the
//! network, background commands) goes through the same door as everything else:
//! a connection whose other end the hub serves. So there is one way to the
//! guest, with one set of rules and limits.

use operation::{ErrorKind, OpError};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::client::KeeperConnection;

/// How many connections may wait for the keeper's loop.
const WAITING_MAX: usize = 64;

/// Makes connections to the keeper that it is part of.
#[derive(Debug, Clone)]
pub(crate) struct Inside(mpsc::Sender<UnixStream>);

/// Where the keeper's loop takes these connections from.
pub(crate) type Arriving = mpsc::Receiver<UnixStream>;

/// A way in, and its end in the keeper's loop.
pub(crate) fn way_in() -> (Inside, Arriving) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    (Inside(sender), receiver)
}

impl Inside {
    /// A connection to the hub.
    pub(crate) async fn connect(&self) -> Result<KeeperConnection, OpError> {
        let (ours, theirs) = UnixStream::pair().map_err(|error| {
            OpError::new(ErrorKind::Exhausted, &error).during("cannot connect to the keeper")
        })?;
        self.0.send(theirs).await.map_err(|_| {
            OpError::plain(ErrorKind::MachineLost, "the workspace's keeper is ending")
        })?;
        Ok(KeeperConnection::new(ours))
    }
}
