//! Which client's stream is which stream of the guest.
//!
//! The hub does no I/O: frames go in, frames with a destination come out. It
//! gives each opened stream a guest stream of its own, passes frames between
//! the two, and holds the guest to the credit that it was granted (`flow`). Values
//! of secrets are hidden in what passes to clients, unless a client has declared a
//! stream's output as verbatim.
//!
//! ```text
//! client opens ──▶ owned ──final answer──▶ forgotten
//!                    │ client gone
//!                    ▼
//!                 orphaned (killed, drained) ──final answer──▶ forgotten
//! ```

use std::collections::HashMap;

use bytes::Bytes;
use guest_protocol::TOOLS_PATH;
use guest_protocol::frame::{Body, Channel, Frame, MAX_PAYLOAD, StreamId};
use guest_protocol::message::{self, GuestMessage, HostMessage};
use redaction::Veil;

use super::flow::Flow;

/// How many commands may be under way at once in one workspace.
pub(crate) const STREAMS_MAX: usize = 256;

/// Identifies a connection of a client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct ClientId(pub(crate) u64);

/// A frame and where it goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Routed {
    ToGuest(Frame),
    ToClient(ClientId, Frame),
}

/// A client broke the protocol; its connection ends.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClientFault {
    #[error("a client sent a message without meaning")]
    Message,
    #[error("a client used a stream that is not open")]
    Stream,
}

/// The guest broke the protocol; nothing it says can be trusted any more.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GuestFault {
    #[error("the guest sent a message without meaning")]
    Message,
    #[error("the guest sent {0} bytes more than it was allowed to")]
    Overrun(u32),
}

#[derive(Debug)]
struct Stream {
    owner: Owner,
    purpose: Purpose,
    stdout: Flow,
    stderr: Flow,
}

/// What a stream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// A program that somebody runs in the workspace.
    Command,
    /// One of the host's own, or nothing that runs.
    Upkeep,
}

impl Purpose {
    fn of(opening: &HostMessage) -> Self {
        match opening {
            HostMessage::Exec(exec) if exec.argv.first().is_some_and(|arg| arg == TOOLS_PATH) => {
                Self::Upkeep
            }
            HostMessage::Exec(_) | HostMessage::Attach { .. } => Self::Command,
            _ => Self::Upkeep,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Owner {
    Client(ClientId, StreamId),
    /// Its client is gone; it is killed and its output dropped.
    Nobody,
}

/// The routing table.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    streams: HashMap<StreamId, Stream>,
    by_client: HashMap<(ClientId, StreamId), StreamId>,
    /// The streams whose output their clients will want verbatim, not open yet.
    verbatim: HashMap<ClientId, StreamId>,
    veil: Veil,
    last: u32,
}

impl Hub {
    /// A hub whose first guest stream comes after `last`, and which hides what is
    /// behind the veil.
    pub(crate) fn starting_after(last: StreamId, veil: Veil) -> Self {
        Self { last: last.0, veil, ..Self::default() }
    }

    /// A client wants the standard output of a stream as it is; it opens the
    /// stream next.
    pub(crate) fn declare_verbatim(&mut self, client: ClientId, stream: StreamId) {
        self.verbatim.insert(client, stream);
    }

    /// How many commands run on behalf of clients of some kind; programs of the
    /// host's own do not count.
    pub(crate) fn commands(&self, is_wanted: impl Fn(ClientId) -> bool) -> usize {
        let is_command = |stream| {
            self.streams.get(stream).is_some_and(|stream| stream.purpose == Purpose::Command)
        };
        let streams = self.by_client.iter();
        streams.filter(|((client, _), stream)| is_wanted(*client) && is_command(*stream)).count()
    }

    /// A frame of a client, on any stream but 0.
    pub(crate) fn client_says(
        &mut self,
        client: ClientId,
        frame: Frame,
    ) -> Result<Option<Routed>, ClientFault> {
        let guest_stream = self.by_client.get(&(client, frame.stream)).copied();
        let Body::Control(payload) = &frame.body else {
            // Input for a command that has just ended is dropped, not a fault.
            return Ok(
                guest_stream.map(|stream| Routed::ToGuest(Frame { stream, body: frame.body }))
            );
        };
        let parsed: HostMessage =
            message::parse(frame.stream, payload).map_err(|_| ClientFault::Message)?;
        match (parsed, guest_stream) {
            (
                opening @ (HostMessage::Exec(_) | HostMessage::Attach { .. } | HostMessage::Sync),
                None,
            ) => Ok(Some(self.open(client, Purpose::of(&opening), frame))),
            (HostMessage::Exec(_) | HostMessage::Attach { .. } | HostMessage::Sync, Some(_)) => {
                Err(ClientFault::Stream)
            }
            (HostMessage::Begin(_) | HostMessage::MountWorkspace, _) => Err(ClientFault::Message),
            (HostMessage::Credit { channel, bytes }, Some(stream)) => {
                let due = self.grant(stream, channel, bytes);
                Ok((due > 0).then(|| granting(stream, channel, due)))
            }
            (
                HostMessage::StdinClosed
                | HostMessage::Resize(_)
                | HostMessage::Signal { .. }
                | HostMessage::Cancel { .. }
                | HostMessage::Kill,
                Some(stream),
            ) => Ok(Some(Routed::ToGuest(Frame { stream, body: frame.body }))),
            (_, None) => Ok(None),
        }
    }

    fn open(&mut self, client: ClientId, purpose: Purpose, frame: Frame) -> Routed {
        if self.streams.len() >= STREAMS_MAX {
            let reason = format!("{STREAMS_MAX} commands are already under way");
            return refuse(client, frame.stream, &reason);
        }
        let Some(next) = self.last.checked_add(1) else {
            return refuse(client, frame.stream, "this machine has used up its stream numbers");
        };
        self.last = next;
        let stream = StreamId(next);
        let is_verbatim = self.verbatim.remove(&client) == Some(frame.stream);
        self.by_client.insert((client, frame.stream), stream);
        self.streams.insert(
            stream,
            Stream {
                owner: Owner::Client(client, frame.stream),
                purpose,
                stdout: Flow::new((!is_verbatim).then(|| self.veil.clone())),
                stderr: Flow::new(Some(self.veil.clone())),
            },
        );
        Routed::ToGuest(Frame { stream, body: frame.body })
    }

    /// Grants what a client says; how much of it the guest is told.
    fn grant(&mut self, stream: StreamId, channel: Channel, bytes: u32) -> u32 {
        self.streams.get_mut(&stream).map_or(0, |state| state.flow(channel).grant(bytes))
    }

    /// A frame of the guest.
    pub(crate) fn guest_says(&mut self, frame: Frame) -> Result<Vec<Routed>, GuestFault> {
        let stream = frame.stream;
        let Some(state) = self.streams.get_mut(&stream) else {
            return Ok(Vec::new());
        };
        match frame.body {
            Body::Data(channel, bytes) => {
                let length = u32::try_from(bytes.len()).expect("frames are bounded");
                let owner = state.owner;
                let flow = state.flow(channel);
                flow.spend(length).map_err(GuestFault::Overrun)?;
                let Owner::Client(client, its_stream) = owner else {
                    flow.regain(length);
                    return Ok(vec![granting(stream, channel, length)]);
                };
                let (shown, due) = flow.pass(bytes);
                let mut out = to_client(client, its_stream, channel, shown);
                out.extend((due > 0).then(|| granting(stream, channel, due)));
                Ok(out)
            }
            Body::Control(payload) => {
                let parsed: GuestMessage =
                    message::parse(stream, &payload).map_err(|_| GuestFault::Message)?;
                let body = Body::Control(payload);
                match parsed {
                    GuestMessage::Exited { .. } | GuestMessage::Done => {
                        Ok(self.finish(stream, body))
                    }
                    GuestMessage::Refused { reason, message } => {
                        // It repeats what it was asked for.
                        let message = self.veil.text(message);
                        let refused = GuestMessage::Refused { reason, message };
                        let answer = message::control(stream, &refused).unwrap_or_else(|_| {
                            let message = "its reason is too long to be told".to_owned();
                            let refused = GuestMessage::Refused { reason, message };
                            message::control(stream, &refused).expect("a short message")
                        });
                        Ok(self.finish(stream, answer.body))
                    }
                    _ => Ok(Vec::from_iter(state.owner.receives(body))),
                }
            }
        }
    }

    /// Forgets a stream; its client gets what was held back, then the final answer.
    fn finish(&mut self, stream: StreamId, answer: Body) -> Vec<Routed> {
        let Some(state) = self.streams.remove(&stream) else { return Vec::new() };
        let Owner::Client(client, its_stream) = state.owner else { return Vec::new() };
        self.by_client.remove(&(client, its_stream));
        let mut out = to_client(client, its_stream, Channel::Stdout, state.stdout.rest());
        out.extend(to_client(client, its_stream, Channel::Stderr, state.stderr.rest()));
        out.extend(state.owner.receives(answer));
        out
    }

    /// The machine is put back to an earlier state: every command of a client is
    /// lost, and its client is told so. What a guest of that state is told next
    /// is routed by another hub.
    pub(crate) fn restored(self) -> Vec<Routed> {
        let lost = GuestMessage::Refused {
            reason: message::Refusal::LostByRestore,
            message: "the workspace was reset while this was under way".to_owned(),
        };
        let streams = self.by_client.into_keys();
        let told = streams.map(|(client, stream)| {
            Routed::ToClient(client, message::control(stream, &lost).expect("a short message"))
        });
        told.collect()
    }

    /// A client is gone: its commands are killed and their output is dropped.
    pub(crate) fn client_gone(&mut self, client: ClientId) -> Vec<Routed> {
        let mut out = Vec::new();
        self.verbatim.remove(&client);
        self.by_client.retain(|(owner, _), stream| {
            if *owner != client {
                return true;
            }
            let kill = message::control(*stream, &HostMessage::Kill).expect("a short message");
            out.push(Routed::ToGuest(kill));
            if let Some(state) = self.streams.get_mut(stream) {
                state.owner = Owner::Nobody;
                // Without fresh credit the guest could never deliver the rest
                // and so would never finish the stream.
                for channel in [Channel::Stdout, Channel::Stderr] {
                    let missing = state.flow(channel).top_up();
                    if missing > 0 {
                        out.push(granting(*stream, channel, missing));
                    }
                }
            }
            false
        });
        out
    }
}

impl Stream {
    fn flow(&mut self, channel: Channel) -> &mut Flow {
        match channel {
            Channel::Stdout | Channel::Stdin => &mut self.stdout,
            Channel::Stderr => &mut self.stderr,
        }
    }
}

/// Bytes of the guest for a client, in frames.
fn to_client(
    client: ClientId,
    stream: StreamId,
    channel: Channel,
    mut bytes: Bytes,
) -> Vec<Routed> {
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let piece = bytes.split_to(bytes.len().min(MAX_PAYLOAD));
        let frame = Frame { stream, body: Body::Data(channel, piece) };
        out.push(Routed::ToClient(client, frame));
    }
    out
}

impl Owner {
    fn receives(self, body: Body) -> Option<Routed> {
        match self {
            Self::Client(client, stream) => Some(Routed::ToClient(client, Frame { stream, body })),
            Self::Nobody => None,
        }
    }
}

fn refuse(client: ClientId, stream: StreamId, reason: &str) -> Routed {
    let refused =
        GuestMessage::Refused { reason: message::Refusal::Exhausted, message: reason.to_owned() };
    Routed::ToClient(client, message::control(stream, &refused).expect("a short message"))
}

fn granting(stream: StreamId, channel: Channel, bytes: u32) -> Routed {
    let credit = HostMessage::Credit { channel, bytes };
    Routed::ToGuest(message::control(stream, &credit).expect("a short message"))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use guest_protocol::message::{End, Exec};

    use super::*;

    const CLIENT: ClientId = ClientId(1);

    fn exec(stream: u32) -> Frame {
        let exec = Exec { argv: vec!["true".into()], cwd: "/".into(), ..Exec::default() };
        message::control(StreamId(stream), &HostMessage::Exec(exec)).unwrap()
    }

    fn data(stream: u32, length: usize) -> Frame {
        Frame {
            stream: StreamId(stream),
            body: Body::Data(Channel::Stdout, Bytes::from(vec![0; length])),
        }
    }

    fn exited(stream: u32) -> Frame {
        let end = GuestMessage::Exited { end: End::Code { code: 0 }, duration_ms: 1 };
        message::control(StreamId(stream), &end).unwrap()
    }

    #[test]
    fn streams_of_two_clients_never_meet() {
        let mut hub = Hub::default();
        let first = hub.client_says(ClientId(1), exec(1)).unwrap();
        let second = hub.client_says(ClientId(2), exec(1)).unwrap();
        let Some(Routed::ToGuest(Frame { stream: StreamId(1), .. })) = first else { panic!() };
        let Some(Routed::ToGuest(Frame { stream: StreamId(2), .. })) = second else { panic!() };
        let routed = hub.guest_says(data(2, 5)).unwrap();
        let [Routed::ToClient(ClientId(2), frame)] = routed.as_slice() else { panic!() };
        assert_eq!(frame.stream, StreamId(1));
    }

    #[test]
    fn programs_of_the_host_s_own_are_no_commands() {
        let mut hub = Hub::default();
        hub.client_says(CLIENT, exec(1)).unwrap();
        let tool = Exec { argv: vec![TOOLS_PATH.to_owned()], ..Exec::default() };
        for (stream, opening) in [(2, HostMessage::Exec(tool)), (3, HostMessage::Sync)] {
            hub.client_says(CLIENT, message::control(StreamId(stream), &opening).unwrap()).unwrap();
        }
        assert_eq!(hub.commands(|client| client == CLIENT), 1);
        assert_eq!(hub.commands(|client| client != CLIENT), 0);
        hub.guest_says(exited(1)).unwrap();
        assert_eq!(hub.commands(|_| true), 0);
    }

    #[test]
    fn a_guest_that_sends_beyond_its_credit_is_caught() {
        let mut hub = Hub::default();
        hub.client_says(CLIENT, exec(1)).unwrap();
        for _ in 0..4 {
            hub.guest_says(data(1, 65_536)).unwrap();
        }
        assert_eq!(hub.guest_says(data(1, 1)), Err(GuestFault::Overrun(1)));
    }

    #[test]
    fn a_stream_ends_with_its_final_answer() {
        let mut hub = Hub::default();
        hub.client_says(CLIENT, exec(1)).unwrap();
        assert!(matches!(hub.guest_says(exited(1)).unwrap()[..], [Routed::ToClient(..)]));
        assert_eq!(hub.guest_says(data(1, 1)), Ok(Vec::new()));
        assert!(hub.streams.is_empty());
    }

    #[test]
    fn the_streams_of_a_lost_client_are_killed_and_drained() {
        let mut hub = Hub::default();
        hub.client_says(CLIENT, exec(1)).unwrap();
        hub.guest_says(data(1, 100)).unwrap();
        let sent = hub.client_gone(CLIENT);
        assert_eq!(sent.len(), 2, "a kill and the credit that the client still owed");
        assert!(matches!(hub.guest_says(data(1, 50)).unwrap()[..], [Routed::ToGuest(_)]));
        assert_eq!(hub.guest_says(exited(1)), Ok(Vec::new()));
        assert!(hub.streams.is_empty());
    }

    #[test]
    fn a_restore_ends_every_stream_of_a_client_and_says_why() {
        let mut hub = Hub::default();
        hub.client_says(ClientId(1), exec(1)).unwrap();
        hub.client_says(ClientId(2), exec(5)).unwrap();
        hub.client_gone(ClientId(1));
        let told = hub.restored();
        let [Routed::ToClient(ClientId(2), frame)] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!(frame.stream, StreamId(5));
        let Body::Control(payload) = &frame.body else { panic!() };
        let said: GuestMessage = message::parse(frame.stream, payload).unwrap();
        let lost = message::Refusal::LostByRestore;
        assert!(matches!(said, GuestMessage::Refused { reason, .. } if reason == lost));
    }

    /// What a client gets of these bytes, written in pieces, and what the guest is
    /// granted until then.
    fn shown(hub: &mut Hub, pieces: &[&[u8]]) -> (Vec<u8>, u32) {
        let (mut out, mut granted) = (Vec::new(), 0);
        let frames = pieces.iter().map(|piece| Frame {
            stream: StreamId(1),
            body: Body::Data(Channel::Stdout, Bytes::copy_from_slice(piece)),
        });
        for frame in frames.chain([exited(1)]) {
            for routed in hub.guest_says(frame).unwrap() {
                match routed {
                    Routed::ToClient(_, Frame { body: Body::Data(_, bytes), .. }) => {
                        out.extend(bytes);
                    }
                    Routed::ToGuest(frame) => granted += granted_by(&frame),
                    Routed::ToClient(..) => {}
                }
            }
        }
        (out, granted)
    }

    fn granted_by(frame: &Frame) -> u32 {
        let Body::Control(payload) = &frame.body else { return 0 };
        match message::parse(frame.stream, payload) {
            Ok(HostMessage::Credit { bytes, .. }) => bytes,
            _ => 0,
        }
    }

    fn veiled(value: &[u8]) -> Hub {
        let veil = Veil::default();
        veil.hide(redaction::Secrets::new([("KEY", value)]).unwrap());
        Hub::starting_after(StreamId(0), veil)
    }

    #[test]
    fn values_are_hidden_but_where_a_client_wants_every_byte() {
        let mut hub = veiled(b"0123456789");
        hub.client_says(CLIENT, exec(1)).unwrap();
        let (out, _) = shown(&mut hub, &[b"a 01234", b"56789 b 0123"]);
        assert_eq!(out, b"a [REDACTED:KEY] b 0123");
        let mut hub = veiled(b"0123456789");
        hub.declare_verbatim(CLIENT, StreamId(1));
        hub.client_says(CLIENT, exec(1)).unwrap();
        assert_eq!(shown(&mut hub, &[b"0123456789"]).0, b"0123456789");
        // It held for that stream only.
        hub.client_says(CLIENT, exec(1)).unwrap();
        let refused = GuestMessage::Refused {
            reason: message::Refusal::Failed,
            message: "cannot run 0123456789".to_owned(),
        };
        let routed = hub.guest_says(message::control(StreamId(2), &refused).unwrap()).unwrap();
        let [Routed::ToClient(_, frame)] = routed.as_slice() else { panic!() };
        let Body::Control(payload) = &frame.body else { panic!() };
        assert!(!payload.windows(10).any(|window| window == b"0123456789"));
    }

    #[test]
    fn a_guest_is_granted_what_it_sent_however_long_that_became() {
        // Much shorter: a client that got 17 bytes would never grant the rest.
        let long = vec![b'x'; 60_000];
        let mut hub = veiled(&long);
        hub.client_says(CLIENT, exec(1)).unwrap();
        let (out, granted) = shown(&mut hub, &[long.as_slice(); 4]);
        assert_eq!((out.len(), granted >= 180_000), (4 * "[REDACTED:KEY]".len(), true));
        // Longer: what the client grants in excess is kept from the guest.
        let mut hub = veiled(b"01234567");
        hub.client_says(CLIENT, exec(1)).unwrap();
        let frame = Frame {
            stream: StreamId(1),
            body: Body::Data(Channel::Stdout, Bytes::from(b"01234567".repeat(100))),
        };
        let routed = hub.guest_says(frame).unwrap();
        let [Routed::ToClient(_, Frame { body: Body::Data(_, bytes), .. })] = routed.as_slice()
        else {
            panic!()
        };
        let bytes = u32::try_from(bytes.len()).unwrap();
        assert_eq!(bytes, 1400);
        let credit = HostMessage::Credit { channel: Channel::Stdout, bytes };
        let grant = message::control(StreamId(1), &credit).unwrap();
        let Some(Routed::ToGuest(frame)) = hub.client_says(CLIENT, grant).unwrap() else {
            panic!()
        };
        assert_eq!(granted_by(&frame), 800);
    }

    #[test]
    fn clients_cannot_speak_for_the_keeper() {
        let mut hub = Hub::default();
        let mount = message::control(StreamId(1), &HostMessage::MountWorkspace).unwrap();
        assert_eq!(hub.client_says(CLIENT, mount), Err(ClientFault::Message));
    }
}
