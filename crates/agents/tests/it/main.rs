//! Adapters with the agents' own programs, without internet.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod any;
mod cell;
mod conversation;
mod death;
mod own;
mod rig;
