//! The tool `transfer`: trees of `/workspace` that cross: listed, hashed, sent and received.
//!
//! Long lists travel in chunks, each a JSON array, so that no tree is too large
//! for a header. Archives are tar as the crate `file-tree` writes it.

use serde::{Deserialize, Serialize};

use super::file::Kind;
use crate::path::WorkspacePath;

/// The tool's name.
pub const TOOL: &str = "transfer";

/// Most entries of one tree.
pub const ENTRIES_MAX: usize = 1_000_000;

/// Most entries of one chunk of a listing: with the longest names it fits into
/// [`super::CHUNK_MAX`] nevertheless, see [`LISTED_BYTES`].
pub const LISTED_MAX: usize = 1024;

/// A chunk of a listing is sent when it has about so many bytes.
pub const LISTED_BYTES: usize = 256 * 1024;

/// Most paths in one request.
pub const PATHS_MAX: usize = 8192;

/// Most bytes of paths in one request, so that it fits into a header however
/// they have to be quoted.
pub const PATHS_BYTES: usize = 512 * 1024;

/// Most files that change together by one [`Receive`].
pub const RECEIVED_MAX: usize = 20_000;

/// What is asked of the tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum TransferRequest {
    /// Answered by [`Listing`] and chunks of [`Listed`].
    List(List),
    /// Answered by [`Hashes`].
    Hash(Hash),
    /// Answered by [`Packed`] and an archive, up to the end of the output. The
    /// exit code says whether it is whole.
    Pack(Pack),
    /// Followed by an archive in chunks. Answered by [`Received`].
    Receive(Receive),
}

/// Name everything below a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// The directory. One that is not there has nothing in it.
    pub path: WorkspacePath,
    /// What is passed over, with everything in it; relative to the directory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<WorkspacePath>,
}

/// A directory whose content follows in chunks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// How many entries follow.
    pub entries: u64,
}

/// Something that lies in a directory. Each directory is followed by its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Where, relative to the directory that was asked for; `.` is itself.
    pub path: WorkspacePath,
    /// What it is.
    pub kind: Kind,
    /// Size in bytes, of a file's content or a link's target.
    pub bytes: u64,
    /// Permission bits.
    pub mode: u32,
    /// When its content changed: whole seconds since 1970-01-01 UTC.
    pub seconds: i64,
    /// The nanoseconds after them.
    pub nanoseconds: u32,
    /// Where a symbolic link points, as [`crate::path::quote`] writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// Say what is in some files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hash {
    /// The directory that the names are relative to.
    pub path: WorkspacePath,
    /// The files, at most [`PATHS_MAX`] and [`PATHS_BYTES`].
    pub files: Vec<WorkspacePath>,
}

/// What is in some files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hashes {
    /// SHA-256 of each in the order of the request, in hexadecimal digits; none
    /// of what is no regular file.
    pub hashes: Vec<Option<String>>,
}

/// Send a file, a link, or a directory with everything in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pack {
    /// What; a symbolic link is sent itself.
    pub path: WorkspacePath,
    /// Only these files below it, at most [`PATHS_MAX`] and [`PATHS_BYTES`]. What
    /// is not there is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Vec<WorkspacePath>>,
    /// Most entries.
    pub entries_max: u64,
}

/// What is sent. A directory's content has names relative to it; anything else
/// is the only member and has its own name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packed {
    /// What it is.
    pub kind: Kind,
    /// Its name; empty for `/workspace` itself.
    pub name: String,
    /// Files, directories and links, the outermost included.
    pub entries: u64,
    /// Bytes of the files' contents, holes not counted.
    pub bytes: u64,
    /// Sockets and devices, which are not sent: the first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<WorkspacePath>,
    /// How many there are.
    #[serde(default)]
    pub left_out_total: u64,
}

/// Most names in [`Packed::left_out`].
pub const LEFT_OUT_MAX: usize = 100;

/// Change files below a directory: all that is asked, or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receive {
    /// The directory; it is made if it is not there.
    pub path: WorkspacePath,
    /// What to remove first, at most [`PATHS_MAX`] and [`PATHS_BYTES`]: files, and
    /// directories that have nothing in them that stays.
    pub remove: Vec<WorkspacePath>,
}

/// What was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// Files, links and pipes that were put in place.
    pub files: u64,
    /// Bytes of the files' contents.
    pub bytes: u64,
    /// What was removed.
    pub removed: u64,
}
