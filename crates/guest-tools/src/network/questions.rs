//! Takes questions for the name system and gives the answers back.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};
use std::time::Duration;

use guest_protocol::egress::DATAGRAM_MAX;

/// How many questions may be under way. More are dropped, and asked again.
const PENDING_MAX: usize = 256;

/// How long somebody who asked over TCP is kept waiting.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who waits for which answer.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    pending: HashMap<u32, Asker>,
    last: u32,
}

/// Who asked.
#[derive(Debug)]
pub(crate) enum Asker {
    Datagram(Arc<UdpSocket>, SocketAddr),
    Stream(SyncSender<Vec<u8>>),
}

impl Questions {
    /// A number for a question, if there is room for it.
    pub(crate) fn ask(&mut self, asker: Asker) -> Option<u32> {
        if self.pending.len() >= PENDING_MAX {
            return None;
        }
        self.last = self.last.wrapping_add(1);
        self.pending.insert(self.last, asker);
        Some(self.last)
    }

    /// Gives an answer to whoever asked.
    pub(crate) fn answer(&mut self, id: u32, answer: &[u8]) {
        match self.pending.remove(&id) {
            // Whoever no longer waits needs no answer.
            Some(Asker::Datagram(socket, to)) => drop(socket.send_to(answer, to)),
            Some(Asker::Stream(sender)) => drop(sender.try_send(answer.to_vec())),
            None => {}
        }
    }
}

/// Answers what is asked on one connection, one question after the other, each
/// with its length in front (RFC 1035 4.2.2).
pub(crate) fn serve(mut connection: TcpStream, ask: impl Fn(Asker, &[u8])) -> io::Result<()> {
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    loop {
        let mut prefix = [0; 2];
        connection.read_exact(&mut prefix)?;
        let length = usize::from(u16::from_be_bytes(prefix));
        if length > DATAGRAM_MAX {
            return Ok(());
        }
        let mut question = vec![0; length];
        connection.read_exact(&mut question)?;
        let (sender, answers) = mpsc::sync_channel(1);
        ask(Asker::Stream(sender), &question);
        let Ok(answer) = answers.recv_timeout(PATIENCE) else { return Ok(()) };
        let length = u16::try_from(answer.len()).unwrap_or_default();
        connection.write_all(&[&length.to_be_bytes()[..], &answer].concat())?;
    }
}
