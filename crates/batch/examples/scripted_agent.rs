//! An agent that follows a script: it speaks Claude Code's protocol, does something once
//! a second, and notes in a file when it is told something.
//!
//! Beside the program lie the files that it looks at: while there is `rest` it is silent,
//! and in `heard` is a line for each message that names a moment: that one, and when it
//! was read, in nanoseconds of the monotonic clock.

use std::error::Error;
use std::fs::OpenOptions;
use std::io::{self, BufRead as _, Write as _};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// How often it does something.
const BEAT: Duration = Duration::from_secs(1);

/// What a message begins with that names the moment at which it was sent.
const SENT: &str = "sent at ";

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().any(|word| word == "--version") {
        return Ok(writeln!(io::stdout(), "2.1.328 (Claude Code)")?);
    }
    let beside = std::env::current_exe()?;
    let (rest, heard) = (beside.with_file_name("rest"), beside.with_file_name("heard"));
    let (tell, told) = sync_channel(64);
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            let at = now();
            if tell.send((line, at)).is_err() {
                return;
            }
        }
    });
    let mut beats = 0_u64;
    loop {
        match told.recv_timeout(BEAT) {
            Ok((line, at)) => {
                let said: Value = serde_json::from_str(&line)?;
                answer(&said)?;
                let text = said["message"]["content"].as_str().unwrap_or_default();
                if let Some((_, moment)) = text.split_once(SENT) {
                    let moment: String = moment.chars().take_while(char::is_ascii_digit).collect();
                    let mut heard = OpenOptions::new().create(true).append(true).open(&heard)?;
                    heard.write_all(format!("{moment} {at}\n").as_bytes())?;
                }
            }
            Err(RecvTimeoutError::Timeout) if rest.exists() => {}
            Err(RecvTimeoutError::Timeout) => {
                beats += 1;
                say(&json!({
                    "type": "assistant",
                    "message": {
                        "role": "assistant",
                        "content": [{"type": "text", "text": format!("Looking at part {beats}.")}],
                        "usage": {"input_tokens": 1000 + beats, "output_tokens": 20},
                    },
                    "parent_tool_use_id": null,
                    "session_id": "scripted",
                }))?;
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

fn answer(said: &Value) -> io::Result<()> {
    match said["type"].as_str() {
        Some("control_request") => say(&json!({
            "type": "control_response",
            "response": {"subtype": "success", "request_id": said["request_id"], "response": {}},
        })),
        Some("user") => {
            let uuid = &said["uuid"];
            say(&json!({
                "type": "system", "subtype": "init", "session_id": "scripted", "tools": [],
            }))?;
            say(&json!({"type": "command_lifecycle", "state": "started", "command_uuid": uuid}))
        }
        _ => Ok(()),
    }
}

fn say(line: &Value) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}")?;
    output.flush()
}

/// Now, in nanoseconds of the clock that all processes have in common.
fn now() -> u128 {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::try_from(now).unwrap_or_default().as_nanos()
}
