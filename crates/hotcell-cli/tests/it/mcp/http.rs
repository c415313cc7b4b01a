//! The server over HTTP: only with the token, only from this host.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Stdio};

use serde_json::json;

use crate::support::*;

const TOKEN: &str = "correct-horse-battery-staple";

struct HttpServer {
    process: Child,
    address: String,
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl HttpServer {
    fn start(token: &std::path::Path) -> Self {
        let mut process = hotcell()
            .args(["mcp", "serve", "--no-project-source", "--http", "127.0.0.1:0"])
            .arg("--http-token-file")
            .arg(token)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = String::new();
        BufReader::new(process.stderr.take().unwrap()).read_line(&mut told).unwrap();
        let address = told.trim().strip_prefix("serving at http://").expect(&told);
        let address = address.strip_suffix("/mcp").unwrap().to_owned();
        Self { process, address }
    }

    /// The status and the rest of the answer to `tools/list`.
    fn ask(&self, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        });
        let body = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": { "_meta": meta },
        });
        let body = body.to_string();
        let mut request = format!("POST {path} HTTP/1.1\r\nContent-Length: {}\r\n", body.len());
        let usual = [
            ("Connection", "close"),
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
            ("MCP-Protocol-Version", "2026-07-28"),
            ("Mcp-Method", "tools/list"),
        ];
        let has_host = headers.iter().any(|(name, _)| *name == "Host");
        let host = [("Host", self.address.as_str())];
        let host = if has_host { &[][..] } else { &host[..] };
        for (name, value) in usual.iter().chain(host).chain(headers) {
            request.extend([name, ": ", value, "\r\n"]);
        }
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(format!("{request}\r\n{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split_whitespace().nth(1).unwrap().parse().unwrap();
        (status, answer)
    }
}

#[test]
fn only_who_brings_the_token_from_this_host_is_served() {
    let directory = tempfile::TempDir::new().unwrap();
    let file = directory.path().join("token");
    fs::write(&file, format!("{TOKEN}\n")).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let server = HttpServer::start(&file);
    let bearer = format!("Bearer {TOKEN}");
    let token = ("Authorization", bearer.as_str());
    let (status, answer) = server.ask("/mcp", &[token]);
    assert!(status == 200 && answer.contains("workspace_exec"), "{answer}");
    let (status, answer) = server.ask("/mcp", &[token, ("Origin", "http://localhost:5173")]);
    assert_eq!(status, 200, "{answer}");
    for (headers, expected) in [
        (&[][..], 401),
        (&[("Authorization", "Bearer correct-horse-battery-stapl")], 401),
        (&[token, ("Origin", "https://evil.test")], 403),
        (&[token, ("Host", "evil.test")], 403),
    ] {
        let (status, answer) = server.ask("/mcp", headers);
        assert!(status == expected && !answer.contains("workspace_exec"), "{headers:?}: {answer}");
    }
    assert_eq!(server.ask("/", &[token]).0, 404);

    fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    for (address, told) in [("127.0.0.1:0", "mode 0600"), ("0.0.0.0:0", "reached from elsewhere")] {
        let refused = hotcell()
            .args(["mcp", "serve", "--http", address, "--http-token-file"])
            .arg(&file)
            .output()
            .unwrap();
        assert_code(&refused, 2);
        assert!(text(&refused.stderr).contains(told), "{}", text(&refused.stderr));
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    }
}
