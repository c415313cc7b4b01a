//! Why a file system cannot be read.

use std::io;

/// Why a file system cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Ext4Error {
    /// The disk below cannot be read.
    #[error("the disk cannot be read")]
    Disk(#[source] io::Error),
    /// The disk holds something else.
    #[error("there is no ext4 on the disk")]
    NotExt4,
    /// It has a feature that is not understood.
    #[error("the file system uses {0}")]
    Unsupported(&'static str),
    /// It contradicts itself.
    #[error("the file system is damaged: {0} makes no sense")]
    Corrupt(&'static str),
    /// Larger than is read.
    #[error("{what} has more than {max} bytes")]
    TooLarge {
        /// What.
        what: &'static str,
        /// How large it may be.
        max: u64,
    },
    /// It is no directory.
    #[error("it is no directory")]
    NoDirectory,
    /// It is no symbolic link.
    #[error("it is no symbolic link")]
    NoLink,
    /// It is no regular file.
    #[error("it is no regular file")]
    NoFile,
}

pub(super) const fn corrupt(what: &'static str) -> Ext4Error {
    Ext4Error::Corrupt(what)
}
