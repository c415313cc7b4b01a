//! What differs between two trees of files, as git tells it.
//!
//! ```text
//! tree ──entries──▶ ┐                            ┌─▶ names, kinds of change
//!                   ├ pairs ─▶ contents ─▶ renames ┤
//! tree ──entries──▶ ┘  (ids)              (similar) └─▶ patch: what `git diff --binary` prints
//! ```
//!
//! A [`Tree`] is anything that can name what lies in it and send contents: an
//! image on the host, a running guest, nothing at all. Names come first and cost
//! nothing but a walk: what has the same [`Stamp`] on both sides is the same file.
//! Only what has the same size but another stamp is compared, by the names of
//! contents, and contents themselves are asked for only where two files might be
//! one that was renamed, and for what is printed.
//!
//! git knows files, links and one bit of their modes. What it does not know
//! (empty directories, pipes and devices, other permission bits) is told as a
//! change and is in no patch. `.git` is in no tree.
//!
//! [`Stamp`]: guest_protocol::tools::tree::Stamp

mod change;
mod compare;
mod hunks;
mod id;
mod moves;
mod pair;
mod patch;
mod rename;

use guest_protocol::path::WorkspacePath;
use guest_protocol::tools::tree::{ContentId, TreeEntry};

pub use change::{Change, Content, Origin, Side, Status};
pub use compare::{Comparison, compare};
pub use id::{content_id, is_binary};
pub use patch::{CONTENT_MAX, Printed, print};

/// Something that can be compared.
pub trait Tree {
    /// Why it could not be read.
    type Error;

    /// Everything in it, in the order of [`WorkspacePath`], without `.git`.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    fn entries(&mut self) -> Result<Vec<TreeEntry>, Self::Error>;

    /// The names of contents of files and links, in the order of the paths.
    ///
    /// # Errors
    ///
    /// If they cannot be read, or one is no longer there.
    fn ids(&mut self, paths: &[WorkspacePath]) -> Result<Vec<ContentId>, Self::Error>;

    /// The contents of files and the targets of links, in the order of the paths.
    /// Whoever asks has looked at their sizes and can hold them in memory.
    ///
    /// # Errors
    ///
    /// If they cannot be read, or one is no longer there.
    fn contents(&mut self, paths: &[WorkspacePath]) -> Result<Vec<Vec<u8>>, Self::Error>;
}
