//! Disks of guests, read on the host: without root, without mounting, and
//! without booting anything.
//!
//! ```text
//! path ─▶ Ext4 ─▶ inode ─▶ extents ─▶ block ─▶ journal ─▶ Disk: raw image or layers
//! ```
//!
//! A guest wrote these bytes, or a monitor that a guest may have taken over. So
//! nothing in them is believed: every number is checked before it is used as a
//! place or a length, every list has a limit, and no chain of references is
//! followed further than its limit allows. What is not understood is refused and
//! never guessed. Nothing is ever written.
//!
//! The reader is our own because it has to tell numbers of inodes and times of
//! change, which the libraries keep to themselves; `ext4-view` is the judge in the
//! tests.

mod bytes;
mod disk;
pub mod ext4;
mod layers;

pub use disk::{Disk, Raw};
pub use layers::{LayerError, Layers};
