//! What the bytes from the host mean: epochs, and frames within them.
//!
//! ```text
//!            token                  32 bytes               undecodable
//! Debris ───────────▶ Nonce ───────────────────▶ Frames ───────────────▶ Deaf
//!                       ▲                          │                      │
//!                       └───────── token ──────────┴────────── token ─────┘
//! ```
//!
//! The token is looked for in every chunk, whatever the state, with the last
//! bytes of the chunk before in front of it: a machine that was resumed in the
//! middle of a frame must not take the new epoch for that frame's payload.
//! Deaf is where undecodable bytes lead; only a new epoch leads out of it.
//!
//! The buffer holds at most one chunk more than one frame.

use bytes::{Buf, BytesMut};
use guest_protocol::epoch::{self, Nonce, Skip, TOKEN_LEN, Token};
use guest_protocol::frame::{self, Frame};

/// Owned by the session's reading loop.
#[derive(Debug)]
pub(crate) struct Incoming {
    token: Token,
    phase: Phase,
    /// Bytes of this epoch that are not decoded yet.
    undecoded: BytesMut,
    /// The last bytes received, in which a token may have begun.
    recent: BytesMut,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Debris,
    Nonce,
    Frames,
    Deaf,
}

/// One thing that the host said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A new epoch: everything older is void.
    Opened(Nonce),
    /// A frame of the epoch.
    Frame(Frame),
}

impl Incoming {
    pub(crate) fn new(token: Token) -> Self {
        Self { token, phase: Phase::Debris, undecoded: BytesMut::new(), recent: BytesMut::new() }
    }

    /// Takes in bytes as they arrived.
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        self.recent.extend_from_slice(chunk);
        let mut met = Skip::Missing;
        // The last token wins: an opening that another one follows was given up.
        while epoch::skip_past(&mut self.recent, &self.token) == Skip::Found {
            met = Skip::Found;
            self.phase = Phase::Nonce;
            self.undecoded.clear();
            self.undecoded.extend_from_slice(&self.recent);
        }
        let listening = matches!(self.phase, Phase::Nonce | Phase::Frames);
        if met == Skip::Missing && listening {
            self.undecoded.extend_from_slice(chunk);
        }
    }

    /// The next thing that the host said, if all of it has arrived.
    pub(crate) fn next(&mut self) -> Option<Heard> {
        match self.phase {
            Phase::Debris | Phase::Deaf => None,
            Phase::Nonce => {
                let nonce: Nonce = *self.undecoded.first_chunk::<TOKEN_LEN>()?;
                self.undecoded.advance(TOKEN_LEN);
                self.phase = Phase::Frames;
                Some(Heard::Opened(nonce))
            }
            Phase::Frames => match frame::decode(&mut self.undecoded) {
                Ok(frame) => frame.map(Heard::Frame),
                Err(_) => {
                    self.go_deaf();
                    None
                }
            },
        }
    }

    /// Ignores everything until the next epoch.
    pub(crate) fn go_deaf(&mut self) {
        self.phase = Phase::Deaf;
        self.undecoded = BytesMut::new();
    }

    /// From now on `token` opens the next epoch, even if it is here already.
    pub(crate) fn expect(&mut self, token: Token) {
        self.token = token;
        while let Some(at) = epoch::position(&self.undecoded, &token) {
            self.undecoded.advance(at + TOKEN_LEN);
            self.phase = Phase::Nonce;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use guest_protocol::epoch::{BOOT_TOKEN, opening};
    use guest_protocol::frame::{Body, Channel, StreamId};

    const NONCE: Nonce = [7; 32];

    fn frame(payload: &[u8]) -> Frame {
        let body = Body::Data(Channel::Stdin, Bytes::copy_from_slice(payload));
        Frame { stream: StreamId(1), body }
    }

    fn bytes(frame: &Frame) -> Vec<u8> {
        let mut out = BytesMut::new();
        frame::encode(frame, &mut out);
        out.to_vec()
    }

    fn hear(incoming: &mut Incoming, stream: &[u8], cut: usize) -> Vec<Heard> {
        let mut heard = Vec::new();
        for chunk in stream.chunks(cut) {
            incoming.push(chunk);
            heard.extend(std::iter::from_fn(|| incoming.next()));
        }
        heard
    }

    #[test]
    fn an_epoch_opens_in_the_middle_of_a_frame_however_the_stream_is_cut() {
        let first = frame(b"before");
        let second = frame(b"after");
        let torn = bytes(&frame(&[1; 500]));
        let stream = [
            b"debris".as_slice(),
            &opening(&BOOT_TOKEN, &NONCE),
            &bytes(&first),
            &torn[..200],
            &opening(&BOOT_TOKEN, &[8; 32]),
            &bytes(&second),
        ]
        .concat();
        for cut in 1..150 {
            let heard = hear(&mut Incoming::new(BOOT_TOKEN), &stream, cut);
            let tail = [Heard::Opened([8; 32]), Heard::Frame(second.clone())];
            assert_eq!(heard[heard.len() - 2..], tail, "cut into {cut}");
        }
    }

    #[test]
    fn undecodable_bytes_silence_the_epoch_but_not_the_next_one() {
        let mut incoming = Incoming::new(BOOT_TOKEN);
        let stream = [opening(&BOOT_TOKEN, &NONCE).as_slice(), &[0xff; 40]].concat();
        assert_eq!(hear(&mut incoming, &stream, 1000), [Heard::Opened(NONCE)]);
        assert_eq!(hear(&mut incoming, &bytes(&frame(b"x")), 1000), []);
        let again = opening(&BOOT_TOKEN, &NONCE);
        assert_eq!(hear(&mut incoming, &again, 5), [Heard::Opened(NONCE)]);
    }

    #[test]
    fn a_new_token_counts_for_bytes_that_are_here_already() {
        let mut incoming = Incoming::new(BOOT_TOKEN);
        let next = [9; 32];
        incoming.push(&opening(&BOOT_TOKEN, &NONCE));
        incoming.push(&bytes(&frame(b"begin")));
        incoming.push(&opening(&next, &[8; 32]));
        assert_eq!(incoming.next(), Some(Heard::Opened(NONCE)));
        assert_eq!(incoming.next(), Some(Heard::Frame(frame(b"begin"))));
        incoming.expect(next);
        assert_eq!(incoming.next(), Some(Heard::Opened([8; 32])));
        assert_eq!(incoming.next(), None);
        incoming.push(&opening(&next, &NONCE));
        assert_eq!(incoming.next(), Some(Heard::Opened(NONCE)));
    }
}
