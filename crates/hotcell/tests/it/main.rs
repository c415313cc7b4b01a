//! The SDK as a program has it: [`hotcell::Client`] and real microVMs.
//!
//! All tests share the prepared home of the command line's tests, so that
//! environment, kernel and templates are made once. Each makes its own machines
//! and checks that nothing of them is left.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test itself would")]

mod background;
mod batches;
mod commands;
mod errors;
mod examples;
mod support;
mod workspaces;
