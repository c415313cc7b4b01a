//! What the host and the guest's side of the network say to each other.
//!
//! ```text
//! [TOOLS_PATH, "egress"]             one process, as long as anything may be reached
//!     stdin   ◀── Configure, Answer, Refuse, Stop
//!     stdout  ──▶ Ready, Failed, Question, Connection
//! [TOOLS_PATH, "egress-pipe", N]     one process per connection that is allowed
//! [TOOLS_PATH, "connect", PORT]      one process per connection to a published port
//!     stdin   ◀── pieces, see [`Piece`]
//!     stdout  ──▶ pieces
//! ```
//!
//! Messages are frames: length (u32, little-endian), that many bytes of JSON,
//! then a body of the length that the message says. Everything is bounded before
//! it is read.

use std::net::SocketAddr;

use bytes::{Buf, Bytes, BytesMut};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The longest JSON of a message, in bytes.
pub const MESSAGE_MAX: usize = 4 * 1024;

/// The longest question or answer of the name system that is carried, in bytes.
pub const DATAGRAM_MAX: usize = 1024;

/// The longest bundle of certificates that is handed to a guest, in bytes.
pub const AUTHORITIES_MAX: usize = 2 * 1024 * 1024;

/// The longest [`Piece`], in bytes.
pub const PIECE_MAX: usize = 32 * 1024;

/// The tool that gives a guest its side of the network.
pub const DAEMON: &str = "egress";
/// The tool that carries one connection out of the guest.
pub const PIPE: &str = "egress-pipe";
/// The tool that carries one connection to a port in the guest.
pub const CONNECT: &str = "connect";

/// What the host tells the guest's side of the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum HostMessage {
    /// First of all: set the network up. Answered by `Ready` or `Failed`.
    Configure {
        /// Length of the body: certificates that the guest shall trust as well,
        /// in PEM.
        authorities: usize,
    },
    /// The answer to a question is the body.
    Answer {
        /// The question.
        id: u32,
        /// Length of the body.
        length: usize,
    },
    /// A connection is not allowed, or could not be made: reset it.
    Refuse {
        /// The connection.
        id: u32,
    },
    /// Take the network down and end.
    Stop,
}

/// What the guest's side of the network tells the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum GuestMessage {
    /// The network is up.
    Ready {
        /// The bundle of certificates that programs of this guest read, if the
        /// host gave any to add.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bundle: Option<String>,
    },
    /// It could not be set up. Final.
    Failed {
        /// Why.
        message: String,
    },
    /// A program asks the name system; the question is the body.
    Question {
        /// For the answer.
        id: u32,
        /// Length of the body.
        length: usize,
    },
    /// A program connects to an address. The connection waits until the host
    /// carries it with [`PIPE`] or refuses it.
    Connection {
        /// For the decision.
        id: u32,
        /// Where to.
        to: SocketAddr,
    },
}

/// A message with a body of a length that it says.
pub trait Message: Serialize + DeserializeOwned {
    /// The longest body of any of these messages, in bytes.
    const BODY_MAX: usize;

    /// The length of its body, in bytes.
    fn body_length(&self) -> usize;
}

impl Message for HostMessage {
    const BODY_MAX: usize = AUTHORITIES_MAX;

    fn body_length(&self) -> usize {
        match self {
            Self::Configure { authorities } => *authorities,
            Self::Answer { length, .. } => *length,
            Self::Refuse { .. } | Self::Stop => 0,
        }
    }
}

impl Message for GuestMessage {
    const BODY_MAX: usize = DATAGRAM_MAX;

    fn body_length(&self) -> usize {
        match self {
            Self::Question { length, .. } => *length,
            Self::Ready { .. } | Self::Failed { .. } | Self::Connection { .. } => 0,
        }
    }
}

/// Why bytes are no messages. The stream cannot be used any further then.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// More is announced than may be sent.
    #[error("{announced} bytes are announced, the limit is {max}")]
    TooLong {
        /// What is announced.
        announced: usize,
        /// The limit.
        max: usize,
    },
    /// The JSON is no message.
    #[error("it is no message of this protocol")]
    Meaning(#[source] serde_json::Error),
}

const PREFIX: usize = 4;

/// A message and its body as bytes. The body must be as long as the message says.
#[must_use]
pub fn encode<M: Message>(message: &M, body: &[u8]) -> Vec<u8> {
    debug_assert_eq!(message.body_length(), body.len(), "the message says how long its body is");
    let json = serde_json::to_vec(message).expect("messages are plain data");
    let length = u32::try_from(json.len()).expect("messages are short");
    [&length.to_le_bytes()[..], &json, body].concat()
}

/// Takes the first message and its body out of `buffer`, or `None` if they are
/// not complete.
///
/// # Errors
///
/// If the bytes cannot be messages.
pub fn decode<M: Message>(buffer: &mut BytesMut) -> Result<Option<(M, Bytes)>, DecodeError> {
    let Some(prefix) = buffer.first_chunk::<PREFIX>() else { return Ok(None) };
    let length = usize::try_from(u32::from_le_bytes(*prefix)).unwrap_or(usize::MAX);
    let bounded = |announced, max| {
        if announced > max { Err(DecodeError::TooLong { announced, max }) } else { Ok(()) }
    };
    bounded(length, MESSAGE_MAX)?;
    let Some(json) = buffer.get(PREFIX..PREFIX + length) else { return Ok(None) };
    let message: M = serde_json::from_slice(json).map_err(DecodeError::Meaning)?;
    let body = message.body_length();
    bounded(body, M::BODY_MAX)?;
    if buffer.len() < PREFIX + length + body {
        return Ok(None);
    }
    buffer.advance(PREFIX + length);
    Ok(Some((message, buffer.split_to(body).freeze())))
}

/// A part of what a connection carries: length (u16, little-endian) and bytes.
/// The end of a pipe alone says nothing, because a reset of the machine or the
/// death of a process ends it as well: a direction has ended when a piece says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Bytes, at least one.
    Data(Bytes),
    /// The length zero: this direction has ended, as it should.
    End,
}

/// What stands before `bytes` as a piece, or marks the end if there are none.
///
/// # Panics
///
/// If there are more than [`PIECE_MAX`].
#[must_use]
pub fn piece_prefix(bytes: &[u8]) -> [u8; 2] {
    assert!(bytes.len() <= PIECE_MAX, "a piece of {} bytes", bytes.len());
    u16::try_from(bytes.len()).expect("bounded above").to_le_bytes()
}

/// Takes the first piece out of `buffer`, or `None` if it is not complete.
///
/// # Errors
///
/// If more is announced than [`PIECE_MAX`].
pub fn decode_piece(buffer: &mut BytesMut) -> Result<Option<Piece>, DecodeError> {
    let Some(prefix) = buffer.first_chunk::<2>() else { return Ok(None) };
    let length = usize::from(u16::from_le_bytes(*prefix));
    if length > PIECE_MAX {
        return Err(DecodeError::TooLong { announced: length, max: PIECE_MAX });
    }
    if buffer.len() < 2 + length {
        return Ok(None);
    }
    buffer.advance(2);
    if length == 0 {
        return Ok(Some(Piece::End));
    }
    Ok(Some(Piece::Data(buffer.split_to(length).freeze())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A change here is a change that frozen guests have to live with.
    #[test]
    fn the_wire_form_of_each_message() {
        let host = [
            HostMessage::Configure { authorities: 1 },
            HostMessage::Answer { id: 2, length: 3 },
            HostMessage::Refuse { id: 4 },
            HostMessage::Stop,
        ];
        let guest = [
            GuestMessage::Ready { bundle: None },
            GuestMessage::Ready { bundle: Some("/etc/bundle".into()) },
            GuestMessage::Failed { message: "no".into() },
            GuestMessage::Question { id: 5, length: 6 },
            GuestMessage::Connection { id: 7, to: "[::1]:80".parse().unwrap() },
        ];
        let host = host.iter().map(|message| serde_json::to_string(message).unwrap());
        let guest = guest.iter().map(|message| serde_json::to_string(message).unwrap());
        insta::assert_snapshot!(host.chain(guest).collect::<Vec<_>>().join("\n"));
    }

    proptest! {
        #[test]
        fn messages_survive_any_cut_of_the_stream(
            bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..6),
            cut in 1usize..40,
        ) {
            let mut stream = Vec::new();
            for (id, body) in (0..).zip(&bodies) {
                stream.extend(encode(&GuestMessage::Question { id, length: body.len() }, body));
            }
            let mut buffer = BytesMut::new();
            let mut seen = Vec::new();
            for piece in stream.chunks(cut) {
                buffer.extend_from_slice(piece);
                while let Some((_, body)) = decode::<GuestMessage>(&mut buffer).unwrap() {
                    seen.push(body.to_vec());
                }
            }
            prop_assert_eq!(seen, bodies);
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = decode::<GuestMessage>(&mut buffer) {}
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = decode_piece(&mut buffer) {}
        }
    }

    #[test]
    fn what_announces_too_much_is_refused_before_it_is_read() {
        let too_long = encode(&GuestMessage::Failed { message: "x".repeat(MESSAGE_MAX) }, &[]);
        assert!(decode::<GuestMessage>(&mut BytesMut::from(&too_long[..])).is_err());
        let json = br#"{"type":"question","id":1,"length":100000}"#;
        let frame = [&42u32.to_le_bytes()[..], json].concat();
        assert!(decode::<GuestMessage>(&mut BytesMut::from(&frame[..])).is_err());
        assert!(decode_piece(&mut BytesMut::from(&[0xff, 0xff][..])).is_err());
    }

    #[test]
    fn pieces_end_when_they_say_so() {
        let mut buffer = BytesMut::from(&[2, 0, b'h', b'i', 0, 0][..]);
        assert_eq!(
            decode_piece(&mut buffer).unwrap(),
            Some(Piece::Data(Bytes::from_static(b"hi")))
        );
        assert_eq!(decode_piece(&mut buffer).unwrap(), Some(Piece::End));
        assert_eq!(decode_piece(&mut buffer).unwrap(), None);
    }
}
