//! Trees of files: listed, copied, packed and unpacked, and never left.
//!
//! Whatever crosses between host and guest is a tree, and one side of it is
//! always foreign: a repository, an archive, a guest. So one crate, used on both
//! sides, holds the rules:
//!
//! * A [`TreePath`] names something below a root. It cannot be absolute and has
//!   no `..`, whoever made it.
//! * A [`Root`] is an open directory. Everything below it is opened through
//!   `openat2` with `RESOLVE_BENEATH` and `RESOLVE_NO_SYMLINKS`, so neither a
//!   path nor a symbolic link that appears at the wrong moment leads out.
//! * `walk` lists what lies below a root, [`archive::Reader`] and [`archive::Writer`] turn a
//!   tree into a stream and back. The format is tar as POSIX extends it: any
//!   bytes as names, times to the nanosecond, hard links, holes.
//! * [`Limits`] bound what an archive may make of us before it is believed.
//!
//! ```text
//!   Root ──walk──▶ Entry… ──copy───▶ Root
//!                    └──────pack───▶ Writer ─ bytes ─▶ Reader ──unpack──▶ Root
//! ```
//!
//! Owners are neither read nor written: in the guest everything is root's, on
//! the host everything is the caller's. Extended attributes are not carried.

pub mod archive;
mod beneath;
mod copy;
mod entry;
mod error;
mod pack;
mod path;
mod unpack;
mod walk;

pub use archive::Limits;
pub use beneath::{Directories, Root};
pub use copy::copy;
pub use entry::{Entry, Kind, Moment};
pub use error::TreeError;
pub use pack::pack;
pub use path::{NotATreePath, TreePath};
pub use unpack::{LeftOut, Replacing, SetId, Unpacked, unpack};
pub use walk::{Found, walk};
