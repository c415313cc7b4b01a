//! What leaves a workspace, as its policy says: each way around it that is known
//! is a test of its own.
//!
//! Servers are this test's own, on the host's loopback, under names that only the
//! operator's file of hosts knows; the operator counts the loopback as public
//! where a test says so.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use serde_json::Value;

use crate::support::*;

/// A host with an operator: a file of hosts, and what counts as public.
struct Host {
    directory: tempfile::TempDir,
    public: &'static str,
}

/// The test's server, as an operator counts it.
const LOOPBACK: &str = "127.0.0.1/32";

impl Host {
    fn counting(public: &'static str) -> Self {
        Self { directory: tempfile::tempdir().unwrap(), public }
    }

    fn hosts(&self) -> PathBuf {
        self.directory.path().join("hosts")
    }

    fn knows(self, hosts: &str) -> Self {
        fs::write(self.hosts(), hosts).unwrap();
        self
    }

    fn command(&self) -> Command {
        let mut command = hotcell();
        command.env("HOTCELL_EGRESS_PUBLIC", self.public).env("HOTCELL_EGRESS_HOSTS", self.hosts());
        command
    }

    fn create(&self, arguments: &[&str]) -> TestWorkspace {
        let mut command = self.command();
        command.args(["--json", "workspace", "create", ENVIRONMENT]).args(arguments);
        let output = command.output().unwrap();
        assert_code(&output, 0);
        TestWorkspace { id: json(&output)["id"].as_str().unwrap().to_owned() }
    }
}

/// Answers each connection with what `name` says, for ever.
fn serve(name: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            thread::spawn(move || {
                let mut request = [0; 4096];
                while connection.read(&mut request).is_ok_and(|length| length > 0) {
                    let length = name.len();
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{name}");
                    if connection.write_all(head.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

/// Sends `request` to a host and prints what comes back.
fn talk(workspace: &TestWorkspace, host: &str, port: u16, request: &str) -> Output {
    let script = format!(
        "exec 3<>/dev/tcp/{host}/{port} && printf '{request}' >&3 && timeout 20 head -c 19 <&3 | head -1"
    );
    workspace.exec(&[], &["bash", "-c", &script])
}

fn get(host: &str) -> String {
    format!("GET / HTTP/1.1\\r\\nHost: {host}\\r\\n\\r\\n")
}

fn log(workspace: &TestWorkspace) -> Vec<Value> {
    let output = hotcell().args(["--json", "network", "log", &workspace.id]).output().unwrap();
    assert_code(&output, 0);
    json(&output)["entries"].as_array().unwrap().clone()
}

/// The only refusal that was logged for a target.
#[track_caller]
fn assert_denied(workspace: &TestWorkspace, target: &str, why: &str) {
    let entries = log(workspace);
    let found = entries.iter().any(|entry| {
        entry["target"] == target
            && entry["verdict"] == "denied"
            && entry["reason"].as_str().is_some_and(|reason| reason.contains(why))
    });
    assert!(found, "{target}, {why}: {entries:#?}");
}

fn answered(output: &Output) -> bool {
    text(&output.stdout).contains("200 OK")
}

#[test]
fn an_allowed_name_is_reached_and_another_is_not() {
    let port = serve("hello");
    let host = Host::counting(LOOPBACK).knows("127.0.0.1 good.example\n127.0.0.1 evil.example\n");
    let workspace = host.create(&["--allow", "good.example"]);
    let output = talk(&workspace, "good.example", port, &get("good.example"));
    assert!(answered(&output), "{}", text(&output.stderr));
    let output = talk(&workspace, "evil.example", port, &get("evil.example"));
    assert!(!answered(&output));
    assert_denied(&workspace, "evil.example", "not among the allowed hosts");
    let entries = log(&workspace);
    let reached = entries.iter().find(|entry| entry["target"] == format!("good.example:{port}"));
    assert!(reached.unwrap()["received_bytes"].as_u64().unwrap() > 0);
}

#[test]
fn a_port_that_is_not_allowed_is_refused() {
    let port = serve("hello");
    let host = Host::counting(LOOPBACK).knows("127.0.0.1 good.example\n");
    let workspace = host.create(&["--allow", "good.example:443"]);
    assert!(!answered(&talk(&workspace, "good.example", port, &get("good.example"))));
    assert_denied(&workspace, &format!("good.example:{port}"), "not at port");
}

#[test]
fn a_name_that_leads_to_a_private_address_is_refused_even_if_it_is_allowed() {
    let host = Host::counting("").knows(
        "127.0.0.1 rebound.example\n10.0.0.1 inner.example\n169.254.169.254 meta.example\n\
         ::ffff:127.0.0.1 mapped.example\n64:ff9b::7f00:1 translated.example\n",
    );
    let workspace = host.create(&["--network", "egress"]);
    for name in
        ["rebound.example", "inner.example", "meta.example", "mapped.example", "translated.example"]
    {
        assert!(!answered(&talk(&workspace, name, 80, &get(name))));
        assert_denied(&workspace, name, "not public");
    }
}

#[test]
fn a_name_that_turns_private_after_it_was_looked_up_is_not_followed() {
    let port = serve("hello");
    // An address at which nothing listens counts as public, the server's does not.
    let host = Host::counting("127.0.0.2/32").knows("127.0.0.2 turning.example\n");
    let workspace = host.create(&["--network", "egress"]);
    assert!(workspace.script("getent hosts turning.example").contains("turning.example"));
    fs::write(host.hosts(), "127.0.0.1 turning.example\n").unwrap();
    assert!(!answered(&talk(&workspace, "turning.example", port, &get("turning.example"))));
    let target = format!("turning.example:{port}");
    let followed = log(&workspace).iter().any(|entry| {
        entry["target"] == target && (entry["verdict"] == "closed" || entry["verdict"] == "open")
    });
    assert!(!followed, "{:#?}", log(&workspace));
}

#[test]
fn literal_addresses_that_are_not_public_are_reset_however_they_are_written() {
    let port = serve("hello");
    let host = Host::counting("").knows("");
    let workspace = host.create(&["--network", "egress"]);
    for (address, told) in [
        ("10.1.2.3", "10.1.2.3"),
        ("192.168.1.1", "192.168.1.1"),
        ("100.64.0.1", "100.64.0.1"),
        ("169.254.169.254", "169.254.169.254"),
        ("0x0a010203", "10.1.2.3"),
        ("167838211", "10.1.2.3"),
        ("64:ff9b::7f00:1", "[64:ff9b::7f00:1]"),
        ("2002:7f00:1::1", "[2002:7f00:1::1]"),
        ("fd00:ec2::254", "[fd00:ec2::254]"),
    ] {
        assert!(!answered(&talk(&workspace, address, port, &get("x.example"))), "{address}");
        assert_denied(&workspace, &format!("{told}:{port}"), "not public");
    }
    // The guest's own loopback is its own: the host's is not there.
    assert!(!answered(&talk(&workspace, "127.0.0.1", port, &get("x.example"))));
}

#[test]
fn a_literal_address_that_is_not_on_the_list_is_reset() {
    let port = serve("hello");
    let host = Host::counting("203.0.113.0/24,127.0.0.0/8").knows("");
    let workspace = host.create(&["--allow", "good.example"]);
    assert!(!answered(&talk(&workspace, "203.0.113.7", port, &get("good.example"))));
    assert_denied(&workspace, &format!("203.0.113.7:{port}"), "not among the allowed hosts");
}

#[test]
fn an_address_for_which_no_name_was_looked_up_is_reset() {
    let host = Host::counting(LOOPBACK).knows("");
    let workspace = host.create(&["--network", "egress"]);
    assert!(!answered(&talk(&workspace, "198.18.9.9", 80, &get("good.example"))));
    assert_denied(&workspace, "198.18.9.9:80", "no name was looked up");
}

#[test]
fn a_request_for_another_host_is_not_passed_on() {
    let port = serve("hello");
    let host = Host::counting(LOOPBACK).knows("127.0.0.1 good.example\n");
    let workspace = host.create(&["--allow", "good.example"]);
    let target = format!("good.example:{port}");
    assert!(!answered(&talk(&workspace, "good.example", port, &get("evil.example"))));
    assert_denied(&workspace, &target, "for the host evil.example");
    // Behind an honest request on the same connection.
    let second = format!("{}{}", get("good.example"), get("worse.example"));
    let _ = talk(&workspace, "good.example", port, &second);
    assert_denied(&workspace, &target, "for the host worse.example");
    let absolute = "GET http://other.example/ HTTP/1.1\\r\\nHost: good.example\\r\\n\\r\\n";
    assert!(!answered(&talk(&workspace, "good.example", port, absolute)));
    assert_denied(&workspace, &target, "for the host other.example");
}

#[test]
fn a_tunnel_through_an_allowed_host_is_refused() {
    let port = serve("hello");
    let host = Host::counting(LOOPBACK).knows("127.0.0.1 good.example\n");
    let workspace = host.create(&["--allow", "good.example"]);
    let tunnel = "CONNECT evil.example:443 HTTP/1.1\\r\\nHost: good.example\\r\\n\\r\\n";
    assert!(!answered(&talk(&workspace, "good.example", port, tunnel)));
    assert_denied(&workspace, &format!("good.example:{port}"), "tunnel");
}

#[test]
fn a_tls_client_that_names_another_server_is_reset() {
    let port = serve("hello");
    let host = Host::counting(LOOPBACK).knows("127.0.0.1 good.example\n");
    let workspace = host.create(&["--allow", "good.example"]);
    let extension = "\\0\\0\\0\\021\\0\\017\\0\\0\\014evil.example";
    let body =
        format!("\\003\\003{}\\0\\0\\002\\023\\001\\001\\0\\0\\025{extension}", "a".repeat(32));
    let hello = format!("\\026\\003\\001\\0\\104\\001\\0\\0\\100{body}");
    assert!(!answered(&talk(&workspace, "good.example", port, &hello)));
    assert_denied(&workspace, &format!("good.example:{port}"), "TLS client");
}

#[test]
fn names_that_are_not_allowed_tell_nobody_anything() {
    let host = Host::counting(LOOPBACK).knows("127.0.0.1 good.example\n");
    let workspace = host.create(&["--allow", "good.example"]);
    let secret = "c2VjcmV0.tunnel.example";
    assert_ne!(workspace.exec(&[], &["getent", "hosts", secret]).status.code(), Some(0));
    assert_denied(&workspace, "c2vjcmv0.tunnel.example", "not among the allowed hosts");
    // A list with one name allows nothing below it.
    let below = "c2vjcmv0.good.example";
    assert_ne!(workspace.exec(&[], &["getent", "hosts", below]).status.code(), Some(0));
    assert_denied(&workspace, below, "not among the allowed hosts");
}

#[test]
fn what_is_no_longer_allowed_ends_at_once() {
    let port = serve("hello");
    let host = Host::counting(LOOPBACK).knows("127.0.0.1 good.example\n");
    let workspace = host.create(&["--allow", "good.example"]);
    let script = format!(
        "exec 3<>/dev/tcp/good.example/{port}; printf '{}' >&3; head -c 19 <&3; echo open; cat <&3",
        get("good.example")
    );
    let mut command = workspace.exec_command(&[], &["bash", "-c", &script]);
    let mut child = command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_word(&mut child, "open");
    let set = |policy: &[&str]| {
        let output =
            host.command().args(["network", "set", &workspace.id]).args(policy).output().unwrap();
        assert_code(&output, 0);
    };
    set(&["--allow", "other.example"]);
    let output = child.wait_with_output().unwrap();
    assert!(text(&output.stderr).contains("reset"), "{}", text(&output.stderr));
    assert_denied(&workspace, &format!("good.example:{port}"), "no longer allows");
    set(&["--network", "off"]);
    let off = workspace.exec(&[], &["bash", "-c", "exec 3<>/dev/tcp/93.184.216.34/80"]);
    assert!(text(&off.stderr).contains("unreachable"), "{}", text(&off.stderr));
    set(&["--allow", "good.example"]);
    assert!(answered(&talk(&workspace, "good.example", port, &get("good.example"))));
}

#[test]
fn a_killed_daemon_comes_back_and_nothing_passes_meanwhile() {
    let port = serve("hello");
    let host = Host::counting(LOOPBACK).knows("127.0.0.1 good.example\n127.0.0.1 evil.example\n");
    let workspace = host.create(&["--allow", "good.example"]);
    workspace.script("pkill -KILL -x tools; true");
    assert!(!answered(&talk(&workspace, "evil.example", port, &get("evil.example"))));
    eventually("the daemon is back", || {
        answered(&talk(&workspace, "good.example", port, &get("good.example")))
    });
}

#[test]
fn workspaces_do_not_share_what_they_may_reach() {
    let port = serve("hello");
    let host = Host::counting(LOOPBACK).knows("127.0.0.1 good.example\n");
    let open = host.create(&["--allow", "good.example"]);
    let closed = host.create(&[]);
    assert!(answered(&talk(&open, "good.example", port, &get("good.example"))));
    assert!(!answered(&talk(&closed, "good.example", port, &get("good.example"))));
    assert!(log(&closed).is_empty());
}

/// The host's own bundle of certificates.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

#[test]
fn packages_of_the_distribution_are_listed_without_settings_of_a_proxy() {
    let mut command = hotcell();
    // What stands between this host and the mirror may have a reserved address.
    command.env("HOTCELL_EGRESS_PUBLIC", "203.0.113.0/24");
    if Path::new(BUNDLE).exists() {
        command.env("HOTCELL_EGRESS_CA", BUNDLE);
    }
    // The mirrors are the environment's own.
    let sources = run_script(&[], "cat /etc/apt/sources.list /etc/apt/sources.list.d/* || true");
    let sources = text(&sources.stdout);
    let addresses = sources.split_whitespace().filter_map(|word| word.split_once("://"));
    let mirrors: Vec<&str> =
        addresses.filter_map(|(_, address)| address.split('/').next()).collect();
    let script = format!("apt-get update 2>&1; git ls-remote https://{}/x 2>&1", mirrors[0]);
    command.args(["run", ENVIRONMENT, "--timeout", "100s"]);
    for mirror in &mirrors {
        command.args(["--allow", mirror]);
    }
    let output = command.args(["--", "sh", "-c", &script]).output().unwrap();
    let said = text(&output.stdout);
    assert!(said.contains("Reading package lists"), "{said}");
    assert!(!said.contains("Failed to fetch") && !said.contains("certificate"), "{said}");
}
