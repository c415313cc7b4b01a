//! A stream that holds debris, and a host that comes again.

use std::fs;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use guest_protocol::epoch::{BOOT_TOKEN, opening};
use guest_protocol::frame::{Body, Channel, Frame, encode};
use guest_protocol::message::{End, GuestMessage, HostMessage, Refusal, parse};

use crate::client::{Client, Hold, command, reading, shell};

#[test]
fn debris_before_the_first_epoch_is_ignored() {
    let mut client = Client::silent(Hold::ProcessGroups);
    client.raw(&[0x01; 5000]);
    client.raw(&BOOT_TOKEN[..20]);
    client.open_epoch(1);
    assert_eq!(client.run(command(&["true"])).end(), End::Code { code: 0 });
}

#[test]
fn an_epoch_opens_in_the_middle_of_a_frame_and_ends_older_streams() {
    for hold in Hold::available() {
        let mut client = Client::new(hold);
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().display();
        let script = format!("yes | head -c 5000000; echo whole > {path}; sleep 0.2; echo more");
        let id = client.start(reading(shell(&script)));
        // What the agent has not taken up when the epoch opens never runs.
        assert!(matches!(client.on(id), Body::Control(_)));
        client.request(&HostMessage::Sync);
        let mut torn = BytesMut::new();
        let body = Body::Data(Channel::Stdin, vec![1; 5000].into());
        encode(&Frame { stream: id, body }, &mut torn);
        client.raw(&torn[..3000]);
        client.open_epoch(2);
        // Ids start again, and nothing of the older streams is heard.
        let outcome = client.run(shell("sleep 0.6; echo new"));
        assert_eq!((outcome.end(), outcome.stdout), (End::Code { code: 0 }, b"new\n".to_vec()));
        assert!(client.early.is_empty(), "{:?}", client.early);
        // The older command neither died nor blocked on output nobody wants.
        let start = Instant::now();
        while fs::read(file.path()).unwrap() != b"whole\n" {
            assert!(start.elapsed() < Duration::from_secs(10));
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn an_epoch_that_never_began_can_be_opened_again() {
    let mut client = Client::silent(Hold::ProcessGroups);
    client.knock(&[7; 32]);
    client.begin("bad name", [9; 32]);
    let (stream, body) = client.receive();
    let Body::Control(payload) = body else { panic!("data") };
    let answer: GuestMessage = parse(stream, &payload).unwrap();
    assert!(matches!(answer, GuestMessage::Refused { reason: Refusal::Failed, .. }), "{answer:?}");
    let id = client.start(command(&["true"]));
    assert_eq!(client.finish(id).refusal(), Refusal::Unsupported);
    client.open_epoch(3);
    client.open_epoch(4);
    assert_eq!(client.run(command(&["true"])).end(), End::Code { code: 0 });
}

#[test]
fn a_stale_token_opens_nothing() {
    let mut client = Client::new(Hold::ProcessGroups);
    client.raw(&opening(&BOOT_TOKEN, &[5; 32]));
    // These bytes are no frame, so the epoch falls silent; the next one works.
    client.open_epoch(2);
    assert_eq!(client.run(command(&["true"])).end(), End::Code { code: 0 });
}

#[test]
fn what_nobody_reads_does_not_hold_up_the_next_epoch() {
    let mut client = Client::new(Hold::ProcessGroups);
    for _ in 0..16 {
        client.start(command(&["yes"]));
    }
    std::thread::sleep(Duration::from_millis(300));
    client.open_epoch(2);
    assert_eq!(client.run(command(&["true"])).end(), End::Code { code: 0 });
    assert!(client.early.is_empty(), "{:?}", client.early);
}
