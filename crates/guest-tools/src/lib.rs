//! What the host has done inside the guest by a program of its own.
//!
//! ```text
//! host ── Exec [TOOLS_PATH, TOOL, …] ──▶ agent ──▶ this program
//!      ── standard input: what the tool reads ──▶
//!      ◀── standard output: what it answers ──
//! ```
//!
//! PID 1 stays small and never parses foreign files, because each tool is an
//! ordinary command: it has a cgroup, can be cancelled and killed, streams both
//! ways with flow control, and if it fails nothing else does. A static program
//! starts in about as long as the agent needs to answer at all.
//!
//! The program lies in the template's memory, which all copies share, so it
//! costs a workspace nothing. Root in the guest could replace it: what it
//! answers is as hostile to the host as everything else from the guest.

mod network;

use std::process::ExitCode;

use guest_protocol::egress;
use network::NetworkError;

/// Exit code for arguments that name no tool.
const USAGE: u8 = 64;

/// Runs the tool that the arguments name; the first is the tool's name.
#[must_use]
pub fn run(arguments: &[String]) -> ExitCode {
    match arguments.first().map(String::as_str) {
        Some("version") => {
            let _ = std::io::Write::write_all(
                &mut std::io::stdout(),
                env!("CARGO_PKG_VERSION").as_bytes(),
            );
            ExitCode::SUCCESS
        }
        Some(egress::DAEMON) => told(network::daemon()),
        Some(egress::PIPE) => told(network::pipe(&arguments[1..])),
        Some(egress::CONNECT) => told(network::connect(&arguments[1..])),
        _ => ExitCode::from(USAGE),
    }
}

/// What the host reads of a tool of the network that failed.
fn told(result: Result<(), NetworkError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(NetworkError::Usage) => ExitCode::from(USAGE),
        Err(error) => {
            let text = network::chain(&error);
            let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
            ExitCode::FAILURE
        }
    }
}
