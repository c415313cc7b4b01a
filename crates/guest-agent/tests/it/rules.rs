//! What a host may not do, and that the agent survives it.

use guest_protocol::frame::{Body, Channel, Frame, INITIAL_CREDIT, StreamId};
use guest_protocol::message::{End, HostMessage, Refusal};

use crate::client::{Client, Hold, command, reading, shell};

fn works(client: &mut Client) {
    assert_eq!(client.run(command(&["true"])).end(), End::Code { code: 0 });
}

#[test]
fn an_id_is_used_once() {
    let mut client = Client::new(Hold::ProcessGroups);
    let id = client.start(shell("exit 1"));
    client.finish(id);
    client.say(id, &HostMessage::Exec(command(&["true"])));
    assert_eq!(client.finish(id).refusal(), Refusal::Unsupported);
    // Late words for a stream that has ended are no offence.
    client.say(id, &HostMessage::Kill);
    client.say(id, &HostMessage::StdinClosed);
    client.data(id, b"late");
    client.say(StreamId(40), &HostMessage::Exec(command(&["true"])));
    assert_eq!(client.finish(StreamId(40)).end(), End::Code { code: 0 });
    client.say(StreamId(39), &HostMessage::Exec(command(&["true"])));
    assert_eq!(client.finish(StreamId(39)).refusal(), Refusal::Unsupported);
    client.begin("again", [1; 32]);
    assert_eq!(client.finish(StreamId::EPOCH).refusal(), Refusal::Unsupported);
}

#[test]
fn a_stream_is_opened_by_a_request_only() {
    let mut client = Client::new(Hold::ProcessGroups);
    for message in [HostMessage::Kill, HostMessage::StdinClosed] {
        let id = client.request(&message);
        assert_eq!(client.finish(id).refusal(), Refusal::Unsupported);
    }
    let id = client.next_id();
    client.data(id, b"data");
    assert_eq!(client.finish(id).refusal(), Refusal::Unsupported);
    let id = client.next_id();
    let body = Body::Control(b"{\"type\":\"exec\"".as_slice().into());
    client.send(&Frame { stream: id, body });
    assert_eq!(client.finish(id).refusal(), Refusal::Unsupported);
    works(&mut client);
}

#[test]
fn nonsense_on_a_running_command_ends_its_stream_and_its_tree() {
    let mut client = Client::new(Hold::ProcessGroups);
    let long = || reading(shell("sleep 60"));
    let control = |text: &'static [u8]| Body::Control(text.into());
    let nonsense: [fn(&mut Client, StreamId); 4] = [
        |client, id| {
            for _ in 0..=INITIAL_CREDIT / 16384 {
                client.data(id, &[0; 32768]);
            }
        },
        |client, id| client.say(id, &HostMessage::Signal { number: 65 }),
        |client, id| client.say(id, &HostMessage::Sync),
        |client, id| {
            client.say(id, &HostMessage::StdinClosed);
            client.data(id, b"after the end");
        },
    ];
    for offend in nonsense {
        let id = client.start(long());
        offend(&mut client, id);
        if !matches!(client.finish(id).refusal(), Refusal::Unsupported) {
            panic!("refused for another reason");
        }
    }
    for body in [control(b"what"), Body::Data(Channel::Stdout, b"x".as_slice().into())] {
        let id = client.start(long());
        client.send(&Frame { stream: id, body });
        assert_eq!(client.finish(id).refusal(), Refusal::Unsupported);
    }
    works(&mut client);
}

#[test]
fn bytes_that_are_no_frames_silence_the_epoch_and_nothing_else() {
    let mut client = Client::new(Hold::ProcessGroups);
    let mut seed = 1u64;
    for round in 2..12 {
        let mut bytes = Vec::new();
        while bytes.len() < 20_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            bytes.extend_from_slice(&seed.to_be_bytes());
        }
        client.raw(&bytes);
        client.raw(&[0; 9]);
        client.open_epoch(round);
        works(&mut client);
    }
}

#[test]
fn there_is_a_limit_of_open_streams() {
    let mut client = Client::new(Hold::ProcessGroups);
    let ids: Vec<_> = (0..1024).map(|_| client.start(reading(command(&["cat"])))).collect();
    let one_more = client.start(command(&["true"]));
    assert_eq!(client.finish(one_more).refusal(), Refusal::Exhausted);
    for id in ids {
        client.say(id, &HostMessage::StdinClosed);
        assert_eq!(client.finish(id).end(), End::Code { code: 0 });
    }
    works(&mut client);
}

#[test]
fn a_host_that_asks_and_never_listens_cannot_fill_the_memory() {
    let mut client = Client::new(Hold::ProcessGroups);
    for _ in 0..60_000 {
        client.request(&HostMessage::Kill);
    }
    client.open_epoch(2);
    works(&mut client);
}
