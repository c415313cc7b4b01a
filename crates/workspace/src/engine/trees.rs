//! Trees that can be compared: what a workspace started with, and what it holds.
//!
//! ```text
//! Nothing ─────────────────┐
//! Image: seed, snapshot, ──┼─▶ Source ─▶ tree_diff::compare
//!   disk of a stopped one  │
//! Guest: its own tool ─────┘
//! ```
//!
//! A file is known by its inode and by the time at which anything about it
//! changed, and the guest's kernel copies both of an image that it mounts, so a
//! file that nobody touched is the same on both sides without being read.
//! Comparing blocks, as everything here does: it runs on a thread of its own, and
//! a question to the guest is waited for there.

mod guest;
mod image;

use guest_protocol::path::WorkspacePath;
use guest_protocol::tools::tree::{ContentId, TreeEntry};
use operation::{ErrorKind, OpError};
use tree_diff::Tree;

pub(super) use guest::GuestTree;
pub(super) use image::ImageTree;

/// A tree that can be compared.
pub(super) enum Source {
    /// With nothing in it.
    Nothing,
    /// In an image.
    Image(Box<ImageTree>),
    /// In a running guest.
    Guest(Box<GuestTree>),
}

impl From<ImageTree> for Source {
    fn from(tree: ImageTree) -> Self {
        Self::Image(Box::new(tree))
    }
}

impl Tree for Source {
    type Error = OpError;

    fn entries(&mut self) -> Result<Vec<TreeEntry>, OpError> {
        match self {
            Self::Nothing => Ok(Vec::new()),
            Self::Image(tree) => tree.entries(),
            Self::Guest(tree) => tree.entries(),
        }
    }

    fn ids(&mut self, paths: &[WorkspacePath]) -> Result<Vec<ContentId>, OpError> {
        match (self, paths) {
            (_, []) => Ok(Vec::new()),
            (Self::Nothing, [path, ..]) => Err(vanished(path)),
            (Self::Image(tree), _) => tree.ids(paths),
            (Self::Guest(tree), _) => tree.ids(paths),
        }
    }

    fn contents(&mut self, paths: &[WorkspacePath]) -> Result<Vec<Vec<u8>>, OpError> {
        match (self, paths) {
            (_, []) => Ok(Vec::new()),
            (Self::Nothing, [path, ..]) => Err(vanished(path)),
            (Self::Image(tree), _) => tree.contents(paths),
            (Self::Guest(tree), _) => tree.contents(paths),
        }
    }
}

/// The error of something that was listed and is no longer there.
fn vanished(path: &WorkspacePath) -> OpError {
    OpError::plain(ErrorKind::Conflict, format!("`{path}` changed while it was compared"))
        .hinted("try again when nothing writes to it")
}
