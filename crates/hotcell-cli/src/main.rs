//! The `hotcell` program.
//!
//! It is several things, told apart by the first argument before anything else
//! happens: the command line (this file, [`face`], [`attach`], [`mcp`], [`smoke`], [`terminal`]), a workspace's
//! keeper, the launcher that becomes a monitor, and the warden and the door of an
//! agent. All but the first are hidden: they are how it starts processes of its own.

mod attach;
mod face;
mod mcp;
mod smoke;
mod terminal;

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;
use workspace::settings::LOG_VARIABLE;

fn main() -> ExitCode {
    match env::args_os().nth(1) {
        Some(first) if first == workspace::LAUNCHER_SUBCOMMAND => workspace::launch_monitor(),
        Some(first) if first == workspace::KEEPER_SUBCOMMAND => {
            log_to_stderr("info");
            workspace::run_keeper()
        }
        Some(first) if first == batch::custody::WARDEN_SUBCOMMAND => {
            log_to_stderr("warn");
            batch::custody::run_warden()
        }
        Some(first) if first == batch::custody::DOOR_SUBCOMMAND => batch::custody::run_door(),
        _ => {
            log_to_stderr("warn");
            face::run()
        }
    }
}

fn log_to_stderr(default: &str) {
    let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| ForgivingStderr)
        .with_ansi(false)
        .init();
}

/// Standard error whose failures cost lines of the log and nothing else: the
/// logging library would report them there once more and panic over that, and a
/// keeper's log may lie on a disk that its guest has just filled.
struct ForgivingStderr;

impl Write for ForgivingStderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = io::stderr().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
