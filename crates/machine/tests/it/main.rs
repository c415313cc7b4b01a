//! The launcher and the QEMU driver against the real thing.
//!
//! The guest is a kernel of a few bytes (see `guest`), so nothing has to be
//! downloaded. Tests need `qemu-system-x86_64`; as root they also cover the
//! change of user.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod confinement;
mod guest;
mod lifecycle;
mod probe;
mod snapshots;
