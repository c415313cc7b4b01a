//! Programs of chat hosts, run for a moment.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use operation::{ErrorKind, OpError};
use tokio::process::Command;

/// How long a host may take to change its configuration or say its version.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much of what it says is shown, in characters.
const SAID_MAX: usize = 2000;

/// Variables that keep a host from doing anything else than it was asked for.
const QUIET: [(&str, &str); 3] = [
    ("DISABLE_AUTOUPDATER", "1"),
    ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
    ("NO_COLOR", "1"),
];

/// Runs a program to its end and returns what it printed.
///
/// # Errors
///
/// If it cannot be started, fails, or takes too long.
pub(crate) async fn run(program: &Path, arguments: &[String]) -> Result<String, OpError> {
    let step = || format!("`{} {}` failed", program.display(), arguments.join(" "));
    let mut command = Command::new(program);
    command.args(arguments).envs(QUIET).stdin(Stdio::null()).kill_on_drop(true);
    let output = match tokio::time::timeout(PATIENCE, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => {
            return Err(OpError::new(ErrorKind::Unavailable, &error).during(step()));
        }
        Err(_) => {
            let message = format!("it did not end within {} s", PATIENCE.as_secs());
            return Err(OpError::plain(ErrorKind::TimedOut, message).during(step()));
        }
    };
    let said = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        text.trim().chars().take(SAID_MAX).collect::<String>()
    };
    if output.status.success() {
        return Ok(said(&output.stdout));
    }
    let (out, err) = (said(&output.stdout), said(&output.stderr));
    let why = [err, out].into_iter().find(|text| !text.is_empty());
    let message = why.unwrap_or_else(|| output.status.to_string());
    Err(OpError::plain(ErrorKind::Unavailable, message).during(step()))
}
