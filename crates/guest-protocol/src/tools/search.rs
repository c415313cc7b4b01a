//! The tool `search`: lines that match a pattern.

use serde::{Deserialize, Serialize};

use super::file::Selection;
use crate::path::WorkspacePath;

/// The tool's name.
pub const TOOL: &str = "search";

/// Most matching lines of one search.
pub const MATCHES_MAX: u32 = 10_000;

/// Most lines of context on each side.
pub const CONTEXT_MAX: u32 = 50;

/// Longest part of a line that is told, in bytes.
pub const LINE_MAX: usize = 500;

/// Bytes of lines after which a search ends.
pub const FOUND_BYTES_MAX: usize = 1 << 20;

/// What to look for, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Search {
    /// What to look for.
    pub pattern: String,
    /// How the pattern is meant.
    pub syntax: Syntax,
    /// Whether capitals matter.
    pub case: Case,
    /// The directory or file to look in.
    pub path: WorkspacePath,
    /// Which files.
    #[serde(default)]
    pub selection: Selection,
    /// Lines before and after each match, at most [`CONTEXT_MAX`].
    pub context: u32,
    /// Most matching lines, at most [`MATCHES_MAX`].
    pub limit: u32,
}

/// How a pattern is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Syntax {
    /// A regular expression of the crate `regex`.
    Regex,
    /// Exactly this text.
    Literal,
}

/// Whether capitals matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Case {
    /// They do.
    Sensitive,
    /// They do not.
    Insensitive,
    /// They do if the pattern has any.
    Smart,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The lines, in order of path and number.
    pub lines: Vec<Line>,
    /// How many of them match; the others are context.
    pub matches: u64,
    /// How many files have one.
    pub files: u64,
    /// How many files were looked into.
    pub searched: u64,
    /// Whether there may be more than is told.
    pub truncated: bool,
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The file.
    pub path: WorkspacePath,
    /// Counted from one.
    pub number: u64,
    /// Where in the line the first match begins, in bytes counted from one;
    /// `None` for a line of context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
    /// The line without its end; bytes that are no UTF-8 are replaced.
    pub text: String,
    /// Whether the line is longer than [`LINE_MAX`].
    #[serde(default)]
    pub cut: bool,
}
