//! The tools as the host uses them, on directories of this machine.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test itself would")]

mod files;
mod patches;
mod searches;
mod support;
