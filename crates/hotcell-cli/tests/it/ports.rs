//! Ports of a workspace, reached from this host as its users reach them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Output;

use serde_json::Value;

use crate::support::*;

fn port(workspace: &TestWorkspace, verb: &str, arguments: &[&str]) -> Output {
    hotcell().args(["--json", "port", verb, &workspace.id]).args(arguments).output().unwrap()
}

fn publish(workspace: &TestWorkspace, mapping: &str) -> u16 {
    let output = port(workspace, "publish", &[mapping]);
    assert_code(&output, 0);
    u16::try_from(json(&output)["host_port"].as_u64().unwrap()).unwrap()
}

fn listed(workspace: &TestWorkspace) -> Value {
    json(&port(workspace, "list", &[]))["ports"].take()
}

/// Sends all of `question`, says that this was it, and reads to the end.
fn ask(host_port: u16, question: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut connection = TcpStream::connect(("127.0.0.1", host_port))?;
    let mut sending = connection.try_clone()?;
    let question = question.to_vec();
    let sender = std::thread::spawn(move || {
        sending.write_all(&question)?;
        sending.shutdown(Shutdown::Write)
    });
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer)?;
    sender.join().unwrap()?;
    Ok(answer)
}

/// Answers each connection with what it was sent, once it has all of it.
const ECHO: &str = r#"
use IO::Socket::INET;
my $server = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => $ARGV[0],
    Listen => 64, ReuseAddr => 1) or die;
$SIG{CHLD} = "IGNORE";
while (my $client = $server->accept) {
    next if fork;
    my $all = join "", <$client>;
    print $client $all;
    exit;
}
"#;

fn start_echo(workspace: &TestWorkspace, guest_port: &str) {
    let mut start = hotcell();
    start.args(["command", "start", &workspace.id, "--", "perl", "-e", ECHO, guest_port]);
    assert_code(&start.output().unwrap(), 0);
}

#[test]
fn a_published_port_leads_to_the_guests_loopback_without_any_network() {
    let workspace = TestWorkspace::create(&[]);
    let host_port = publish(&workspace, "8000");
    // Nothing listens there yet: that is no answer, and said so.
    assert!(ask(host_port, b"too early").is_err());
    start_echo(&workspace, "8000");
    let mut question = vec![0; 3_000_000];
    question.iter_mut().enumerate().for_each(|(i, byte)| *byte = u8::try_from(i % 251).unwrap());
    eventually("the server answers", || ask(host_port, b"hello").is_ok_and(|a| a == b"hello"));
    assert_eq!(ask(host_port, &question).unwrap(), question);
    let many: Vec<_> = (0..12_u8)
        .map(|number| std::thread::spawn(move || ask(host_port, &[number; 70_000])))
        .collect();
    for (number, asked) in (0..).zip(many) {
        assert_eq!(asked.join().unwrap().unwrap(), [number; 70_000]);
    }
    // Connections are no commands of anybody's.
    let mut idle = TcpStream::connect(("127.0.0.1", host_port)).unwrap();
    eventually("it is open", || listed(&workspace)[0]["open_connections"] == 1);
    assert_eq!(workspace.status()["activity"]["running_commands"], 1, "the server itself");

    // Publishing it again is no change, and another port of the host is one.
    assert_eq!(publish(&workspace, "8000"), host_port);
    assert_code(&port(&workspace, "publish", &[&format!("8000:{}", host_port ^ 1)]), 114);
    let ended = port(&workspace, "unpublish", &["8000"]);
    assert_code(&ended, 0);
    assert_eq!(json(&ended)["host_port"], host_port);
    assert!(idle.read(&mut [0]).is_err(), "an open connection is reset");
    eventually("nobody listens", || TcpStream::connect(("127.0.0.1", host_port)).is_err());
    assert_eq!(listed(&workspace).as_array().unwrap().len(), 0);
    assert_code(&port(&workspace, "unpublish", &["8000"]), 113);

    let logs = hotcell().args(["workspace", "logs", &workspace.id]).output().unwrap();
    let logs = text(&logs.stdout);
    assert!(logs.contains("port_published") && logs.contains("port_unpublished"), "{logs}");
}

#[test]
fn a_published_port_comes_back_after_a_reset_and_after_a_start() {
    let workspace = TestWorkspace::create(&[]);
    let host_port = publish(&workspace, "7");
    let power = |verb: &str| {
        assert_code(&hotcell().args(["workspace", verb, &workspace.id]).output().unwrap(), 0);
    };
    let answers = || {
        start_echo(&workspace, "7");
        eventually("it answers", || ask(host_port, b"hi").is_ok_and(|answer| answer == b"hi"));
    };
    answers();
    power("reset");
    answers();
    power("stop");
    assert!(TcpStream::connect(("127.0.0.1", host_port)).is_err());
    assert_eq!(listed(&workspace)[0]["closed"], "the workspace is stopped");
    // Somebody else takes it meanwhile: the workspace starts all the same.
    let taken = TcpListener::bind(("127.0.0.1", host_port)).unwrap();
    power("start");
    let seen = listed(&workspace);
    assert!(seen[0]["closed"].as_str().unwrap().contains(&host_port.to_string()), "{seen}");
    drop(taken);
    assert_eq!(publish(&workspace, "7"), host_port);
    answers();
    power("stop");
    power("start");
    answers();
}

#[test]
fn ports_that_cannot_be_had_are_refused_and_nothing_changes() {
    let workspace = TestWorkspace::create(&[]);
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("80:{}", held.local_addr().unwrap().port());
    for (mapping, code) in [("0", 2), ("80:70000", 2), ("web", 2), (&taken, 114)] {
        assert_code(&port(&workspace, "publish", &[mapping]), code);
    }
    assert_eq!(listed(&workspace).as_array().unwrap().len(), 0);
}
