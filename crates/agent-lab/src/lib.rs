//! For tests: the programs of agents, at pinned versions, and a model that follows a
//! script, so that real agents hold whole conversations without internet.

#![expect(clippy::unwrap_used, reason = "it fails as tests do")]

pub mod model;
mod programs;

pub use programs::{cache, fetch_npm_package, gemini, pi, programs};
