//! The guest agent, carried inside this program.

use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

use crate::hex::hex;

/// The agent: a static program for the guest.
pub(crate) const AGENT: &[u8] = include_bytes!(env!("HOTCELL_GUEST_AGENT"));

static DIGEST: LazyLock<String> = LazyLock::new(|| hex(&Sha256::digest(AGENT)));

/// What the agent's content is called.
pub(crate) fn digest() -> &'static str {
    &DIGEST
}
