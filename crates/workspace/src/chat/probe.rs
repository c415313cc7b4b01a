//! The server, started as a chat host starts it and asked for its tools.
//!
//! It gets what the host that is strictest with variables passes on, so what works
//! here works there.

use std::process::Stdio;
use std::time::{Duration, Instant};

use operation::{ErrorKind, OpError};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::settings;

/// How long the server may take to list its tools. Hosts give up after one to
/// thirty seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// How much of an answer is read, in bytes.
const ANSWER_MAX: u64 = 4 << 20;

/// How much of what a server that fails says is shown, in bytes.
const SAID_MAX: u64 = 2000;

/// How long one that ends has for its last words.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The variables that every host passes on.
const PASSED_ON: [&str; 7] = ["HOME", "PATH", "LANG", "LC_ALL", "TERM", "TMPDIR", "USER"];

/// The revision of the protocol that is spoken.
const REVISION: &str = "2025-06-18";

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answered {
    /// What it took from its start.
    pub(crate) after: Duration,
    /// How many tools it offers.
    pub(crate) tools: u64,
}

/// Starts a server and asks it for its tools.
///
/// # Errors
///
/// If it cannot be started, ends, or says nothing that makes sense.
pub(crate) async fn ask(command: &[String]) -> Result<Answered, OpError> {
    let begun = Instant::now();
    let step = || format!("`{}` does not serve", command.join(" "));
    let [program, arguments @ ..] = command else {
        return Err(OpError::plain(ErrorKind::Internal, "a server without a program"));
    };
    let passed = PASSED_ON.iter().filter_map(|name| Some((name, settings::variable(name)?)));
    let mut server = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(passed)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| OpError::new(ErrorKind::Unavailable, &error).during(step()))?;
    match tokio::time::timeout(PATIENCE, converse(&mut server)).await {
        Ok(Some(tools)) => Ok(Answered { after: begun.elapsed(), tools }),
        Ok(None) => {
            let mut said = Vec::new();
            if let Some(err) = server.stderr.take() {
                let mut err = err.take(SAID_MAX);
                let reading = err.read_to_end(&mut said);
                let _ = tokio::time::timeout(LAST_WORDS, reading).await;
            }
            let said = String::from_utf8_lossy(&said).trim().to_owned();
            let said = if said.is_empty() { "it ended without a word".to_owned() } else { said };
            Err(OpError::plain(ErrorKind::Unavailable, said).during(step()))
        }
        Err(_) => {
            let message = format!("it did not answer within {} s", PATIENCE.as_secs());
            Err(OpError::plain(ErrorKind::TimedOut, message).during(step()))
        }
    }
}

/// How many tools the server lists; `None` if it goes away or talks nonsense.
async fn converse(server: &mut Child) -> Option<u64> {
    let mut input = server.stdin.take()?;
    let mut output = BufReader::new(server.stdout.take()?.take(ANSWER_MAX));
    let identity = json!({ "name": "hotcell host doctor", "version": env!("CARGO_PKG_VERSION") });
    let hello = json!({ "protocolVersion": REVISION, "capabilities": {}, "clientInfo": identity });
    let messages = [
        json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello }),
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
        json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {} }),
    ];
    for message in &messages[..1] {
        say(&mut input, message).await?;
    }
    answer(&mut output, 1).await?.get("result")?;
    for message in &messages[1..] {
        say(&mut input, message).await?;
    }
    let listed = answer(&mut output, 2).await?;
    let tools = listed["result"]["tools"].as_array()?.len();
    u64::try_from(tools).ok()
}

async fn say(input: &mut tokio::process::ChildStdin, message: &Value) -> Option<()> {
    input.write_all(format!("{message}\n").as_bytes()).await.ok()
}

/// The answer to a request; what else the server says is passed over.
async fn answer(
    output: &mut BufReader<tokio::io::Take<tokio::process::ChildStdout>>,
    id: u64,
) -> Option<Value> {
    loop {
        let mut line = String::new();
        if output.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let message: Value = serde_json::from_str(&line).ok()?;
        if message["id"] == id {
            return Some(message);
        }
    }
}
