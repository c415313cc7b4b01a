//! The guest's programs, carried inside this one.

use std::sync::LazyLock;

use environment::GuestPrograms;
use sha2::{Digest as _, Sha256};

use crate::hex::hex;

/// The agent and the tools: static programs for the guest.
pub(crate) const PROGRAMS: GuestPrograms<'static> = GuestPrograms {
    agent: include_bytes!(env!("HOTCELL_GUEST_AGENT")),
    tools: include_bytes!(env!("HOTCELL_GUEST_TOOLS")),
};

static DIGEST: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = Sha256::new();
    hasher.update(Sha256::digest(PROGRAMS.agent));
    hasher.update(Sha256::digest(PROGRAMS.tools));
    hex(&hasher.finalize())
});

/// What the programs' content is called.
pub(crate) fn digest() -> &'static str {
    &DIGEST
}
