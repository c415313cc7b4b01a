//! The reader against file systems that others made and read.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test itself would")]

mod images;
mod journal;
mod layers;
mod support;
