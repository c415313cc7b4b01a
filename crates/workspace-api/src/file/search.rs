//! Lines that match a pattern.

use std::fmt::Write as _;

use operation::{Effect, Example, NoEvents, Operation, Present, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Selection;
use crate::id::WorkspaceRef;
use crate::path::PathText;

/// How many matching lines are told unless somebody asks for more.
pub(super) const SEARCH_DEFAULT: u32 = 200;

const fn search_default() -> u32 {
    SEARCH_DEFAULT
}

/// Search the files of a workspace for a pattern
///
/// The pattern is a regular expression as ripgrep takes it. `.git`, binary
/// files and what ignore files name are skipped. Capitals matter only if the
/// pattern has some, unless asked otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// What to look for
    pub pattern: String,
    /// Directory or file in /workspace
    #[arg(default_value_t)]
    #[serde(default)]
    pub path: PathText,
    /// Which entries
    #[command(flatten)]
    #[serde(default)]
    pub selection: Selection,
    /// Take the pattern as it is, not as a regular expression
    #[arg(long)]
    #[serde(default)]
    pub literal: bool,
    /// Capitals matter
    #[arg(long)]
    #[serde(default)]
    pub case_sensitive: bool,
    /// Lines of context around each match
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=50))]
    #[serde(default)]
    #[schemars(range(max = 50))]
    pub context: u32,
    /// Most matching lines
    #[arg(long, default_value_t = SEARCH_DEFAULT, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    #[serde(default = "search_default")]
    #[schemars(range(min = 1, max = 10_000))]
    pub limit: u32,
}

impl Operation for Search {
    type Output = Found;
    type Event = NoEvents;
    const NAME: &'static str = "file.search";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] = &[Example {
        argv: r#"demo TryFrom src --context 2"#,
        json: r#"{"workspace": "demo", "pattern": "TryFrom", "path": "src", "context": 2}"#,
    }];
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Found {
    /// The lines, in order of path and number.
    pub lines: Vec<FoundLine>,
    /// How many of them match; the others are context.
    pub matches: u64,
    /// How many files have one.
    pub files: u64,
    /// How many files were looked into.
    pub searched: u64,
    /// Whether there may be more than is told.
    pub truncated: bool,
}

/// A line that matches, or stands around one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FoundLine {
    /// The file.
    pub path: String,
    /// Counted from one.
    pub line: u64,
    /// Where the first match begins, in bytes counted from one; none for context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
    /// The line, at most 500 bytes of it.
    pub text: String,
    /// Whether the line is longer.
    #[serde(default)]
    pub cut: bool,
}

impl Present for Found {
    fn present(&self, screen: &mut Screen) {
        for line in &self.lines {
            let mark = if line.column.is_some() { ':' } else { '-' };
            let mut told = format!("{}{mark}{}{mark}{}", line.path, line.line, line.text);
            if line.cut {
                let _ = write!(told, "…");
            }
            screen.line(told);
        }
        let Self { matches, files, searched, .. } = self;
        screen.note(format!("{matches} lines in {files} files; {searched} files searched"));
        if self.truncated {
            screen.note("There may be more: narrow the search, or raise --limit");
        }
    }

    fn exit_code(&self) -> u8 {
        u8::from(self.matches == 0)
    }
}
