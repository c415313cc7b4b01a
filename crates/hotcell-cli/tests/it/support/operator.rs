//! What tests of the network share: a host whose operator knows names of the
//! test's own, a server on the host's loopback, and what is on record.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use serde_json::Value;

use super::*;

/// A host with an operator: a file of hosts, and what counts as public.
pub(crate) struct Host {
    pub(crate) directory: tempfile::TempDir,
    public: &'static str,
}

/// The test's server, as an operator counts it.
pub(crate) const LOOPBACK: &str = "127.0.0.1/32";

impl Host {
    pub(crate) fn counting(public: &'static str) -> Self {
        Self { directory: tempfile::tempdir().unwrap(), public }
    }

    pub(crate) fn hosts(&self) -> PathBuf {
        self.directory.path().join("hosts")
    }

    pub(crate) fn knows(self, hosts: &str) -> Self {
        fs::write(self.hosts(), hosts).unwrap();
        self
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = hotcell();
        command.env("HOTCELL_EGRESS_PUBLIC", self.public).env("HOTCELL_EGRESS_HOSTS", self.hosts());
        command
    }

    pub(crate) fn create(&self, arguments: &[&str]) -> TestWorkspace {
        let mut command = self.command();
        command.args(["--json", "workspace", "create", ENVIRONMENT]).args(arguments);
        let output = command.output().unwrap();
        assert_code(&output, 0);
        TestWorkspace { id: json(&output)["id"].as_str().unwrap().to_owned() }
    }
}

/// Answers each request on each connection with what `name` says, for ever.
pub(crate) fn serve(name: &str) -> u16 {
    let length = name.len();
    serve_raw(&format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{name}"))
}

/// Answers each request on each connection with these bytes.
pub(crate) fn serve_raw(answer: &str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = answer.as_bytes().to_owned();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let (mut connection, answer) = (connection.unwrap(), answer.clone());
            thread::spawn(move || {
                let mut request = [0; 4096];
                while connection.read(&mut request).is_ok_and(|length| length > 0) {
                    if connection.write_all(&answer).is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

/// Sends `request` to a host and prints what comes back.
pub(crate) fn talk(workspace: &TestWorkspace, host: &str, port: u16, request: &str) -> Output {
    let script = format!(
        "exec 3<>/dev/tcp/{host}/{port} && printf '{request}' >&3 && timeout 20 head -c 19 <&3 | head -1"
    );
    workspace.exec(&[], &["bash", "-c", &script])
}

pub(crate) fn get(host: &str) -> String {
    format!("GET / HTTP/1.1\\r\\nHost: {host}\\r\\n\\r\\n")
}

pub(crate) fn log(workspace: &TestWorkspace) -> Vec<Value> {
    let output = hotcell().args(["--json", "network", "log", &workspace.id]).output().unwrap();
    assert_code(&output, 0);
    json(&output)["entries"].as_array().unwrap().clone()
}

/// The only refusal that was logged for a target.
#[track_caller]
pub(crate) fn assert_denied(workspace: &TestWorkspace, target: &str, why: &str) {
    let entries = log(workspace);
    let found = entries.iter().any(|entry| {
        entry["target"] == target
            && entry["verdict"] == "denied"
            && entry["reason"].as_str().is_some_and(|reason| reason.contains(why))
    });
    assert!(found, "{target}, {why}: {entries:#?}");
}

pub(crate) fn answered(output: &Output) -> bool {
    text(&output.stdout).contains("200 OK")
}

/// The host's own bundle of certificates.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The program, on a host of whose authorities guests are told, and which may be
/// behind something that intercepts all traffic at a reserved address.
pub(crate) fn behind_interception() -> Command {
    let mut command = hotcell();
    command.env("HOTCELL_EGRESS_PUBLIC", "203.0.113.0/24");
    if Path::new(BUNDLE).exists() {
        command.env("HOTCELL_EGRESS_CA", BUNDLE);
    }
    command
}
