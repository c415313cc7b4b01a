//! A server for models, spoken to as chat hosts do: lines of JSON on pipes.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::{Value, json};

use crate::support::*;

/// A server and its client's side.
pub(super) struct Session {
    pub(super) server: Child,
    pub(super) input: ChildStdin,
    output: BufReader<ChildStdout>,
    next_id: u64,
    /// Answers that came while another was waited for.
    pub(super) early: BTreeMap<u64, Value>,
    pub(super) notifications: Vec<Value>,
}

impl Session {
    pub(super) fn start(arguments: &[&str]) -> Self {
        Self::start_in(home(), arguments)
    }

    /// One that keeps its state elsewhere.
    pub(super) fn start_in(home: &Path, arguments: &[&str]) -> Self {
        let mut server = hotcell_in(home)
            .args(["mcp", "serve"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = server.stdin.take().unwrap();
        let output = BufReader::new(server.stdout.take().unwrap());
        let (early, notifications) = (BTreeMap::new(), Vec::new());
        Self { server, input, output, next_id: 1, early, notifications }
    }

    /// A session that has begun as hosts of the older revisions do.
    pub(super) fn begun(arguments: &[&str]) -> Self {
        Self::start(arguments).begin()
    }

    /// The same session, once it has begun so.
    pub(super) fn begin(self) -> Self {
        let mut session = self;
        let begun = session.ask(
            "initialize",
            json!({
                "protocolVersion": "2025-06-18",
                "capabilities": {},
                "clientInfo": { "name": "test", "version": "1" },
            }),
        );
        assert_eq!(begun["result"]["protocolVersion"], "2025-06-18", "{begun}");
        assert_eq!(begun["result"]["serverInfo"]["name"], "hotcell");
        session.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        session
    }

    pub(super) fn say(&mut self, message: &Value) {
        writeln!(self.input, "{message}").unwrap();
    }

    pub(super) fn send(&mut self, method: &str, params: Value) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.say(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        id
    }

    pub(super) fn answer(&mut self, id: u64) -> Value {
        loop {
            if let Some(answer) = self.early.remove(&id) {
                return answer;
            }
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the server ended");
            let message: Value = serde_json::from_str(&line).unwrap();
            match message["id"].as_u64() {
                Some(id) => drop(self.early.insert(id, message)),
                None => self.notifications.push(message),
            }
        }
    }

    pub(super) fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params);
        self.answer(id)
    }

    pub(super) fn call(&mut self, tool: &str, arguments: Value) -> u64 {
        self.send("tools/call", json!({ "name": tool, "arguments": arguments }))
    }

    /// The text of a tool's answer, and whether it is an error.
    pub(super) fn text_of(&mut self, call: u64) -> (String, bool) {
        let answer = self.answer(call);
        let text = answer["result"]["content"][0]["text"].as_str();
        let text = text.unwrap_or_else(|| panic!("{answer}")).to_owned();
        (text, answer["result"]["isError"] == true)
    }

    /// What the server has logged at a level so far.
    pub(super) fn told(&self, level: &str) -> Vec<&str> {
        let logged = self.notifications.iter().filter(|sent| {
            sent["method"] == "notifications/message" && sent["params"]["level"] == level
        });
        logged.filter_map(|sent| sent["params"]["data"].as_str()).collect()
    }

    #[track_caller]
    pub(super) fn use_tool(&mut self, tool: &str, arguments: Value) -> String {
        let call = self.call(tool, arguments);
        let (text, is_error) = self.text_of(call);
        assert!(!is_error, "{tool}: {text}");
        text
    }

    #[track_caller]
    pub(super) fn refused(&mut self, tool: &str, arguments: Value) -> String {
        let call = self.call(tool, arguments);
        let (text, is_error) = self.text_of(call);
        assert!(is_error, "{tool}: {text}");
        text
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
