//! The `hotcell` program.
//!
//! It is several things, told apart by the first argument before anything else
//! happens: the command line (this file, [`face`], [`attach`], [`mcp`], [`smoke`], [`terminal`]), a workspace's
//! keeper, the launcher that becomes a monitor, the engine of a batch, and the warden,
//! the door and the bridge of an agent. All but the first are hidden: they are how it starts processes of its own.

mod attach;
mod face;
mod mcp;
mod smoke;
mod terminal;

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing_subscriber::EnvFilter;
use workspace::settings::LOG_VARIABLE;

fn main() -> ExitCode {
    match env::args_os().nth(1) {
        Some(first) if first == workspace::LAUNCHER_SUBCOMMAND => workspace::launch_monitor(),
        Some(first) if first == workspace::KEEPER_SUBCOMMAND => {
            log_to_stderr("info", u64::MAX);
            workspace::run_keeper()
        }
        Some(first) if first == batch::ENGINE_SUBCOMMAND => {
            log_to_stderr("info", ENGINE_LOG_BYTES_MAX);
            batch::run_engine()
        }
        Some(first) if first == batch::custody::WARDEN_SUBCOMMAND => {
            log_to_stderr("warn", u64::MAX);
            batch::custody::run_warden()
        }
        Some(first) if first == batch::custody::DOOR_SUBCOMMAND => batch::custody::run_door(),
        Some(first) if first == batch::gateway::BRIDGE_SUBCOMMAND => {
            log_to_stderr("warn", u64::MAX);
            batch::gateway::run_bridge()
        }
        _ => {
            log_to_stderr("warn", u64::MAX);
            face::run()
        }
    }
}

fn log_to_stderr(default: &str, bytes_max: u64) {
    let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || ForgivingStderr { bytes_max })
        .with_ansi(false)
        .init();
}

/// Standard error whose failures cost lines of the log and nothing else: the
/// logging library would report them there once more and panic over that, and a
/// keeper's log may lie on a disk that its guest has just filled.
struct ForgivingStderr {
    /// How much is written at most; what comes then is lost.
    bytes_max: u64,
}

/// Most bytes that the engine of a batch logs: it goes on for days, into a file.
const ENGINE_LOG_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// How much was logged.
static LOGGED: AtomicU64 = AtomicU64::new(0);

impl Write for ForgivingStderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let before = LOGGED.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if before < self.bytes_max {
            let _ = io::stderr().write_all(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
