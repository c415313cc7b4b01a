//! The guest's side of the network on real machines: what programs see, and that
//! nothing passes without the host.

use std::io::{Read, Write};
use std::process::{Child, Stdio};

use bytes::BytesMut;
use guest_protocol::TOOLS_PATH;
use guest_protocol::egress::{DAEMON, GuestMessage, HostMessage, PIPE, decode, encode};

use crate::support::*;

/// The daemon in a guest, and this test in the place of its host.
struct Daemon {
    process: Child,
    buffer: BytesMut,
}

impl Daemon {
    fn start(workspace: &TestWorkspace) -> Self {
        let mut command = workspace.exec_command(&[], &[TOOLS_PATH, DAEMON]);
        let process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut daemon = Self { process, buffer: BytesMut::new() };
        daemon.tell(&HostMessage::Configure { authorities: 0 }, &[]);
        assert_eq!(daemon.hear().0, GuestMessage::Ready { bundle: None });
        daemon
    }

    fn tell(&mut self, message: &HostMessage, body: &[u8]) {
        self.process.stdin.as_mut().unwrap().write_all(&encode(message, body)).unwrap();
    }

    fn hear(&mut self) -> (GuestMessage, Vec<u8>) {
        loop {
            if let Some((message, body)) = decode(&mut self.buffer).unwrap() {
                return (message, body.to_vec());
            }
            let mut chunk = [0; 4096];
            let length = self.process.stdout.as_mut().unwrap().read(&mut chunk).unwrap();
            assert_ne!(length, 0, "the daemon ended");
            self.buffer.extend_from_slice(&chunk[..length]);
        }
    }

    /// Refuses the next connection; says where it was going.
    fn refuse_next(&mut self) -> String {
        loop {
            if let (GuestMessage::Connection { id, to }, _) = self.hear() {
                self.tell(&HostMessage::Refuse { id }, &[]);
                return to.to_string();
            }
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Connects in the background; the exit code lands in a file.
fn connect(workspace: &TestWorkspace, address: &str, port: u16) -> Child {
    let script = format!("exec 3<>/dev/tcp/{address}/{port} && read -t 60 -u 3 line");
    let mut command = workspace.exec_command(&[], &["bash", "-c", &script]);
    command.stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn every_connection_is_asked_for_by_its_address_and_reset_when_refused() {
    let workspace = TestWorkspace::create(&[]);
    let mut daemon = Daemon::start(&workspace);
    for (address, port, asked) in [
        ("93.184.216.34", 443, "93.184.216.34:443"),
        ("169.254.169.254", 80, "169.254.169.254:80"),
        ("10.0.0.1", 15001, "10.0.0.1:15001"),
        ("2606:4700::1111", 80, "[2606:4700::1111]:80"),
        ("64:ff9b::7f00:1", 80, "[64:ff9b::7f00:1]:80"),
        // Other ways to write the same address.
        ("0x5db8d822", 80, "93.184.216.34:80"),
        ("1572395042", 80, "93.184.216.34:80"),
    ] {
        let program = connect(&workspace, address, port);
        assert_eq!(daemon.refuse_next(), asked);
        let output = program.wait_with_output().unwrap();
        assert_ne!(output.status.code(), Some(0), "{address}");
    }
}

#[test]
fn names_are_asked_of_the_host_whatever_server_a_program_asks() {
    let workspace = TestWorkspace::create(&[]);
    let mut daemon = Daemon::start(&workspace);
    let mut lookup = workspace.exec_command(&[], &["getent", "ahostsv4", "example.org"]);
    let lookup = lookup.stdout(Stdio::piped()).spawn().unwrap();
    let (message, question) = daemon.hear();
    let GuestMessage::Question { id, .. } = message else { panic!("{message:?}") };
    let name = b"\x07example\x03org\0";
    assert!(question.windows(name.len()).any(|part| part == name));
    // The question itself with an address behind it.
    let mut answer = question[..12].to_vec();
    answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
    answer.extend(&question[12..12 + name.len() + 4]);
    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 198, 18, 1, 0]);
    daemon.tell(&HostMessage::Answer { id, length: answer.len() }, &answer);
    let output = lookup.wait_with_output().unwrap();
    assert!(text(&output.stdout).contains("198.18.1.0"), "{}", text(&output.stdout));
}

#[test]
fn datagrams_and_echoes_are_refused_at_once() {
    let workspace = TestWorkspace::create(&[]);
    let _daemon = Daemon::start(&workspace);
    let quic = "exec 3<>/dev/udp/93.184.216.34/443; echo x >&3 && echo x >&3";
    assert_ne!(workspace.exec(&[], &["bash", "-c", quic]).status.code(), Some(0));
    let interfaces = workspace.script("ls /sys/class/net; cat /proc/net/route");
    assert!(interfaces.contains("hotcell0"), "{interfaces}");
}

#[test]
fn a_killed_daemon_lets_nothing_pass_and_a_stopped_one_leaves_no_route() {
    let workspace = TestWorkspace::create(&[]);
    let daemon = Daemon::start(&workspace);
    workspace.script("pkill -KILL -x tools; sleep 0.2");
    drop(daemon);
    let refused = workspace.exec(&[], &["bash", "-c", "exec 3<>/dev/tcp/93.184.216.34/80"]);
    assert!(text(&refused.stderr).contains("refused"), "{}", text(&refused.stderr));
    // Another one takes over what the first left, and removes all of it.
    let mut daemon = Daemon::start(&workspace);
    daemon.tell(&HostMessage::Stop, &[]);
    assert!(daemon.process.wait().unwrap().success());
    let unreachable = workspace.exec(&[], &["bash", "-c", "exec 3<>/dev/tcp/93.184.216.34/80"]);
    assert!(text(&unreachable.stderr).contains("unreachable"), "{}", text(&unreachable.stderr));
    assert_eq!(workspace.script("ls /sys/class/net").trim(), "lo");
}

#[test]
fn an_answer_ends_when_its_host_says_so_and_is_broken_otherwise() {
    let workspace = TestWorkspace::create(&[]);
    let mut daemon = Daemon::start(&workspace);
    for (sent, ending) in [(&b"\x02\0hi\0\0"[..], "whole"), (b"\x02\0hi", "reset by peer")] {
        let script = "exec 3<>/dev/tcp/93.184.216.34/80; cat <&3 && echo whole";
        let mut program = workspace.exec_command(&[], &["bash", "-c", script]);
        let program = program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (GuestMessage::Connection { id, .. }, _) = daemon.hear() else { panic!() };
        let pipe = workspace.exec_command(&[], &[TOOLS_PATH, PIPE, &id.to_string()]);
        let _carried = with_input(pipe, sent.to_vec());
        let output = program.wait_with_output().unwrap();
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(said.contains(ending), "{said}");
        if ending == "whole" {
            assert_eq!(said, "hiwhole\n");
        }
    }
}

#[test]
fn another_user_of_the_guest_cannot_fetch_a_waiting_connection() {
    let workspace = TestWorkspace::create(&[]);
    let mut daemon = Daemon::start(&workspace);
    let program = connect(&workspace, "93.184.216.34", 80);
    let (GuestMessage::Connection { id, .. }, _) = daemon.hear() else { panic!("no connection") };
    let script = format!("setpriv --reuid 1000 {TOOLS_PATH} egress-pipe {id}");
    let thief = workspace.exec(&[], &["sh", "-c", &script]);
    assert_code(&thief, 1);
    assert!(text(&thief.stderr).contains("Permission denied"), "{}", text(&thief.stderr));
    daemon.tell(&HostMessage::Refuse { id }, &[]);
    program.wait_with_output().unwrap();
}
