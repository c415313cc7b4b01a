//! Which client's stream is which stream of the guest.
//!
//! The hub does no I/O: frames go in, frames with a destination come out. It
//! gives each opened stream a guest stream of its own, passes frames between
//! the two, and holds the guest to the credit that it was granted.
//!
//! ```text
//! client opens ──▶ owned ──final answer──▶ forgotten
//!                    │ client gone
//!                    ▼
//!                 orphaned (killed, drained) ──final answer──▶ forgotten
//! ```

use std::collections::HashMap;

use guest_protocol::TOOLS_PATH;
use guest_protocol::frame::{Body, Channel, Frame, INITIAL_CREDIT, StreamId};
use guest_protocol::message::{self, GuestMessage, HostMessage};

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
    stdout_credit: u32,
    stderr_credit: u32,
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
    last: u32,
}

impl Hub {
    /// A hub whose first guest stream comes after `last`.
    pub(crate) fn starting_after(last: StreamId) -> Self {
        Self { last: last.0, ..Self::default() }
    }

    /// How many commands run on behalf of clients; programs of the host's own do
    /// not count.
    pub(crate) fn commands(&self) -> usize {
        let is_command = |stream| {
            self.streams.get(stream).is_some_and(|stream| stream.purpose == Purpose::Command)
        };
        self.by_client.values().filter(|stream| is_command(*stream)).count()
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
                self.grant(stream, channel, bytes);
                Ok(Some(Routed::ToGuest(Frame { stream, body: frame.body })))
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
        self.by_client.insert((client, frame.stream), stream);
        self.streams.insert(
            stream,
            Stream {
                owner: Owner::Client(client, frame.stream),
                purpose,
                stdout_credit: INITIAL_CREDIT,
                stderr_credit: INITIAL_CREDIT,
            },
        );
        Routed::ToGuest(Frame { stream, body: frame.body })
    }

    fn grant(&mut self, stream: StreamId, channel: Channel, bytes: u32) {
        if let Some(state) = self.streams.get_mut(&stream) {
            let credit = state.credit(channel);
            *credit = credit.saturating_add(bytes);
        }
    }

    /// A frame of the guest.
    pub(crate) fn guest_says(&mut self, frame: Frame) -> Result<Option<Routed>, GuestFault> {
        let stream = frame.stream;
        let Some(state) = self.streams.get_mut(&stream) else {
            return Ok(None);
        };
        match &frame.body {
            Body::Data(channel, bytes) => {
                let length = u32::try_from(bytes.len()).expect("frames are bounded");
                let credit = state.credit(*channel);
                if length > *credit {
                    return Err(GuestFault::Overrun(length - *credit));
                }
                *credit -= length;
                if matches!(state.owner, Owner::Nobody) {
                    *state.credit(*channel) += length;
                    return Ok(Some(granting(stream, *channel, length)));
                }
            }
            Body::Control(payload) => {
                let parsed: GuestMessage =
                    message::parse(stream, payload).map_err(|_| GuestFault::Message)?;
                let is_final = matches!(
                    parsed,
                    GuestMessage::Exited { .. } | GuestMessage::Done | GuestMessage::Refused { .. }
                );
                if is_final {
                    return Ok(self.forget(stream).and_then(|owner| owner.receives(frame.body)));
                }
            }
        }
        Ok(state.owner.receives(frame.body))
    }

    fn forget(&mut self, stream: StreamId) -> Option<Owner> {
        let state = self.streams.remove(&stream)?;
        if let Owner::Client(client, its_stream) = state.owner {
            self.by_client.remove(&(client, its_stream));
        }
        Some(state.owner)
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
                    let credit = state.credit(channel);
                    let missing = INITIAL_CREDIT.saturating_sub(*credit);
                    *credit += missing;
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
    fn credit(&mut self, channel: Channel) -> &mut u32 {
        match channel {
            Channel::Stdout | Channel::Stdin => &mut self.stdout_credit,
            Channel::Stderr => &mut self.stderr_credit,
        }
    }
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
        let Some(Routed::ToClient(ClientId(2), frame)) = hub.guest_says(data(2, 5)).unwrap() else {
            panic!()
        };
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
        assert_eq!(hub.commands(), 1);
        hub.guest_says(exited(1)).unwrap();
        assert_eq!(hub.commands(), 0);
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
        assert!(matches!(hub.guest_says(exited(1)), Ok(Some(Routed::ToClient(..)))));
        assert_eq!(hub.guest_says(data(1, 1)), Ok(None));
        assert!(hub.streams.is_empty());
    }

    #[test]
    fn the_streams_of_a_lost_client_are_killed_and_drained() {
        let mut hub = Hub::default();
        hub.client_says(CLIENT, exec(1)).unwrap();
        hub.guest_says(data(1, 100)).unwrap();
        let sent = hub.client_gone(CLIENT);
        assert_eq!(sent.len(), 2, "a kill and the credit that the client still owed");
        assert!(matches!(hub.guest_says(data(1, 50)), Ok(Some(Routed::ToGuest(_)))));
        assert_eq!(hub.guest_says(exited(1)), Ok(None));
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

    #[test]
    fn clients_cannot_speak_for_the_keeper() {
        let mut hub = Hub::default();
        let mount = message::control(StreamId(1), &HostMessage::MountWorkspace).unwrap();
        assert_eq!(hub.client_says(CLIENT, mount), Err(ClientFault::Message));
    }
}
