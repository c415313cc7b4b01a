//! What a workspace may reach, and what became of its attempts.
//!
//! A policy is one of three: nothing (`off`), every public address (`egress`),
//! or only the hosts of a list (`egress` with `allow`). Addresses that are not
//! public (private, loopback, link-local, metadata and the like) are refused by
//! all of them, unless the operator counts them as public.

pub mod name;
pub mod operations;
pub mod pattern;
pub mod policy;

pub use name::DomainName;
pub use pattern::HostPattern;
pub use policy::{NetworkMode, NetworkOptions, NetworkPolicy};
