//! Follows what a guest sends on a connection to a name.
//!
//! ```text
//!           ┌─ TLS ─▶ its first message names the server ─▶ open
//! first ────┼─ HTTP/1 ─▶ head ─▶ body ─▶ head ─▶ …
//!           │              └─ web socket: waits for 101 ─▶ open
//!           └─ anything else ─▶ open
//! ```
//!
//! A name that was looked up and allowed says where the connection goes, and
//! many names may lead to one place: so TLS and HTTP, which say in the clear
//! whom they mean, must mean the name. Bytes are passed on once they are judged,
//! never before, but for a first line of text that has no end yet: no server acts
//! on a part of a line, and a client of another protocol may wait for an answer to
//! it. What is inside TLS nobody sees here.

use bytes::{Bytes, BytesMut};
use workspace_api::network::DomainName;

use crate::client_hello::{self, Hello};
use crate::http::{self, Body, Chunks, Likeness};

/// How many bytes of a connection are held back at most.
pub const HELD_MAX: usize = 64 * 1024;

/// Why a connection is not what it was allowed as.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Suspicion {
    /// The TLS client names another server.
    #[error("the TLS client names the server {0}")]
    OtherServer(String),
    /// The TLS client names no server.
    #[error("the TLS client names no server")]
    NoServer,
    /// It begins as TLS does and goes on otherwise.
    #[error("the TLS client's first message is malformed")]
    Hello,
    /// The HTTP request is for another host.
    #[error("the HTTP request is for the host {0}")]
    OtherHost(String),
    /// The HTTP request does not say for which host it is, once.
    #[error("the HTTP request does not name its host once")]
    NoHost,
    /// The HTTP request could be read in more than one way.
    #[error("the HTTP request cannot be judged: {0}")]
    Request(&'static str),
    /// The HTTP request asks for a tunnel to somewhere else.
    #[error("the HTTP request asks for a tunnel")]
    Tunnel,
    /// Nothing could be decided within [`HELD_MAX`] bytes.
    #[error("nothing can be judged within {} KiB", HELD_MAX / 1024)]
    TooLong,
}

/// Judges one connection to a name.
#[derive(Debug)]
pub struct Inspector {
    name: DomainName,
    state: State,
    held: BytesMut,
    /// So many of the bytes that are held were passed on already.
    ahead: usize,
}

#[derive(Debug)]
enum State {
    First,
    Head(Turn),
    Body(u64),
    Chunks(Chunks),
    /// A web socket was asked for; this much of the answer has been seen.
    Upgrade(Vec<u8>),
    Open,
}

/// Which request of a connection comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    First,
    Later,
}

/// What became of the bytes that are held.
enum Progress {
    /// So many of them may be passed on.
    Pass(usize),
    /// The state is another one.
    Again,
    /// More are needed.
    Wait,
}

/// The first byte of TLS: a record of the handshake.
const TLS: u8 = 22;

/// How much of a name is told, in characters.
const SHOWN_MAX: usize = 253;

/// The beginning of the answer that makes a connection a web socket.
const SWITCHED: &[u8] = b"HTTP/1.1 101";

impl Inspector {
    /// Judges a connection to `name`.
    #[must_use]
    pub fn new(name: DomainName) -> Self {
        Self { name, state: State::First, held: BytesMut::new(), ahead: 0 }
    }

    /// Takes what the guest sends; returns what may be passed on now.
    ///
    /// # Errors
    ///
    /// If the connection means somebody else. It must be ended then.
    pub fn client(&mut self, bytes: Bytes) -> Result<Bytes, Suspicion> {
        if matches!(self.state, State::Open) && self.held.is_empty() {
            return Ok(bytes);
        }
        self.held.extend_from_slice(&bytes);
        let mut judged = BytesMut::new();
        while !self.held.is_empty() {
            match self.judge()? {
                Progress::Pass(length) => {
                    let mut passed = self.held.split_to(length);
                    judged.unsplit(passed.split_off(std::mem::take(&mut self.ahead)));
                }
                Progress::Again => {}
                Progress::Wait if self.held.len() > HELD_MAX => return Err(Suspicion::TooLong),
                Progress::Wait => {
                    judged.extend_from_slice(self.unfinished_line());
                    break;
                }
            }
        }
        Ok(judged.freeze())
    }

    /// What is new of a first line of text whose end has not come.
    fn unfinished_line(&mut self) -> &[u8] {
        if !matches!(self.state, State::First) || self.held[0] == TLS {
            return &[];
        }
        let begin = self.ahead;
        let end = self.held.iter().position(|byte| *byte == b'\n').unwrap_or(self.held.len());
        self.ahead = end.max(begin);
        &self.held[begin..self.ahead]
    }

    fn judge(&mut self) -> Result<Progress, Suspicion> {
        let held = &self.held[..];
        match &mut self.state {
            State::First if held[0] == TLS => match client_hello::read(held) {
                Hello::Incomplete => Ok(Progress::Wait),
                Hello::Invalid => Err(Suspicion::Hello),
                Hello::Unnamed => Err(Suspicion::NoServer),
                Hello::Named(server) if self.is_meant(&server) => self.go_on(State::Open),
                Hello::Named(server) => Err(Suspicion::OtherServer(shown(&server))),
            },
            State::First => match http::likeness(held) {
                Likeness::Unknown => Ok(Progress::Wait),
                Likeness::Yes => self.go_on(State::Head(Turn::First)),
                Likeness::No => self.go_on(State::Open),
            },
            State::Head(turn) => {
                let turn = *turn;
                let Some(request) = http::request(held)? else { return Ok(Progress::Wait) };
                if !self.is_meant(&request.host) {
                    return Err(Suspicion::OtherHost(shown(&request.host)));
                }
                self.state = match request.body {
                    Body::Length(0) if request.wants_socket && turn == Turn::First => {
                        State::Upgrade(Vec::new())
                    }
                    Body::Length(length) => State::Body(length),
                    Body::Chunks(chunks) => State::Chunks(chunks),
                };
                Ok(Progress::Pass(request.length))
            }
            State::Body(0) => self.go_on(State::Head(Turn::Later)),
            State::Body(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(held.len());
                *left -= taken as u64;
                Ok(Progress::Pass(taken))
            }
            State::Chunks(chunks) => {
                let (taken, over) = chunks.follow(held)?;
                if over {
                    self.state = State::Head(Turn::Later);
                }
                Ok(Progress::Pass(taken))
            }
            State::Upgrade(_) => Ok(Progress::Wait),
            State::Open => Ok(Progress::Pass(held.len())),
        }
    }

    fn go_on(&mut self, state: State) -> Result<Progress, Suspicion> {
        self.state = state;
        Ok(Progress::Again)
    }

    fn is_meant(&self, claimed: &str) -> bool {
        claimed.parse::<DomainName>().is_ok_and(|claimed| claimed == self.name)
    }

    /// Takes what the server sends, while [`Self::awaits_server`]. Afterwards
    /// the guest's bytes may go on: call [`Self::client`] once more.
    pub fn server(&mut self, bytes: &[u8]) {
        if let State::Upgrade(seen) = &mut self.state {
            let missing = SWITCHED.len().saturating_sub(seen.len()).min(bytes.len());
            seen.extend_from_slice(&bytes[..missing]);
            if seen.len() == SWITCHED.len() {
                let switched = seen == SWITCHED;
                self.state = if switched { State::Open } else { State::Head(Turn::Later) };
            }
        }
    }

    /// Whether the server's answer decides how to go on.
    #[must_use]
    pub const fn awaits_server(&self) -> bool {
        matches!(self.state, State::Upgrade(_))
    }
}

/// A name out of a guest's mouth, fit to be told.
fn shown(name: &str) -> String {
    name.chars().take(SHOWN_MAX).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::client_hello::samples::{hello, naming};

    /// Feeds `bytes` in pieces; what was passed on, or why not.
    fn feed(bytes: &[u8], cut: usize) -> Result<Vec<u8>, Suspicion> {
        let mut inspector = Inspector::new("example.org".parse().unwrap());
        let mut passed = Vec::new();
        for piece in bytes.chunks(cut) {
            passed.extend(inspector.client(Bytes::copy_from_slice(piece))?);
        }
        Ok(passed)
    }

    #[test]
    fn tls_for_the_name_passes_and_for_another_does_not() {
        for cut in [1, 7, 1000] {
            let bytes = [&hello(&naming("EXAMPLE.org"), 1000)[..], b"more"].concat();
            assert_eq!(feed(&bytes, cut).as_deref(), Ok(&bytes[..]));
            let spoofed = hello(&naming("evil.example"), 1000);
            assert_eq!(feed(&spoofed, cut), Err(Suspicion::OtherServer("evil.example".into())));
            assert_eq!(feed(&hello(&[], 1000), cut), Err(Suspicion::NoServer));
        }
    }

    #[test]
    fn each_request_of_a_connection_is_judged() {
        let good = b"POST / HTTP/1.1\r\nHost: example.org\r\nContent-Length: 4\r\n\r\nGET ";
        let chunked = b"POST / HTTP/1.1\r\nHost: example.org\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
        let evil = b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n";
        for cut in [1, 7, 1000] {
            let fine = [&good[..], chunked, good].concat();
            assert_eq!(feed(&fine, cut).as_deref(), Ok(&fine[..]));
            let fronted = [&good[..], chunked, evil].concat();
            assert_eq!(feed(&fronted, cut), Err(Suspicion::OtherHost("evil.example".into())));
            assert!(feed(&[b"\r\n", &evil[..]].concat(), cut).is_err());
        }
    }

    #[test]
    fn nothing_of_a_request_for_somebody_else_is_passed_on() {
        let mut inspector = Inspector::new("example.org".parse().unwrap());
        let first = inspector.client(Bytes::from_static(b"GET / HTTP/1.1\r\nHost: evil")).unwrap();
        assert!(first.is_empty());
        assert!(inspector.client(Bytes::from_static(b".example\r\n\r\n")).is_err());
    }

    #[test]
    fn a_client_that_speaks_first_and_ends_no_line_is_heard() {
        let mut inspector = Inspector::new("example.org".parse().unwrap());
        let mut pass = |bytes: &'static [u8]| inspector.client(Bytes::from_static(bytes));
        assert_eq!(pass(b"HEL").unwrap(), "HEL");
        assert_eq!(pass(b"LO you").unwrap(), "LO you");
        assert_eq!(pass(b"\0\x01 more").unwrap(), "\0\x01 more");
        assert_eq!(pass(b"and\nmore").unwrap(), "and\nmore");
        // A request that comes in the same way is still judged before it is whole.
        let mut inspector = Inspector::new("example.org".parse().unwrap());
        let mut pass = |bytes: &'static [u8]| inspector.client(Bytes::from_static(bytes));
        assert_eq!(pass(b"GE").unwrap(), "GE");
        assert_eq!(pass(b"T / HTTP/1.1\r\nHost: ev").unwrap(), "");
        assert!(pass(b"il.example\r\n\r\n").is_err());
    }

    #[test]
    fn tunnels_and_plain_http_2_are_refused() {
        let tunnel = b"CONNECT evil.example:443 HTTP/1.1\r\nHost: example.org\r\n\r\n";
        assert_eq!(feed(tunnel, 1000), Err(Suspicion::Tunnel));
        assert!(feed(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 1000).is_err());
    }

    #[test]
    fn other_protocols_pass() {
        for bytes in [
            &b"SSH-2.0-x\r\n"[..],
            b"0032git-upload-pack /x\0host=a\0",
            b"EHLO a\r\nGET / HTTP/1.1\r\n",
        ] {
            assert_eq!(feed(bytes, 3).as_deref(), Ok(bytes));
        }
    }

    #[test]
    fn a_connection_is_a_web_socket_when_the_server_agrees() {
        let ask = b"GET / HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\n\r\n";
        let evil = Bytes::from_static(b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n");
        for (answer, opens) in [(&b"HTTP/1.1 101 Switching"[..], true), (b"HTTP/1.1 200 OK", false)]
        {
            let mut inspector = Inspector::new("example.org".parse().unwrap());
            assert_eq!(inspector.client(Bytes::from_static(ask)).unwrap(), &ask[..]);
            assert!(inspector.awaits_server());
            assert!(inspector.client(evil.clone()).unwrap().is_empty(), "it is held back");
            for byte in answer {
                inspector.server(&[*byte]);
            }
            let after = inspector.client(Bytes::new());
            assert_eq!(after.is_ok_and(|bytes| bytes == evil), opens);
        }
    }

    #[test]
    fn what_cannot_be_judged_is_not_held_for_ever() {
        let endless = [&b"GET /"[..], &[b'a'; HELD_MAX]].concat();
        assert_eq!(feed(&endless, 4096), Err(Suspicion::TooLong));
    }

    proptest! {
        #[test]
        fn what_passes_is_what_was_sent(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 1usize..40) {
            if let Ok(passed) = feed(&bytes, cut) {
                prop_assert!(bytes.starts_with(&passed));
            }
        }
    }
}
