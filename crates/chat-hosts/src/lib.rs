//! Chat hosts: what each is, where its configuration lies, and how an entry for
//! our server gets into it and out again.
//!
//! ```text
//!              catalog (data)          edit (pure, fuzzed)       store
//! ChatHost ──▶ Host ──▶ Place ──▶ bytes ──▶ judged ──▶ bytes' ──▶ file
//!              programs   (file,           (absent,              (atomic, if
//!              shape       keys)            foreign,              nobody else
//!                                           ours + drift)         wrote)
//! ```
//!
//! A new host is a row of [`catalog`]. Nothing here knows workspaces or machines,
//! starts a program, or reads the environment; callers bring [`Surroundings`].

pub mod catalog;
pub mod diff;
pub mod edit;
pub mod entry;
pub mod place;
pub mod store;

pub use catalog::Host;
pub use entry::{Drift, Server, Standing};
pub use place::{Place, Surroundings};
