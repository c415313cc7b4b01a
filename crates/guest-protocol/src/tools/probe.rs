//! The tool `probe`: whether a file, a port or an HTTP server is there.

use serde::{Deserialize, Serialize};

/// The tool's name.
pub const TOOL: &str = "probe";

/// The longest that one request may take, in milliseconds.
pub const PATIENCE_MAX_MS: u64 = 60_000;

/// What to look for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Target {
    /// Something lies at this path of the guest.
    File {
        /// The path, absolute.
        path: String,
    },
    /// Somebody accepts connections at this port of the guest's loopback.
    Tcp {
        /// The port.
        port: u16,
    },
    /// An HTTP server there answers a request as it should.
    Http {
        /// The port.
        port: u16,
        /// What is asked for.
        path: String,
        /// The status that it has to answer; without one any from 200 to 399.
        status: Option<u16>,
    },
}

/// A probe, tried until it finds its target or the patience is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// What to look for.
    pub target: Target,
    /// How long one attempt may take, in milliseconds.
    pub timeout_ms: u64,
    /// How long to wait between two attempts, in milliseconds.
    pub interval_ms: u64,
    /// After how long no attempt begins any more, in milliseconds; with 0 there
    /// is one. At most [`PATIENCE_MAX_MS`].
    pub patience_ms: u64,
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probed {
    /// What was wrong with the last attempt; nothing if it found its target.
    pub missing: Option<String>,
}
