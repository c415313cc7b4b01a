//! What commands may do, and what the host hears of it.

use std::fs;
use std::time::{Duration, Instant};

use guest_protocol::frame::{Body, Channel};
use guest_protocol::message::{self, End, Exec, GuestMessage, HostMessage, Leftovers, Refusal};

use crate::client::{Client, Hold, command, reading, shell, within};

fn exited(code: u8) -> End {
    End::Code { code }
}

/// Whether the process is there and no zombie.
fn lives(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    !status.is_empty() && !status.contains(") Z ")
}

fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < Duration::from_secs(10), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_command_ends_by_its_code_or_its_signal() {
    for hold in Hold::available() {
        let mut client = Client::new(hold);
        let outcome = client.run(shell("echo out; echo err >&2; exit 7"));
        assert_eq!(outcome.end(), exited(7));
        assert_eq!(outcome.stdout, b"out\n");
        assert_eq!(outcome.stderr, b"err\n");
        assert!(matches!(outcome.messages[0], GuestMessage::Started { pid } if pid > 0));
        assert_eq!(client.run(command(&["true"])).end(), exited(0));
        assert_eq!(client.run(shell("kill -TERM $$")).end(), End::Signal { number: 15 });
        assert_eq!(client.run(shell("kill -KILL $$")).end(), End::Signal { number: 9 });
    }
}

#[test]
fn a_command_sees_its_environment_and_directory_and_nothing_of_the_agent() {
    let mut client = Client::new(Hold::ProcessGroups);
    let exec = Exec {
        env: [("A".into(), "ü \n".into()), ("HOME".into(), "/tmp".into())].into(),
        cwd: "/usr".into(),
        ..command(&["env", "-0"])
    };
    let text = String::from_utf8(client.run(exec.clone()).stdout).unwrap();
    let mut lines: Vec<&str> = text.split_terminator('\0').collect();
    lines.sort_unstable();
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(lines, ["A=ü \n", "HOME=/tmp", "LANG=C.UTF-8", path, "USER=root"]);
    let script = "pwd; ps -o sid= -o pgid= -p $$; echo $$; cat /proc/self/oom_score_adj;
        grep -E 'SigIgn|SigBlk' /proc/self/status";
    let outcome = client.run(Exec { argv: shell(script).argv, ..exec });
    let text = String::from_utf8(outcome.stdout).unwrap();
    let words: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(words[0], "/usr", "{text}");
    assert_eq!([words[1], words[2]], [words[3]; 2], "{text}");
    assert_eq!(words[4..6], ["0", "SigBlk:"], "{text}");
    assert_eq!(u64::from_str_radix(words[6], 16), Ok(0), "{text}");
    // Whoever runs the tests may ignore signals; SIGPIPE the agent itself does.
    let ignored = u64::from_str_radix(words[8], 16).unwrap();
    assert_eq!(ignored & (1 << 12), 0, "{text}");
}

#[test]
fn what_cannot_start_is_refused_for_the_right_reason() {
    let mut client = Client::new(Hold::ProcessGroups);
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("plain"), "no program").unwrap();
    fs::write(path("text"), "no magic").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(path("text"), mode).unwrap();
    let at = |cwd: &str| Exec { cwd: cwd.into(), ..command(&["true"]) };
    for (exec, reason) in [
        (command(&["no-such-program"]), Refusal::CommandNotFound),
        (command(&["/no/such/program"]), Refusal::CommandNotFound),
        (command(&[""]), Refusal::CommandNotFound),
        (command(&["/etc/passwd/x"]), Refusal::CommandNotFound),
        (command(&[&path("plain")]), Refusal::NotExecutable),
        (command(&[&path("text")]), Refusal::NotExecutable),
        (command(&["/usr"]), Refusal::NotExecutable),
        (command(&[]), Refusal::Unsupported),
        (command(&["a\0b"]), Refusal::Unsupported),
        (at("/no/such/directory"), Refusal::BadWorkingDirectory),
        (at("/etc/passwd"), Refusal::BadWorkingDirectory),
        (at(""), Refusal::BadWorkingDirectory),
    ] {
        assert_eq!(client.run(exec.clone()).refusal(), reason, "{exec:?}");
    }
}

#[test]
fn ten_megabytes_go_both_ways_unchanged() {
    let mut client = Client::new(Hold::ProcessGroups);
    let bytes: Vec<u8> =
        (0u32..2_500_000).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let id = client.start(reading(shell("tee /dev/stderr")));
    let outcome = client.feed(id, &bytes);
    assert_eq!(outcome.end(), exited(0));
    assert!(outcome.stdout == bytes, "stdout has {} bytes", outcome.stdout.len());
    assert!(outcome.stderr == bytes, "stderr has {} bytes", outcome.stderr.len());
}

#[test]
fn many_run_at_once_and_a_flood_delays_nobody() {
    for hold in Hold::available() {
        let mut client = Client::new(hold);
        let start = Instant::now();
        let flood = client.start(command(&["yes"]));
        let ids: Vec<_> = (0..32)
            .map(|n| client.start(shell(&format!("sleep 0.5; echo {n}; exit {n}"))))
            .collect();
        for (n, id) in (0..).zip(ids) {
            let outcome = client.finish(id);
            assert_eq!(outcome.end(), exited(n));
            assert_eq!(outcome.stdout, format!("{n}\n").as_bytes());
        }
        assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
        client.say(flood, &HostMessage::Kill);
        assert_eq!(client.finish(flood).end(), End::Killed);
    }
}

#[test]
fn no_more_is_sent_than_was_granted() {
    let mut client = Client::new(Hold::ProcessGroups);
    let id = client.start(shell("head -c 1000000 /dev/zero"));
    let mut got = 0;
    while got < 256 * 1024 {
        if let Body::Data(Channel::Stdout, bytes) = client.on(id) {
            got += bytes.len();
        }
    }
    assert_eq!(got, 256 * 1024);
    // The next thing said is the answer to another request: the stream is silent.
    let other = client.run(shell("sleep 0.2"));
    assert_eq!(other.end(), exited(0));
    assert!(client.early.get(&id).is_none_or(Vec::is_empty));
    client.say(id, &HostMessage::Credit { channel: Channel::Stdout, bytes: u32::MAX });
    client.say(id, &HostMessage::Credit { channel: Channel::Stdout, bytes: u32::MAX });
    let rest = client.finish(id);
    assert_eq!(rest.stdout.len(), 1_000_000 - 256 * 1024);
}

#[test]
fn a_time_limit_keeps_what_was_said_and_kills_the_tree() {
    for hold in Hold::available() {
        let mut client = Client::new(hold);
        let outcome = client.run(within(300, shell("sleep 60 & echo $!; wait; echo never")));
        assert_eq!(outcome.end(), End::TimedOut);
        let child = String::from_utf8(outcome.stdout).unwrap();
        wait_until("the tree is dead", || !lives(&child));
        assert_eq!(client.run(within(10_000, shell("exit 3"))).end(), exited(3));
        assert_eq!(client.run(within(u64::MAX, shell("exit 4"))).end(), exited(4));
    }
}

#[test]
fn kill_reaches_a_tree_that_hides_in_its_own_session() {
    for hold in Hold::available() {
        let mut client = Client::new(hold);
        let id = client.start(shell("setsid sleep 60 & echo $!; wait"));
        let pid = loop {
            if let Body::Data(_, bytes) = client.on(id) {
                break String::from_utf8(bytes.to_vec()).unwrap();
            }
        };
        client.say(id, &HostMessage::Kill);
        assert_eq!(client.finish(id).end(), End::Killed);
        match hold {
            Hold::Cgroups => wait_until("the tree is dead", || !lives(&pid)),
            Hold::ProcessGroups => {
                client.run(command(&["kill", pid.trim()]));
            }
        }
    }
}

#[test]
fn signals_reach_the_group_and_the_command_decides() {
    let mut client = Client::new(Hold::ProcessGroups);
    let id = client.start(shell("trap 'echo got; exit 5' USR1; echo ready; sleep 60 & wait"));
    while !matches!(client.on(id), Body::Data(..)) {}
    client.say(id, &HostMessage::Signal { number: 10 });
    let outcome = client.finish(id);
    assert_eq!((outcome.end(), outcome.stdout), (exited(5), b"got\n".to_vec()));
}

#[test]
fn a_background_process_neither_delays_the_end_nor_dies_of_it() {
    for hold in Hold::available() {
        let mut client = Client::new(hold);
        let file = tempfile::NamedTempFile::new().unwrap();
        let script = format!(
            "(sleep 0.5; head -c 300000 /dev/zero; echo alive > {}) & echo started",
            file.path().display()
        );
        let start = Instant::now();
        let outcome = client.run(shell(&script));
        assert!(start.elapsed() < Duration::from_millis(400), "{:?}", start.elapsed());
        assert_eq!((outcome.end(), outcome.stdout), (exited(0), b"started\n".to_vec()));
        let said = || fs::read(file.path()).unwrap() == b"alive\n";
        wait_until("the background process finished", said);
    }
}

#[test]
fn all_output_of_a_command_that_has_ended_is_sent() {
    let mut client = Client::new(Hold::ProcessGroups);
    for _ in 0..50 {
        let outcome = client.run(shell("head -c 65536 /dev/zero; head -c 60000 /dev/zero >&2"));
        assert_eq!((outcome.stdout.len(), outcome.stderr.len()), (65536, 60000));
    }
}

#[test]
fn input_that_nobody_reads_is_dropped_and_said_so_once() {
    let mut client = Client::new(Hold::ProcessGroups);
    let id = client.start(reading(shell("exec <&-; sleep 0.5; exit 2")));
    while !matches!(client.on(id), Body::Control(_)) {}
    std::thread::sleep(Duration::from_millis(200));
    let outcome = client.feed(id, &vec![1; 1_000_000]);
    assert_eq!(outcome.end(), exited(2));
    let refused = outcome.messages.iter().filter(|m| **m == GuestMessage::StdinRefused);
    assert_eq!(refused.count(), 1, "{:?}", outcome.messages);
}

#[test]
fn a_request_that_takes_long_delays_nobody() {
    let mut client = Client::new(Hold::ProcessGroups);
    let sync = client.request(&HostMessage::Sync);
    let start = Instant::now();
    assert_eq!(client.run(command(&["true"])).end(), exited(0));
    assert!(start.elapsed() < Duration::from_millis(250), "{:?}", start.elapsed());
    assert_eq!(client.finish(sync).messages, [GuestMessage::Done]);
    let mount = client.request(&HostMessage::MountWorkspace);
    let answer = client.finish(mount);
    assert_eq!(answer.refusal(), Refusal::Failed);
    let text = serde_json::to_string(&answer.messages[0]).unwrap();
    let parsed: GuestMessage = message::parse(mount, text.as_bytes()).unwrap();
    assert!(
        matches!(parsed, GuestMessage::Refused { message, .. } if message.contains("/dev/vdb"))
    );
}

#[test]
fn what_a_command_leaves_is_killed_before_its_end_is_told_if_that_is_wanted() {
    let script = "setsid sleep 60 >/dev/null 2>&1 & echo $!";
    for hold in Hold::available().into_iter().filter(|hold| matches!(hold, Hold::Cgroups)) {
        let mut client = Client::new(hold);
        let spared = String::from_utf8(client.run(shell(script)).stdout).unwrap();
        assert!(lives(&spared));
        let wanted = Exec { leftovers: Leftovers::Killed, ..shell(script) };
        let outcome = client.run(wanted);
        assert_eq!(outcome.end(), exited(0));
        let killed = String::from_utf8(outcome.stdout).unwrap();
        assert!(!lives(&killed));
    }
}

#[test]
fn a_command_is_asked_to_end_by_the_signal_that_is_named() {
    for hold in Hold::available() {
        let mut client = Client::new(hold);
        let id = client.start(shell(
            "trap 'exit 15' TERM; trap 'exit 2' INT; echo; while :; do sleep 0.01; done",
        ));
        while !matches!(client.on(id), Body::Data(..)) {}
        client.say(id, &HostMessage::Cancel { grace_ms: 60_000, signal: Some(15) });
        assert_eq!(client.finish(id).end(), exited(15));
    }
}
