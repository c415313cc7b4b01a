//! What the host asks of the program of tools, and what that answers.
//!
//! A tool is an ordinary command, `[TOOLS_PATH, NAME]`. Its standard input is a
//! request, its standard output one answer:
//!
//! ```text
//! header: u32 little-endian length, that many bytes of JSON
//! bulk:   raw bytes whose length the header says, or chunks
//! chunks: u32 little-endian length, that many bytes; …; a length of zero
//! ```
//!
//! Bytes that come from a source of unknown length travel in chunks, so that an
//! input that ends early is never taken for a whole one.
//!
//! The answer to a request is [`Answer`]; the exit code says only whether there
//! is one. A guest that was frozen long ago holds older tools: it ignores fields
//! that it does not know, and [`EXIT_UNKNOWN`] says that it has no such tool.

pub mod file;
pub mod patch;
pub mod probe;
pub mod search;
pub mod transfer;
pub mod tree;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Longest header, in bytes of JSON.
pub const HEADER_MAX: usize = 4 << 20;

/// Longest chunk, in bytes.
pub const CHUNK_MAX: usize = 1 << 20;

/// Exit code of a guest that has no such tool, or does not understand what is
/// asked of it.
pub const EXIT_UNKNOWN: u8 = 64;

/// What a tool answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer<T> {
    /// It was done.
    Done(T),
    /// It was not, and nothing has changed.
    Failed(Failure),
}

/// Why a tool did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// For branching.
    pub kind: FailureKind,
    /// The step that failed and its object.
    pub message: String,
    /// Why, from the nearest cause to the deepest.
    #[serde(default)]
    pub causes: Vec<String>,
    /// What to do about it.
    #[serde(default)]
    pub hints: Vec<String>,
}

/// What class of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The request makes no sense as it stands.
    Invalid,
    /// What it names does not exist.
    NotFound,
    /// It contradicts what exists.
    Conflict,
    /// It would leave `/workspace`.
    Outside,
    /// No disk space left, or too much is asked for.
    Exhausted,
    /// A step failed.
    Failed,
}

/// A header or a chunk that is longer than may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{length} bytes are more than the {max} that may be sent at once")]
pub struct TooLong {
    length: usize,
    max: usize,
}

/// A message as a header.
///
/// # Errors
///
/// If it is longer than [`HEADER_MAX`].
pub fn header<M: Serialize>(message: &M) -> Result<Vec<u8>, TooLong> {
    let json = serde_json::to_vec(message).expect("messages are plain data");
    let length = checked(json.len(), HEADER_MAX)?;
    let mut bytes = Vec::with_capacity(4 + json.len());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&json);
    Ok(bytes)
}

/// How long the header behind this prefix is.
///
/// # Errors
///
/// If it is longer than [`HEADER_MAX`].
pub fn header_length(prefix: [u8; 4]) -> Result<usize, TooLong> {
    length(prefix, HEADER_MAX)
}

/// How long the chunk behind this prefix is; zero ends the chunks.
///
/// # Errors
///
/// If it is longer than [`CHUNK_MAX`].
pub fn chunk_length(prefix: [u8; 4]) -> Result<usize, TooLong> {
    length(prefix, CHUNK_MAX)
}

/// What stands before a chunk of this length.
///
/// # Errors
///
/// If it is longer than [`CHUNK_MAX`].
pub fn chunk_prefix(length: usize) -> Result<[u8; 4], TooLong> {
    checked(length, CHUNK_MAX).map(u32::to_le_bytes)
}

/// Reads the JSON of a header.
///
/// # Errors
///
/// If it is not the JSON of `M`.
pub fn parse<M: DeserializeOwned>(json: &[u8]) -> Result<M, serde_json::Error> {
    serde_json::from_slice(json)
}

fn length(prefix: [u8; 4], max: usize) -> Result<usize, TooLong> {
    let length = usize::try_from(u32::from_le_bytes(prefix)).unwrap_or(usize::MAX);
    checked(length, max).map(|_| length)
}

fn checked(length: usize, max: usize) -> Result<u32, TooLong> {
    if length > max {
        return Err(TooLong { length, max });
    }
    u32::try_from(length).map_err(|_| TooLong { length, max })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_bounded_both_ways() {
        let bytes = header(&Answer::Done(1_u8)).unwrap();
        assert_eq!(&bytes, b"\x0a\0\0\0{\"done\":1}");
        assert_eq!(header_length(bytes[..4].try_into().unwrap()), Ok(10));
        assert!(header_length([0xff; 4]).is_err());
        assert!(header(&"x".repeat(HEADER_MAX)).is_err());
        assert!(chunk_prefix(CHUNK_MAX).is_ok_and(|prefix| chunk_length(prefix) == Ok(CHUNK_MAX)));
        assert!(chunk_prefix(CHUNK_MAX + 1).is_err());
    }
}
