//! What a workspace's keeper and the programs inside its guest say to each other.
//!
//! One byte stream (a virtio serial port) carries everything. Its life is cut
//! into **epochs**: one per boot and one per resume, because a machine that was
//! resumed from saved memory may still hold half-sent bytes of its earlier life.
//!
//! ```text
//! host                                   guest
//!  │  epoch token, nonce  ─────────────▶  │  drops whatever it was doing,
//!  │                                      │  ends every older stream
//!  │  ◀──────────────  nonce              │
//!  │  Begin (stream 0)  ───────────────▶  │  sets clock, names, entropy
//!  │  ◀──────────────  Begun (stream 0)   │
//!  │  Exec (stream 1)  ────────────────▶  │
//!  │  ◀──────────────  Started, data …    │
//! ```
//!
//! * [`epoch`] finds the start of an epoch in a stream that may hold debris.
//! * [`frame`] cuts the rest into frames of a bounded size.
//! * [`message`] gives control frames their meaning.
//! * [`path`] says what a path below `/workspace` is, and how names that are no
//!   text become text.
//! * [`tools`] has the requests and answers of the guest's program of tools.
//!
//! **Who adapts.** A template or snapshot freezes the agent that it holds, so
//! the guest never has to understand anything new: the host reads the guest's
//! [`GENERATION`] from `Begun` and adapts. Unknown JSON fields are ignored by
//! both sides.
//!
//! **Trust.** Everything that the guest sends is hostile input: frames are
//! bounded before anything is allocated and the decoder is fuzzed.
//!
//! This crate does no I/O.

pub mod egress;
pub mod epoch;
pub mod frame;
pub mod message;
pub mod path;
pub mod tools;

/// Counts incompatible changes of the messages. The guest reports the one that
/// it was built with; a host speaks to every generation up to its own.
pub const GENERATION: u32 = 2;

/// The virtio serial port that carries the stream, as the guest sees it under
/// `/sys/class/virtio-ports/*/name`.
pub const PORT_NAME: &str = "hotcell.agent";

/// Where the agent puts the program of tools, in memory.
pub const TOOLS_PATH: &str = "/run/hotcell/tools";
