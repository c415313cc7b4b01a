//! Commands that are kept across epochs.

use guest_protocol::frame::{Body, Channel, StreamId};
use guest_protocol::message::{End, Exec, GuestMessage, HostMessage, Refusal, parse};

use crate::client::{Client, Hold, reading, shell};

fn kept(name: &str, exec: Exec) -> Exec {
    Exec { keep: Some(name.to_owned()), ..exec }
}

fn attach(client: &mut Client, name: &str) -> StreamId {
    client.request(&HostMessage::Attach { name: name.to_owned() })
}

fn started(client: &mut Client, id: StreamId) -> u32 {
    let Body::Control(payload) = client.on(id) else { panic!("data before the start") };
    match parse(id, &payload).expect("a message") {
        GuestMessage::Started { pid } => pid,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_kept_command_goes_on_in_the_next_epoch_and_loses_nothing_but_what_was_under_way() {
    for hold in Hold::available() {
        let mut client = Client::new(hold);
        let id = client.start(kept("job", reading(shell("echo one; cat; echo two; exit 5"))));
        let pid = started(&mut client, id);
        let Body::Data(Channel::Stdout, bytes) = client.on(id) else { panic!("no output") };
        assert_eq!(&bytes[..], b"one\n");
        client.data(id, b"before ");
        client.open_epoch(2);
        let id = attach(&mut client, "job");
        assert_eq!(started(&mut client, id), pid, "the same process");
        let outcome = client.feed(id, b"after\n");
        assert_eq!(outcome.end(), End::Code { code: 5 });
        let text = String::from_utf8(outcome.stdout).unwrap();
        // The echo of "before" may have been on its way when the epoch began.
        assert!(text == "before after\ntwo\n" || text == "after\ntwo\n", "{text}");
    }
}

#[test]
fn what_a_kept_command_writes_unheard_waits_and_so_does_its_end() {
    let mut client = Client::new(Hold::ProcessGroups);
    let script = "read line; yes | head -c 300000; echo end >&2; exit 3";
    let id = client.start(kept("job", reading(shell(script))));
    started(&mut client, id);
    client.open_epoch(2);
    client.open_epoch(3);
    let id = attach(&mut client, "job");
    started(&mut client, id);
    let outcome = client.feed(id, b"go\n");
    assert_eq!(outcome.end(), End::Code { code: 3 });
    assert_eq!(outcome.stdout.len(), 300_000);
    assert_eq!(outcome.stderr, b"end\n");

    let id = client.start(kept("short", shell("sleep 0.1; echo done; exit 4")));
    started(&mut client, id);
    client.open_epoch(4);
    std::thread::sleep(std::time::Duration::from_millis(400));
    let id = attach(&mut client, "short");
    let outcome = client.finish(id);
    assert_eq!((outcome.end(), outcome.stdout), (End::Code { code: 4 }, b"done\n".to_vec()));
    // It was told once, and is gone.
    let id = attach(&mut client, "short");
    assert_eq!(client.finish(id).refusal(), Refusal::NotKept);
}

#[test]
fn a_name_is_used_by_one_command_and_heard_by_one_host_at_a_time() {
    let mut client = Client::new(Hold::ProcessGroups);
    let first = client.start(kept("job", shell("sleep 100")));
    started(&mut client, first);
    let second = client.start(kept("job", shell("true")));
    assert_eq!(client.finish(second).refusal(), Refusal::Unsupported);
    let third = attach(&mut client, "job");
    assert_eq!(client.finish(third).refusal(), Refusal::NotKept);
    client.open_epoch(2);
    let id = attach(&mut client, "job");
    started(&mut client, id);
    client.say(id, &HostMessage::Kill);
    assert_eq!(client.finish(id).end(), End::Killed);
    let again = client.start(kept("job", shell("true")));
    assert_eq!(client.finish(again).end(), End::Code { code: 0 });
}
