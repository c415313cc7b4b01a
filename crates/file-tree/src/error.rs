//! What can go wrong with a tree, a variant per step, with its object.

use std::io;
use std::path::PathBuf;

use crate::path::{NotATreePath, TreePath};

/// Why a tree could not be listed, copied, packed or unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// The root cannot be opened.
    #[error("cannot open {}", path.display())]
    Root {
        /// The root.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something below the root cannot be read or written.
    #[error("cannot {action} {path}")]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// With what.
        path: TreePath,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A name on the way to a file is a symbolic link, so it is not followed.
    #[error("{path} lies behind a symbolic link")]
    BehindLink {
        /// The file.
        path: TreePath,
    },
    /// A file changed while it was read.
    #[error("{path} changed while it was read")]
    Changed {
        /// The file.
        path: TreePath,
    },
    /// The stream broke off or could not be written.
    #[error("cannot {action} the archive")]
    Stream {
        /// What was tried, as a verb.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The archive is not what programs for archives write.
    #[error("the archive is damaged: {0}")]
    Damaged(&'static str),
    /// The archive has something that is not read here.
    #[error("the archive has {0}, which are not read here")]
    Unsupported(&'static str),
    /// A member would lie outside.
    #[error("the archive has a member that is not allowed")]
    Member(#[from] NotATreePath),
    /// The archive, or the tree, has more of something than is allowed.
    #[error("there are more than {max} {what}")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How much is allowed.
        max: u64,
    },
    /// The caller no longer wants it.
    #[error("cancelled")]
    Cancelled,
}

impl TreeError {
    pub(crate) fn file(
        action: &'static str,
        path: &TreePath,
    ) -> impl FnOnce(rustix::io::Errno) -> Self {
        let path = path.clone();
        move |errno| match errno {
            // What `openat2` says when a link is on the way.
            rustix::io::Errno::LOOP => Self::BehindLink { path },
            _ => Self::File { action, path, source: errno.into() },
        }
    }

    pub(crate) fn io(action: &'static str, path: &TreePath) -> impl FnOnce(io::Error) -> Self {
        let path = path.clone();
        move |source| Self::File { action, path, source }
    }

    /// The cause at the file system, if that is what failed.
    #[must_use]
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Root { source, .. } | Self::File { source, .. } | Self::Stream { source, .. } => {
                Some(source.kind())
            }
            _ => None,
        }
    }
}
