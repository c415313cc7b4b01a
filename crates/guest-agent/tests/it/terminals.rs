//! Commands on terminals.

use guest_protocol::frame::{Body, StreamId};
use guest_protocol::message::{End, Exec, GuestMessage, HostMessage, TerminalSize, parse};

use crate::client::{Client, Hold, command, shell};

const SIZE: TerminalSize = TerminalSize { columns: 80, rows: 24 };

fn on_terminal(exec: Exec) -> Exec {
    Exec { terminal: Some(SIZE), ..exec }
}

/// Reads until the output holds `word`.
fn until(client: &mut Client, id: StreamId, word: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(word) {
        match client.on(id) {
            Body::Data(channel, bytes) => {
                seen.push_str(&String::from_utf8_lossy(&bytes));
                let bytes = u32::try_from(bytes.len()).expect("frames are bounded");
                client.say(id, &HostMessage::Credit { channel, bytes });
            }
            Body::Control(payload) => {
                let message: GuestMessage = parse(id, &payload).expect("a message");
                assert!(!matches!(message, GuestMessage::Exited { .. }), "{seen:?} {message:?}");
            }
        }
    }
    seen
}

#[test]
fn a_command_has_a_controlling_terminal_of_the_given_size_and_its_last_words_arrive() {
    for hold in Hold::available() {
        let mut client = Client::new(hold);
        let script = "tty; : < /dev/tty && echo controlling; stty size; \
                      test -t 0 -a -t 1 -a -t 2; echo last=$?";
        let outcome = client.run(on_terminal(shell(script)));
        assert_eq!(outcome.end(), End::Code { code: 0 });
        let text = String::from_utf8(outcome.stdout).unwrap();
        assert!(text.starts_with("/dev/pts/"), "{text}");
        assert!(text.contains("controlling"), "{text}");
        assert!(text.ends_with("24 80\r\nlast=0\r\n"), "{text}");
        assert!(outcome.stderr.is_empty());
    }
}

#[test]
fn it_can_be_resized_and_a_signal_reaches_the_foreground_job() {
    let mut client = Client::new(Hold::ProcessGroups);
    let bash = ["bash", "--norc", "--noprofile", "-i"];
    let id = client.start(on_terminal(command(&bash)));
    client.data(id, b"stty size; echo ready$((1))\n");
    assert!(until(&mut client, id, "ready1").contains("24 80"));
    client.say(id, &HostMessage::Resize(TerminalSize { columns: 132, rows: 50 }));
    client.data(id, b"stty size; echo ready$((2))\n");
    assert!(until(&mut client, id, "ready2").contains("50 132"));
    // The job has a process group of its own, which the shell's leader is not in.
    client.data(id, b"echo job$((1)); sleep 100; echo after=$?\n");
    until(&mut client, id, "job1");
    std::thread::sleep(std::time::Duration::from_millis(200));
    client.say(id, &HostMessage::Signal { number: 2 });
    client.data(id, b"echo alive$((1))\n");
    until(&mut client, id, "alive1");
    client.data(id, b"exit 9\n");
    assert_eq!(client.finish(id).end(), End::Code { code: 9 });
}

#[test]
fn lines_of_any_length_pass_a_terminal_that_is_not_in_line_mode() {
    let mut client = Client::new(Hold::ProcessGroups);
    let script = "stty raw -echo; echo ready; head -c 100000 | wc -c";
    let id = client.start(on_terminal(shell(script)));
    until(&mut client, id, "ready");
    let outcome = client.feed(id, &[b'x'; 100_000]);
    assert_eq!(outcome.end(), End::Code { code: 0 });
    assert_eq!(String::from_utf8(outcome.stdout).unwrap().trim(), "100000");
}

#[test]
fn a_kept_shell_keeps_its_terminal() {
    let mut client = Client::new(Hold::ProcessGroups);
    let exec = on_terminal(command(&["bash", "--norc", "--noprofile", "-i"]));
    let id = client.start(Exec { keep: Some("shell".into()), ..exec });
    client.data(id, b"X=kept; echo ready$((1))\n");
    until(&mut client, id, "ready1");
    client.open_epoch(2);
    let id = client.request(&HostMessage::Attach { name: "shell".into() });
    client.data(id, b"echo still-$X\n");
    until(&mut client, id, "still-kept");
    client.data(id, b"exit\n");
    assert_eq!(client.finish(id).end(), End::Code { code: 0 });
}
