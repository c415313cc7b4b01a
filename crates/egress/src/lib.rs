//! Judges what a guest wants to reach.
//!
//! ```text
//! name looked up ─▶ dns ─▶ rules ─▶ names: a synthetic address for this name
//! connection to an address ─▶ names: which name is it? ─▶ rules ─▶ address
//! its first bytes ─▶ inspect (client_hello, http) ─▶ do they mean that name?
//! ```
//!
//! * [`rules`] is the only judge of names and addresses; [`address`] knows which
//!   addresses are public.
//! * [`names`] ties a connection to the name that was looked up for it.
//! * [`dns`] reads questions and writes answers.
//! * [`inspect`] follows what the guest sends on a connection to a name, and
//!   refuses what claims to be for another one.
//! * [`upstream`] speaks to the proxy that a host may have to go through.
//!
//! **A crate of its own**, because everything here reads bytes that a guest
//! chose and none of it needs a clock, a socket or a process: it is a function
//! of its input, and is fuzzed as such. Sockets are `workspace`'s business.
//!
//! **Bounds.** Nothing is kept of a guest's bytes beyond [`inspect::HELD_MAX`]
//! per connection and [`names::CAPACITY`] names per workspace.

pub mod address;
pub mod dns;
pub mod inspect;
pub mod names;
pub mod rules;
pub mod upstream;

mod client_hello;
mod http;
