//! `/init` of a guest: boots the machine, then serves its host for ever.
//!
//! Whatever ends it is printed on the console, of which the host keeps the
//! tail, and then the machine powers off.

use std::convert::Infallible;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use guest_agent::boot::{self, BootError};
use guest_agent::containment::Containment;
use guest_agent::limits::{self, LimitError};
use guest_agent::machine::Guest;
use guest_agent::port::{self, PortError};
use guest_agent::{Reaping, ServeError, Settings, chain, serve};

/// Why the machine powers off.
#[derive(Debug, thiserror::Error)]
enum Fatal {
    #[error("not PID 1: this program is the init of a guest")]
    NotInit,
    #[error("boot failed")]
    Boot(#[from] BootError),
    #[error("commands could not be limited")]
    Limits(#[from] LimitError),
    #[error("no way to the host")]
    Port(#[from] PortError),
    #[error("cannot serve the host")]
    Serve(#[from] ServeError),
}

fn main() {
    let Err(error) = run();
    let text = format!("hotcell agent: {}\n", chain(&error));
    let console = File::options().write(true).open("/dev/console");
    // Without a console nobody can be told.
    let _ = console.and_then(|mut console| console.write_all(text.as_bytes()));
    if !matches!(error, Fatal::NotInit) {
        rustix::fs::sync();
        let _ = rustix::system::reboot(rustix::system::RebootCommand::PowerOff);
    }
}

fn run() -> Result<Infallible, Fatal> {
    if std::process::id() != 1 {
        return Err(Fatal::NotInit);
    }
    boot::boot()?;
    let containment = Containment::Cgroups(limits::apply()?);
    let port = port::open()?;
    let settings = Settings { machine: Arc::new(Guest), containment, reaping: Reaping::Everyone };
    Ok(serve(port, settings)?)
}
