//! The keeper's routing between several clients and a hostile guest.

#![no_main]

use std::collections::HashMap;

use bytes::Bytes;
use guest_protocol::frame::{Body, Channel, Frame, INITIAL_CREDIT, StreamId};
use guest_protocol::message::{self, End, Exec, GuestMessage, HostMessage};
use hub::{ClientId, Hub, Routed};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use redaction::Veil;

#[path = "../../crates/workspace/src/keeper/flow.rs"]
mod flow;
#[path = "../../crates/workspace/src/keeper/hub.rs"]
mod hub;

/// Few clients and streams, so that the same ones meet again.
#[derive(Debug, Clone, Copy, Arbitrary)]
enum Who {
    A,
    B,
    C,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Piped {
    Stdin,
    Stdout,
    Stderr,
}

impl From<Piped> for Channel {
    fn from(piped: Piped) -> Self {
        match piped {
            Piped::Stdin => Self::Stdin,
            Piped::Stdout => Self::Stdout,
            Piped::Stderr => Self::Stderr,
        }
    }
}

/// The number of a stream.
#[derive(Debug, Clone, Copy, Arbitrary)]
struct Number(u8);

impl Number {
    /// Of a client's own streams.
    fn of_client(self) -> StreamId {
        StreamId(u32::from(self.0 % 4))
    }

    /// Of the guest's: the first that the hub gives out, and some around them.
    fn of_guest(self) -> StreamId {
        StreamId(u32::from(self.0 % 16))
    }
}

/// The last stream that was used before the hub begins.
const BEFORE: u32 = 3;

#[derive(Debug, Arbitrary)]
enum Step {
    Open {
        who: Who,
        stream: Number,
    },
    Grant {
        who: Who,
        stream: Number,
        channel: Piped,
        bytes: u32,
    },
    Client {
        who: Who,
        stream: Number,
        payload: Vec<u8>,
    },
    Leave {
        who: Who,
    },
    Verbatim {
        who: Who,
        stream: Number,
    },
    /// Often more than once: the credit is worth several frames.
    GuestData {
        stream: Number,
        channel: Piped,
        length: u16,
        times: u8,
    },
    GuestExits {
        stream: Number,
    },
    Guest {
        stream: Number,
        payload: Vec<u8>,
    },
}

/// What one command's reader has allowed and got, on one of its channels.
#[derive(Debug)]
struct Account {
    allowed: u64,
    got: u64,
}

type Accounts = HashMap<(u64, u32), [Account; 2]>;

fuzz_target!(|steps: Vec<Step>| {
    let mut hub = Hub::starting_after(StreamId(BEFORE), Veil::default());
    let mut accounts = Accounts::new();
    let mut last_opened = BEFORE;
    for step in steps {
        match step {
            Step::Open { who, stream } => {
                let stream = stream.of_client();
                let frame = control(stream, &exec());
                let Ok(routed) = hub.client_says(client(who), frame) else { continue };
                if let Some(Routed::ToGuest(frame)) = routed {
                    assert!(frame.stream.0 > last_opened, "a stream was used twice");
                    last_opened = frame.stream.0;
                    let fresh = || Account { allowed: u64::from(INITIAL_CREDIT), got: 0 };
                    accounts.insert((client(who).0, stream.0), [fresh(), fresh()]);
                }
            }
            Step::Grant { who, stream, channel, bytes } => {
                let (stream, channel) = (stream.of_client(), Channel::from(channel));
                let frame = control(stream, &HostMessage::Credit { channel, bytes });
                let _ = hub.client_says(client(who), frame);
                if let Some(pair) = accounts.get_mut(&(client(who).0, stream.0)) {
                    pair[index(channel)].allowed += u64::from(bytes);
                }
            }
            Step::Client { who, stream, payload } => {
                // Messages that open streams or grant credit have steps of
                // their own, which keep the accounts.
                let is_counted = matches!(
                    message::parse(StreamId(1), &payload),
                    Ok(HostMessage::Exec(_)
                        | HostMessage::Attach { .. }
                        | HostMessage::Sync
                        | HostMessage::Credit { .. })
                );
                if !is_counted {
                    let body = Body::Control(Bytes::from(payload));
                    let frame = Frame { stream: stream.of_client(), body };
                    let _ = hub.client_says(client(who), frame);
                }
            }
            Step::Leave { who } => {
                let gone = client(who);
                for routed in hub.client_gone(gone) {
                    assert!(matches!(routed, Routed::ToGuest(_)), "an answer to nobody");
                }
                accounts.retain(|(owner, _), _| *owner != gone.0);
            }
            Step::Verbatim { who, stream } => {
                hub.declare_verbatim(client(who), stream.of_client());
            }
            Step::GuestData { stream, channel, length, times } => {
                let payload = Bytes::from(vec![0; usize::from(length)]);
                let body = Body::Data(channel.into(), payload);
                let frame = Frame { stream: stream.of_guest(), body };
                for _ in 0..=times % 16 {
                    if !hear(&mut hub, frame.clone(), &mut accounts) {
                        return;
                    }
                }
            }
            Step::GuestExits { stream } => {
                let end = End::Code { code: 0 };
                let frame =
                    control(stream.of_guest(), &GuestMessage::Exited { end, duration_ms: 1 });
                if !hear(&mut hub, frame, &mut accounts) {
                    return;
                }
            }
            Step::Guest { stream, payload } => {
                let body = Body::Control(Bytes::from(payload));
                let frame = Frame { stream: stream.of_guest(), body };
                if !hear(&mut hub, frame, &mut accounts) {
                    return;
                }
            }
        }
    }
    let under_way = hub.commands(|_| true);
    let told = hub.restored();
    assert!(told.iter().all(|routed| matches!(routed, Routed::ToClient(..))));
    assert!(under_way <= told.len(), "whoever has a command is told that it is lost");
});

/// Whether the guest may go on after this frame.
fn hear(hub: &mut Hub, frame: Frame, accounts: &mut Accounts) -> bool {
    let sent = frame.body.clone();
    let Ok(routed) = hub.guest_says(frame) else { return false };
    assert!(routed.len() <= 1, "nothing is hidden, so nothing is cut");
    let Some(Routed::ToClient(client, frame)) = routed.into_iter().next() else { return true };
    assert_eq!(frame.body, sent, "what a client gets is what the guest sent");
    let key = (client.0, frame.stream.0);
    let pair = accounts.get_mut(&key).expect("a client that opened this stream");
    match &frame.body {
        Body::Data(channel, bytes) => {
            let account = &mut pair[index(*channel)];
            account.got += bytes.len() as u64;
            assert!(account.got <= account.allowed, "more than the client has room for");
        }
        Body::Control(payload) => {
            let message: GuestMessage =
                message::parse(frame.stream, payload).expect("the hub has understood it");
            if matches!(
                message,
                GuestMessage::Exited { .. } | GuestMessage::Done | GuestMessage::Refused { .. }
            ) {
                accounts.remove(&key);
            }
        }
    }
    true
}

fn client(who: Who) -> ClientId {
    ClientId(match who {
        Who::A => 1,
        Who::B => 2,
        Who::C => 3,
    })
}

/// Where a channel's account is; what a guest calls input counts as output.
fn index(channel: Channel) -> usize {
    match channel {
        Channel::Stdin | Channel::Stdout => 0,
        Channel::Stderr => 1,
    }
}

fn control<M: serde::Serialize>(stream: StreamId, message: &M) -> Frame {
    message::control(stream, message).expect("a short message")
}

fn exec() -> HostMessage {
    HostMessage::Exec(Exec {
        argv: vec!["true".to_owned()],
        cwd: "/".to_owned(),
        ..Exec::default()
    })
}
