//! The git of batches, over real repositories and by real git.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod incoming;
mod integrating;
mod kills;
mod merging;
mod poison;
mod scene;
mod stores;
