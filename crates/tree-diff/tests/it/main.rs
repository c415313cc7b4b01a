//! What is told of two trees, with git as the judge.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test itself would")]

mod against_git;
mod support;
mod told;
