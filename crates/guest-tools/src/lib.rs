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
//!
//! Files are reached through a [`Root`] only, which is `/workspace` in the guest
//! and any directory in a test.

mod error;
pub mod file;
mod network;
pub mod patch;
pub mod probe;
mod root;
pub mod search;
mod selection;
mod staging;
pub mod transfer;
pub mod tree;
mod wire;

use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::Path;
use std::process::ExitCode;

use guest_protocol::egress;
use guest_protocol::path::ROOT;
use guest_protocol::tools::{self, EXIT_UNKNOWN};
use network::NetworkError;

pub use error::ToolError;
pub use root::Root;

/// Runs the tool that the arguments name; the first is the tool's name.
#[must_use]
pub fn run(arguments: &[String]) -> ExitCode {
    match arguments.first().map(String::as_str) {
        Some("version") => {
            let _ = io::stdout().write_all(env!("CARGO_PKG_VERSION").as_bytes());
            ExitCode::SUCCESS
        }
        Some(egress::DAEMON) => told(network::daemon()),
        Some(egress::PIPE) => told(network::pipe(&arguments[1..])),
        Some(egress::CONNECT) => told(network::connect(&arguments[1..])),
        Some(name) => served(name),
        None => ExitCode::from(EXIT_UNKNOWN),
    }
}

/// Runs a tool that reads one request and answers it.
fn served(name: &str) -> ExitCode {
    let mut input = BufReader::new(io::stdin().lock());
    let mut output = BufWriter::new(io::stdout().lock());
    let root = || Root::open(Path::new(ROOT));
    let served = match name {
        tools::file::TOOL => file::serve(root(), &mut input, &mut output),
        tools::patch::TOOL => patch::serve(root(), &mut input, &mut output),
        tools::probe::TOOL => probe::serve(&mut input, &mut output),
        tools::search::TOOL => search::serve(root(), &mut input, &mut output),
        tools::transfer::TOOL => transfer::serve(root(), &mut input, &mut output),
        tools::tree::TOOL => tree::serve(root(), &mut input, &mut output),
        _ => return ExitCode::from(EXIT_UNKNOWN),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(ToolError::Unknown(_)) => ExitCode::from(EXIT_UNKNOWN),
        Err(error) => {
            let mut told = error.to_string();
            for cause in error.failure().causes {
                told.push_str(": ");
                told.push_str(&cause);
            }
            // Nobody is left to tell, if this fails as well.
            let _ = writeln!(io::stderr(), "{told}");
            ExitCode::FAILURE
        }
    }
}

/// What the host reads of a tool of the network that failed.
fn told(result: Result<(), NetworkError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(NetworkError::Usage) => ExitCode::from(EXIT_UNKNOWN),
        Err(error) => {
            let text = network::chain(&error);
            let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
            ExitCode::FAILURE
        }
    }
}
