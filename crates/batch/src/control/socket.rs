//! The door of an engine: a socket in the batch's directory, one line of JSON in, one
//! line out.
//!
//! ```text
//! client ──{"request":…,"command":…}──▶ thread ──▶ Door ──▶ engine
//!        ◀──{"replied":{"reply":…}}────        ◀── once it is in the journal
//!        ──(an empty line)─────────▶ thread      a greeting: is somebody there?
//!        ◀──(an empty line)────────
//! ```
//!
//! The directory has mode 0700 and the socket 0600, so whoever comes is the operator or
//! root; who it is is asked of the kernel, and no line can claim to be somebody else.
//! Agents never reach it.
//!
//! At most [`CLIENTS_MAX`] clients at once, a line of [`LINE_BYTES_MAX`], and
//! [`PATIENCE`] for either end: a client that says nothing is sent away.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use batch_api::{Actor, RequestId};
use batch_core::decide::Command;
use batch_core::fact::Reply;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use workspace::files::FileError;
use workspace::socket;

use crate::engine::{Door, Request, Surroundings};

/// The socket's name within a batch's directory.
const NAME: &str = "engine.sock";

/// Most clients at once; who comes then is told to come again.
const CLIENTS_MAX: usize = 128;

/// Most bytes of a line, in either direction: several times the largest message.
pub(super) const LINE_BYTES_MAX: u64 = 64 * 1024;

/// How long an end waits for a line of the other. An engine answers when its disk has
/// written.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// How long whoever greets waits for an answer: nothing has to be written for it.
const GREETING_PATIENCE: Duration = Duration::from_secs(5);

/// What a client asks of an engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ask {
    /// The client's name for it.
    pub(super) request: RequestId,
    /// What.
    pub(super) command: Command,
    /// What the engine's git may use of the client's environment for it.
    #[serde(default, skip_serializing_if = "Surroundings::is_empty")]
    pub(super) surroundings: Surroundings,
}

/// What an engine answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Answer {
    /// It is in the journal.
    Replied {
        /// The answer.
        reply: Reply,
    },
    /// The line says nothing that an engine understands.
    Malformed {
        /// What is wrong with it.
        why: String,
    },
    /// Too many come at once, or the engine is busy: whoever comes again is answered.
    Busy,
    /// The engine has ended meanwhile: whoever asks its successor is answered.
    Ended,
}

/// Listens on a new socket. One that is left over is replaced: the caller owns the batch.
pub(super) fn listen(directory: &Path) -> Result<UnixListener, FileError> {
    socket::listen(directory, NAME)
}

/// Serves clients until the process ends, on a thread of its own.
pub(super) fn serve(listener: UnixListener, door: Door) -> io::Result<()> {
    let present = Arc::new(AtomicUsize::new(0));
    thread::Builder::new().name("door".into()).spawn(move || {
        loop {
            match listener.accept() {
                Ok((client, _)) => admit(client, &door, &present),
                // Of descriptors, say, there may be too few for a moment.
                Err(error) => {
                    tracing::warn!(%error, "cannot take a client");
                    thread::sleep(Duration::from_secs(1));
                }
            }
        }
    })?;
    Ok(())
}

fn admit(client: UnixStream, door: &Door, present: &Arc<AtomicUsize>) {
    let (door, present) = (door.clone(), Arc::clone(present));
    if present.fetch_add(1, Ordering::SeqCst) >= CLIENTS_MAX {
        let _ = client.set_write_timeout(Some(Duration::from_secs(1)));
        let _ = say(&client, &Answer::Busy);
        present.fetch_sub(1, Ordering::SeqCst);
        return;
    }
    let count = Arc::clone(&present);
    let attended = thread::Builder::new().name("client".into()).spawn(move || {
        if let Err(error) = attend(&client, &door) {
            tracing::debug!(%error, "a client went away");
        }
        count.fetch_sub(1, Ordering::SeqCst);
    });
    if attended.is_err() {
        present.fetch_sub(1, Ordering::SeqCst);
    }
}

fn attend(mut client: &UnixStream, door: &Door) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(PATIENCE))?;
    let actor = super::requests::operator(rustix::net::sockopt::socket_peercred(client)?.uid);
    let mut reader = BufReader::new(client);
    while let Some(line) = line(&mut reader)? {
        if line.is_empty() {
            client.write_all(b"\n")?;
            continue;
        }
        let answer = match serde_json::from_slice::<Ask>(&line) {
            Ok(ask) => awaited(bring(door, actor.clone(), ask)),
            Err(error) => Answer::Malformed { why: error.to_string() },
        };
        say(client, &answer)?;
    }
    Ok(())
}

/// Brings a request through the door; what its answer comes by.
pub(super) fn bring(door: &Door, actor: Actor, ask: Ask) -> Receiver<Reply> {
    let (answer, answered) = sync_channel(1);
    let Ask { request, command, surroundings } = ask;
    if !surroundings.is_empty() {
        door.lend(request.clone(), surroundings);
    }
    // What an engine that has ended is brought is dropped, and so is the way back.
    let _ = door.ask(Request { request, actor, command, answer });
    answered
}

/// Waits for an answer.
pub(super) fn awaited(answered: Receiver<Reply>) -> Answer {
    match answered.recv_timeout(PATIENCE) {
        Ok(reply) => Answer::Replied { reply },
        Err(RecvTimeoutError::Timeout) => Answer::Busy,
        Err(RecvTimeoutError::Disconnected) => Answer::Ended,
    }
}

/// Asks an engine that listens.
pub(super) fn ask(directory: &Path, ask: &Ask) -> io::Result<Answer> {
    let stream = socket::connect(directory, NAME)?;
    stream.set_read_timeout(Some(PATIENCE.saturating_mul(2)))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    say(&stream, ask)?;
    heard(&stream)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// Whether an engine answers. One that was stopped does not, nor does one that has been
/// killed and is not gone yet, although the kernel takes calls for both.
pub(super) fn is_attended(directory: &Path) -> bool {
    let greet = || -> io::Result<Option<Vec<u8>>> {
        let mut stream = socket::connect(directory, NAME)?;
        stream.set_read_timeout(Some(GREETING_PATIENCE))?;
        stream.set_write_timeout(Some(GREETING_PATIENCE))?;
        stream.write_all(b"\n")?;
        line(&mut BufReader::new(stream))
    };
    greet().is_ok_and(|answer| answer.is_some())
}

/// Says something in a line.
pub(super) fn say(mut to: impl io::Write, what: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    to.write_all(&line)?;
    to.flush()
}

/// What the other end says in one line; nothing if it has nothing more to say.
pub(super) fn heard<T: DeserializeOwned>(from: impl io::Read) -> io::Result<Option<T>> {
    let Some(line) = line(&mut BufReader::new(from))? else { return Ok(None) };
    serde_json::from_slice(&line).map(Some).map_err(io::Error::other)
}

fn line(from: &mut impl io::BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    from.take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        // Neither half a line nor one that is too long is understood.
        Some(_) => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_whole_or_not_at_all() {
        let mut from = BufReader::new(&b"one\n\ntwo"[..]);
        assert_eq!(line(&mut from).unwrap(), Some(b"one".to_vec()));
        assert_eq!(line(&mut from).unwrap(), Some(Vec::new()));
        assert!(line(&mut from).is_err(), "half a line");
        assert_eq!(line(&mut from).unwrap(), None);
        let long = vec![b'x'; 2 * usize::try_from(LINE_BYTES_MAX).unwrap()];
        assert!(line(&mut BufReader::new(&*long)).is_err());
    }
}
