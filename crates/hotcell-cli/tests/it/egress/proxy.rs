//! Hosts that reach others through a proxy only.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::support::operator::*;
use crate::support::*;

/// A proxy that leads every tunnel to one port of the loopback; returns its own
/// port and what it is asked for.
fn proxy(to: u16) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, heard) = (client.unwrap(), Arc::clone(&heard));
            thread::spawn(move || tunnel(client, to, &heard));
        }
    });
    (port, asked)
}

fn tunnel(client: TcpStream, to: u16, heard: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(client.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        reader.read_line(&mut head).unwrap();
    }
    let is_forbidden = head.contains("forbidden.example");
    heard.lock().unwrap().push(head);
    let mut client = client;
    if is_forbidden {
        client.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").unwrap();
        return;
    }
    let server = TcpStream::connect(("127.0.0.1", to)).unwrap();
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
    let mut back = (server.try_clone().unwrap(), client.try_clone().unwrap());
    thread::spawn(move || {
        let _ = std::io::copy(&mut back.0, &mut back.1);
        let _ = back.1.shutdown(Shutdown::Write);
    });
    let mut server = server;
    let _ = std::io::copy(&mut reader, &mut server);
    let _ = server.shutdown(Shutdown::Write);
}

#[test]
fn what_is_listed_is_reached_through_the_hosts_proxy() {
    let port = serve("hello");
    let (proxy, asked) = proxy(port);
    // Only the proxy knows most of these names.
    let host = Host::counting("127.0.0.2/32")
        .knows("127.0.0.1 inner.example\n127.0.0.2 direct.example\n127.0.0.2 known.example\n");
    let create = |policy: &[&str]| {
        let mut command = host.command();
        command.env("HTTPS_PROXY", format!("http://user:pass@127.0.0.1:{proxy}"));
        command.env("NO_PROXY", "direct.example");
        command.args(["--json", "workspace", "create", ENVIRONMENT]).args(policy);
        let output = command.output().unwrap();
        assert_code(&output, 0);
        TestWorkspace { id: json(&output)["id"].as_str().unwrap().to_owned() }
    };
    let list = ["far.example", "inner.example", "direct.example", "forbidden.example"];
    let allow: Vec<&str> = list.iter().flat_map(|name| ["--allow", name]).collect();
    let workspace = create(&allow);
    let reaches = |name: &str| answered(&talk(&workspace, name, port, &get(name)));
    assert!(reaches("far.example"));
    let heard = asked.lock().unwrap().concat();
    assert!(heard.starts_with(&format!("CONNECT far.example:{port} HTTP/1.1\r\n")), "{heard}");
    assert!(heard.contains("Proxy-Authorization: Basic dXNlcjpwYXNz\r\n"), "{heard}");
    assert!(workspace.script("env").to_ascii_lowercase().find("proxy").is_none());
    // What the host itself knows to be private is so for the proxy as well.
    assert!(!reaches("inner.example"));
    assert_denied(&workspace, "inner.example", "not public");
    assert!(!reaches("forbidden.example"));
    let told = log(&workspace);
    let target = format!("forbidden.example:{port}");
    let failed = told.iter().find(|entry| entry["target"] == target).unwrap();
    assert_eq!(failed["reason"], "the host's proxy answers 403");
    // Nothing listens there, but nobody asked the proxy for it.
    assert!(!reaches("direct.example"));
    assert!(!asked.lock().unwrap().concat().contains("direct.example"));

    // Without a list only what the host knows to be public is.
    let open = create(&["--network", "egress"]);
    assert!(answered(&talk(&open, "known.example", port, &get("known.example"))));
    assert!(!answered(&talk(&open, "far.example", port, &get("far.example"))));

    let mut wrong = host.command();
    wrong.env("HTTPS_PROXY", "socks5://127.0.0.1:1");
    wrong.args(["workspace", "create", ENVIRONMENT, "--network", "egress"]);
    let refused = wrong.output().unwrap();
    assert_code(&refused, 2);
    assert!(text(&refused.stderr).contains("HTTPS_PROXY is wrong"), "{}", text(&refused.stderr));
}
