//! The connections to a keeper: from its creator, over its socket, and from
//! within.
//!
//! A task per connection reads frames into one bounded queue, from which the
//! keeper's loop takes them, so a client that sends much waits and no other does.
//!
//! ```text
//! at the door ──let in, told so──▶ connected ──farewell──▶ gone
//!      └──────── the keeper ends: shown out unheard ────────▲
//! ```

use std::collections::HashMap;
use std::time::Duration;

use guest_protocol::frame::{Frame, StreamId};
use tokio::net::unix::OwnedReadHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::hub::ClientId;
use super::inside::{Arriving, Inside, way_in};
use super::protocol::FromKeeper;
use crate::framing::{FrameReader, FrameSender, FramingError, spawn_writer};

/// How long the last messages may take to reach clients that do not read.
pub(super) const FAREWELL_DEADLINE: Duration = Duration::from_secs(2);

/// How many frames of clients may wait for the loop.
const CLIENT_QUEUE: usize = 64;

/// How long nobody is accepted after that failed, for want of descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

type ClientFrame = (ClientId, Result<Frame, FramingError>);

/// Where a client comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// From another process.
    Outside,
    /// It is a part of the keeper.
    Inside,
}

/// Who is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// Everybody who comes.
    Everybody,
    /// Nobody from another process: they wait.
    Nobody,
}

/// Whether a client is a use of the workspace by being there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// It is not; what it does may be.
    Passing,
    /// Somebody is at a shell.
    Attending,
}

struct Client {
    door: Door,
    presence: Presence,
    sender: FrameSender,
    writer: JoinHandle<()>,
    reader: JoinHandle<()>,
}

/// All connections; owned by the keeper's loop.
pub(super) struct Clients {
    connected: HashMap<ClientId, Client>,
    next: u64,
    frame_sender: mpsc::Sender<ClientFrame>,
    frames: mpsc::Receiver<ClientFrame>,
    listener: Option<UnixListener>,
    inside: Inside,
    arriving: Arriving,
}

impl Clients {
    /// No clients yet; with a listener they come by themselves.
    pub(super) fn new(listener: Option<UnixListener>) -> Self {
        let (frame_sender, frames) = mpsc::channel(CLIENT_QUEUE);
        let (inside, arriving) = way_in();
        Self {
            connected: HashMap::new(),
            next: 0,
            frame_sender,
            frames,
            listener,
            inside,
            arriving,
        }
    }

    /// How parts of the keeper become clients.
    pub(super) fn inside(&self) -> &Inside {
        &self.inside
    }

    /// Takes a connection in that was read from already.
    pub(super) fn add(
        &mut self,
        mut reader: FrameReader<OwnedReadHalf>,
        sender: FrameSender,
        writer: JoinHandle<()>,
        door: Door,
    ) -> ClientId {
        let id = ClientId(self.next);
        self.next += 1;
        let frames = self.frame_sender.clone();
        let reader = tokio::spawn(async move {
            loop {
                let frame = reader.next().await;
                let is_last = frame.is_err();
                if frames.send((id, frame)).await.is_err() || is_last {
                    return;
                }
            }
        });
        self.connected
            .insert(id, Client { door, presence: Presence::Passing, sender, writer, reader });
        id
    }

    /// The next frame of any client, or the error that ends its connection.
    /// New clients are taken in meanwhile, if they are let in. Cancel safe.
    pub(super) async fn next(&mut self, admission: Admission) -> ClientFrame {
        loop {
            let listener = match admission {
                Admission::Everybody => self.listener.as_ref(),
                Admission::Nobody => None,
            };
            let (connection, door) = tokio::select! {
                Some(frame) = self.frames.recv() => return frame,
                connection = accept(listener) => (connection, Door::Outside),
                Some(connection) = self.arriving.recv() => (connection, Door::Inside),
            };
            let (read, write) = connection.into_split();
            let (sender, writer) = spawn_writer(write);
            if door == Door::Outside {
                tell(&sender, &FromKeeper::Welcome);
            }
            self.add(FrameReader::new(read), sender, writer, door);
        }
    }

    /// The way back to a client, if it is still there.
    pub(super) fn sender(&self, client: ClientId) -> Option<&FrameSender> {
        self.connected.get(&client).map(|client| &client.sender)
    }

    /// Whether a client is another process.
    pub(super) fn is_outside(&self, client: ClientId) -> bool {
        self.connected.get(&client).is_some_and(|client| client.door == Door::Outside)
    }

    /// Whether another process is connected.
    pub(super) fn is_visited(&self) -> bool {
        self.connected.values().any(|client| client.door == Door::Outside)
    }

    /// From now on a client is somebody who is at a shell.
    pub(super) fn attend(&mut self, client: ClientId) {
        if let Some(client) = self.connected.get_mut(&client) {
            client.presence = Presence::Attending;
        }
    }

    /// How many clients are at a shell.
    pub(super) fn attending(&self) -> usize {
        let clients = self.connected.values();
        clients.filter(|client| client.presence == Presence::Attending).count()
    }

    /// Forgets a client.
    pub(super) fn remove(&mut self, client: ClientId) {
        if let Some(client) = self.connected.remove(&client) {
            client.reader.abort();
        }
    }

    /// Tells all clients the last thing that they hear, and ends. Whoever still waits
    /// to be let in is shown out.
    pub(super) async fn dismiss(self, farewell: &FromKeeper) {
        drop(self.listener);
        for client in self.connected.into_values() {
            client.reader.abort();
            tell(&client.sender, farewell);
            drop(client.sender);
            let _ = timeout(FAREWELL_DEADLINE, client.writer).await;
        }
    }
}

/// Tells a client something on stream 0.
pub(super) fn tell(sender: &FrameSender, message: &FromKeeper) {
    if let Err(too_long) = sender.message(StreamId::EPOCH, message) {
        tracing::error!(%too_long, "a message to a client was dropped");
    }
}

/// The next client; for ever pending without a listener.
async fn accept(listener: Option<&UnixListener>) -> UnixStream {
    let Some(listener) = listener else { return std::future::pending().await };
    loop {
        match listener.accept().await {
            Ok((connection, _)) => return connection,
            Err(error) => {
                tracing::warn!(%error, "a client could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keeper::client::KeeperConnection;
    use crate::socket;

    /// Serves for a while: long enough for whoever may come in.
    async fn serve(clients: &mut Clients, admission: Admission) {
        let _ = timeout(Duration::from_millis(50), clients.next(admission)).await;
    }

    #[tokio::test]
    async fn who_was_let_in_is_told_the_end_and_who_waits_at_the_door_is_shown_out_unheard() {
        let directory = tempfile::tempdir().unwrap();
        let listener = socket::listen_async(directory.path(), "socket").unwrap();
        let mut clients = Clients::new(Some(listener));
        let connect = || socket::connect_async(directory.path(), "socket");
        let early = tokio::spawn(KeeperConnection::let_in(connect().await.unwrap()));
        assert!(!clients.is_visited());
        serve(&mut clients, Admission::Everybody).await;
        let early = early.await.unwrap().unwrap();
        assert!(clients.is_visited());
        let late = tokio::spawn(KeeperConnection::let_in(connect().await.unwrap()));
        serve(&mut clients, Admission::Nobody).await;
        assert!(!late.is_finished(), "it waits");
        let stopped = tokio::spawn(early.stop());
        clients.dismiss(&FromKeeper::Stopped).await;
        stopped.await.unwrap().unwrap();
        assert!(late.await.unwrap().is_err(), "it may look elsewhere");
    }
}
