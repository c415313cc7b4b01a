//! Trees as streams of bytes: tar, as POSIX extends it.
//!
//! ```text
//!   member:  [extended header ─ names, times, holes]  header  content, padded
//!   stream:  member…  two empty blocks
//! ```
//!
//! Written are names of any bytes, as they are, times to the nanosecond, and holes
//! as GNU tar's sparse format 1.0 has them. Read is what
//! tar programs write: ustar, POSIX, GNU with long names, GNU's old and new
//! sparse files.
//!
//! Field decoding is the `tar` crate's. Reading the sequence is ours, because that
//! crate reads extended headers of any announced size into memory, cuts their
//! records at line ends that are part of a name, and resolves paths by itself.

mod extension;
mod limits;
mod read;
mod sparse;
mod write;

pub use limits::Limits;
pub use read::{Content, Member, Members, Reader};
pub(crate) use write::Common;
pub use write::Writer;

/// Everything in an archive is padded to multiples of this, in bytes.
pub(crate) const BLOCK_BYTES: usize = 512;

/// A range of a file that has data: offset and length, in bytes.
pub(crate) type Range = (u64, u64);

/// Bytes that follow `bytes` up to the end of the block.
pub(crate) const fn padding(bytes: u64) -> u64 {
    let block = BLOCK_BYTES as u64;
    (block - bytes % block) % block
}
