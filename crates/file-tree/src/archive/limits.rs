//! What an archive may make of us.

/// What is accepted of one archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most members.
    pub members: u64,
    /// Most bytes of content, holes not counted.
    pub bytes: u64,
    /// Longest file, in bytes, holes counted.
    pub file_bytes: u64,
}

impl Limits {
    /// Longest extended header, in bytes: room for the longest names and for the
    /// holes of a well-used disk image.
    pub const EXTENSION_BYTES: u64 = 1024 * 1024;
    /// Most ranges of data in one file with holes.
    pub const RANGES: usize = 65_536;
}
