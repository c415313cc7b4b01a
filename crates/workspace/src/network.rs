//! What leaves a workspace, decided and carried by its keeper.
//!
//! ```text
//! guest's daemon ── Question, Connection ──▶ gateway ── egress: rules, names
//!                ◀── Answer, Refuse ───────    │
//!                                              ├─ resolver: where a name leads
//!                                              └─ carrier: socket ⇄ [egress-pipe, N]
//! ```
//!
//! * `gateway` hears the guest's daemon and decides with the crate `egress`.
//! * `resolver` finds the addresses of names, as the host sees them.
//! * `tunnel` goes through the host's proxy, if there is one.
//! * `carrier` carries one connection, and judges what the guest sends on it.
//! * `journal` remembers what was reached and what was refused.
//! * `trust` tells commands which authorities there are.
//! * [`Operator`] is what the host's operator decided for all workspaces.
//!
//! **Failing closed.** Everything that is not expressly allowed is refused; if
//! the daemon dies its guest reaches nothing until another one runs, and if the
//! keeper dies its sockets do as well.

pub(crate) mod carrier;
pub(crate) mod gateway;
pub(crate) mod journal;
mod resolver;
pub(crate) mod trust;
mod tunnel;

use std::path::PathBuf;

use egress::address::AddressRange;
use egress::upstream::Upstream;
use serde::{Deserialize, Serialize};

/// What the host's operator decided for all workspaces.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Operator {
    /// Ranges of addresses that count as public.
    pub public: Vec<AddressRange>,
    /// A file of hosts and their addresses that is asked before the name system,
    /// in the format of `/etc/hosts`.
    pub hosts: Option<PathBuf>,
    /// A bundle of certificates, in PEM, that guests trust as well.
    pub authorities: Option<PathBuf>,
    /// The proxy that the host goes through.
    pub proxy: Option<Upstream>,
}
