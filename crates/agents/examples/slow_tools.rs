//! A server of tools for the tests: `wait`, which takes as long as it is told, and
//! writes down that it was called, and when it is done. It speaks as much of the Model Context Protocol as
//! agents need.

use std::fs::OpenOptions;
use std::io::{self, BufRead as _, Write as _};
use std::time::Duration;

use serde_json::{Value, json};

fn main() -> io::Result<()> {
    let journal = std::env::args().nth(1).unwrap_or_default();
    for line in io::stdin().lock().lines() {
        let asked: Value = serde_json::from_str(&line?)?;
        let Some(id) = asked.get("id") else { continue };
        let answer = match asked["method"].as_str() {
            Some("initialize") => json!({"result": {
                "protocolVersion": asked["params"]["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "slow-tools", "version": "1"},
            }}),
            Some("tools/list") => json!({"result": {"tools": [{
                "name": "wait",
                "description": "Waits for some milliseconds.",
                "inputSchema": {"type": "object", "properties": {"milliseconds": {"type": "integer"}}},
                "annotations": {"readOnlyHint": true},
            }]}}),
            Some("tools/call") => {
                let arguments = &asked["params"]["arguments"];
                let mut file = OpenOptions::new().append(true).create(true).open(&journal)?;
                writeln!(file, "{arguments}")?;
                let milliseconds = arguments["milliseconds"].as_u64().unwrap_or_default();
                std::thread::sleep(Duration::from_millis(milliseconds));
                OpenOptions::new().append(true).create(true).open(format!("{journal}.done"))?;
                json!({"result": {"content": [{"type": "text", "text": "waited"}]}})
            }
            _ => json!({"error": {"code": -32601, "message": "unknown"}}),
        };
        let mut answer = answer;
        answer["jsonrpc"] = json!("2.0");
        answer["id"] = id.clone();
        let mut out = io::stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}
