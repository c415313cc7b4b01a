//! Tests of what drives batches, with real processes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails by a panic")]

mod custody;
mod engine;
mod host;
mod journal;
mod journal_faults;
