//! The guest's side of the network, without a network card.
//!
//! ```text
//! program ─▶ any address ─▶ dummy interface ─▶ redirect (nf_tables) ─▶ daemon
//!                                                                        │ messages
//!     connection N ─▶ waits ◀── [egress-pipe, N] fetches it             host
//! ```
//!
//! * [`mod@daemon`] is the process that listens and asks the host.
//! * [`interface`] and [`redirect`] say to the kernel what goes where, over
//!   [`netlink`]: no program of the guest is needed for it.
//! * [`files`] tells programs which name server and which authorities there are.
//! * [`relay`] carries one connection; [`handover`] gets it from the daemon.
//!
//! **Nothing here is a border.** Root in the guest may change all of it; what
//! leaves the guest is decided in the host, which believes none of it. Without
//! the daemon connections are reset, without the interface there is no route.

mod daemon;
mod files;
mod handover;
mod interface;
mod netlink;
mod questions;
mod redirect;
mod relay;

pub(crate) use daemon::run as daemon;
pub(crate) use relay::{connect, pipe};

use std::error::Error;
use std::io;
use std::path::PathBuf;

/// A step of setting the network up or down, or of carrying a connection, that
/// failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetworkError {
    #[error("cannot {step} the interface {}", interface::NAME)]
    Interface {
        step: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("cannot {step} the redirection")]
    Redirect {
        step: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("cannot listen for {what}")]
    Listen {
        what: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("cannot write {}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot find out whether another daemon runs")]
    Alone(#[source] io::Error),
    #[error("the host sent something that cannot be read")]
    Host(#[source] guest_protocol::egress::DecodeError),
    #[error("cannot read what the host says")]
    Input(#[source] io::Error),
    #[error("cannot fetch the connection {id}")]
    Fetch {
        id: u32,
        #[source]
        source: io::Error,
    },
    #[error("nothing listens at the port {port}")]
    Connect {
        port: u16,
        #[source]
        source: io::Error,
    },
    #[error("the connection broke")]
    Broken(#[source] io::Error),
    #[error("the tool was started with other arguments than it takes")]
    Usage,
}

/// An error and all its causes on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
