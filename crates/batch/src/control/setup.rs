//! What is written down of a batch before any engine begins with it, and never changes.
//!
//! The file has a version: a program that does not know it refuses the batch. It holds
//! no secret: an agent's credentials are looked up by whoever starts it.

use batch_api::Actor;
use batch_api::control::start::Start;
use batch_core::spec::BatchSpec;
use batch_core::time::Time;
use operation::{ErrorKind, OpError};
use serde::{Deserialize, Serialize};

use crate::engine::Setup;

/// The file's name within a batch's directory.
pub(super) const FILE: &str = "setup.json";

/// Most bytes of it: a thousand units with the longest paths.
pub(super) const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The version of the file that is written, and read.
const VERSION: u32 = 1;

/// How a batch was set up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetupFile {
    version: u32,
    /// When it was made.
    pub(super) created: Time,
    /// Who made it.
    pub(super) actor: Actor,
    /// What was asked for: who repeats it means this batch.
    pub(super) asked: Start,
    /// What an engine needs.
    pub(super) setup: Setup,
    /// What the batch is to be.
    pub(super) spec: BatchSpec,
}

/// All that is read of a file before its version is known.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl SetupFile {
    pub(super) const fn new(
        created: Time,
        actor: Actor,
        asked: Start,
        setup: Setup,
        spec: BatchSpec,
    ) -> Self {
        Self { version: VERSION, created, actor, asked, setup, spec }
    }

    /// As it is written.
    pub(super) fn written(&self) -> Result<Vec<u8>, OpError> {
        serde_json::to_vec_pretty(self).map_err(|error| OpError::new(ErrorKind::Internal, &error))
    }

    /// Reads one.
    pub(super) fn parse(text: &[u8]) -> Result<Self, OpError> {
        let damaged = |error: serde_json::Error| {
            OpError::new(ErrorKind::Internal, &error).during("the batch's setup is damaged")
        };
        let Versioned { version } = serde_json::from_slice(text).map_err(damaged)?;
        if version != VERSION {
            let message =
                format!("the batch's setup has version {version}, this program knows {VERSION}");
            return Err(OpError::plain(ErrorKind::Unavailable, message)
                .hinted("use the version of hotcell that started the batch, or a newer one"));
        }
        serde_json::from_slice(text).map_err(damaged)
    }
}
