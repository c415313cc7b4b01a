//! The tool `tree`: what lies in `/workspace` as a whole, for comparing it.
//!
//! A walk's entries are bytes rather than JSON, because there may be a hundred
//! thousand of them, in the order of [`WorkspacePath`]. Each is
//!
//! ```text
//! varint  bytes that its path shares with the path before it
//! varint  length of the rest of its path, and that rest
//! u8      kind
//! varint  permission bits, size, inode
//! i64     times of modification and of change, little-endian, in nanoseconds
//! ```
//!
//! where a varint has seven bits in each byte, the low ones first. What reads
//! them accepts only paths that are normal and in order, so a merge of two
//! walks can rely on that.

mod entries;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use self::entries::{BadEntries, decode, encode};
use crate::path::WorkspacePath;
use crate::tools::file::Kind;

/// The tool's name.
pub const TOOL: &str = "tree";

/// Most entries of one walk.
pub const ENTRIES_MAX: u64 = 1_000_000;

/// Most bytes of one walk's entries.
pub const WALK_MAX: u64 = 96 << 20;

/// Most paths in one request.
pub const PATHS_MAX: usize = 10_000;

/// Most bytes of all paths in one request, so that it fits into a header even if
/// each byte is escaped.
pub const PATHS_BYTES_MAX: usize = 768 << 10;

/// What is asked of the tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum TreeRequest {
    /// Answered by [`Walked`] and that many bytes.
    Walk(Walk),
    /// Answered by [`Identified`].
    Identify(Identify),
    /// Answered by [`Sent`]; then for each path, in order, one byte, which is 1
    /// if a length (u64, little-endian) and that many bytes follow, and 0 if
    /// there is no such file or link any more.
    Contents(Contents),
}

/// Name everything, with the facts that tell whether it has changed. `.git` is
/// left out wherever it lies, and so is what other file systems hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walk {
    /// Only what lies at or below these; everything if there are none.
    #[serde(default)]
    pub paths: Vec<WorkspacePath>,
}

/// What a walk found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walked {
    /// How many bytes of entries follow.
    pub bytes: u64,
}

/// Name the contents of files, and the targets of links.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identify {
    /// Which, at most [`PATHS_MAX`].
    pub paths: Vec<WorkspacePath>,
}

/// What the contents are called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identified {
    /// One for each path, in order; `None` if there is no such file or link.
    pub ids: Vec<Option<ContentId>>,
}

/// Send the contents of files, and the targets of links.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// Which, at most [`PATHS_MAX`].
    pub paths: Vec<WorkspacePath>,
}

/// The contents follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {}

/// Something in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// Where.
    pub path: WorkspacePath,
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Size in bytes, of a file's content or a link's target.
    pub size: u64,
    /// What changes whenever it does.
    pub stamp: Stamp,
}

/// What changes whenever a file does: the kernel sets the time of change at each
/// write and to each new name, and nobody can set it to a time of their choice
/// without setting the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Its number in the file system.
    pub inode: u64,
    /// When its content changed, in nanoseconds since 1970-01-01 UTC.
    pub modified_ns: i64,
    /// When anything about it changed.
    pub changed_ns: i64,
}

/// What git calls a content: SHA-1 of `blob`, its length, and itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContentId(pub [u8; 20]);

impl ContentId {
    /// No content at all, as in git's patches.
    pub const NONE: Self = Self([0; 20]);
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ContentId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let digits = text.as_bytes();
        if digits.len() != 40 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(NotAnId);
        }
        let mut id = [0; 20];
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| NotAnId)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| NotAnId)?;
        }
        Ok(Self(id))
    }
}

impl TryFrom<String> for ContentId {
    type Error = NotAnId;

    fn try_from(text: String) -> Result<Self, NotAnId> {
        text.parse()
    }
}

impl From<ContentId> for String {
    fn from(id: ContentId) -> Self {
        id.to_string()
    }
}

/// A text that names no content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name of a content is 40 hexadecimal digits")]
pub struct NotAnId;

/// Whether a walk of these paths comes to this place: it lies in one of them, or
/// one of them in it.
#[must_use]
pub fn leads_to(paths: &[WorkspacePath], place: &WorkspacePath) -> bool {
    covers(paths, place) || paths.iter().any(|path| path.is_within(place))
}

/// Whether this place is at or below one of the paths, or there are none.
#[must_use]
pub fn covers(paths: &[WorkspacePath], place: &WorkspacePath) -> bool {
    paths.is_empty() || paths.iter().any(|path| place.is_within(path))
}
