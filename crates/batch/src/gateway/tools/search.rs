//! Finding files and text in the repository.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Deserialize;
use workspace_api::file::{EntryKind, FoundLine, List, Search, Selection};
use workspace_api::path::PathText;

use super::{Answer, Tool};
use crate::engine::Trouble;
use crate::gateway::lane::Lane;

/// Most files that are listed.
const FILES_MAX: u32 = 500;

/// Matching lines that are shown unless more are asked for.
const LINES_DEFAULT: u32 = 250;

/// Most matching lines that can be asked for.
const LINES_MAX: u32 = 5_000;

/// Most lines of context.
const CONTEXT_MAX: u32 = 50;

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Glob {
    /// Such as **/*.rs or src/**/*.ts.
    pattern: String,
    /// Directory to look in [default: /workspace].
    path: Option<String>,
}

impl Tool for Glob {
    const NAME: &'static str = "Glob";
    const ABOUT: &'static str = "Lists the files of the repository whose names match a pattern. What .gitignore \
                                 names is left out.";

    async fn call(self, lane: &Lane) -> Result<Answer, Trouble> {
        let path = place(self.path)?;
        let selection = Selection { glob: vec![self.pattern], ignored: false };
        let list = |workspace| List {
            workspace,
            path,
            recursive: true,
            selection,
            after: None,
            limit: FILES_MAX,
        };
        let listed = lane.cell()?.ask(list).await?;
        let mut text = String::new();
        for entry in listed.entries.iter().filter(|entry| entry.kind != EntryKind::Directory) {
            let _ = writeln!(text, "{}", entry.path);
        }
        if listed.next.is_some() {
            text.push_str("[… there are more: use a narrower pattern …]\n");
        }
        Ok(Answer::text(if text.is_empty() { "No files found".to_owned() } else { text }))
    }
}

/// What is shown of what was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Shown {
    /// The names of files.
    #[default]
    FilesWithMatches,
    /// The lines.
    Content,
    /// How many lines, by file.
    Count,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Grep {
    /// A regular expression, as ripgrep takes it.
    pattern: String,
    /// File or directory to look in [default: /workspace].
    path: Option<String>,
    /// Only files whose names match, such as *.rs.
    glob: Option<String>,
    /// Names of files (the default), lines, or counts.
    #[serde(default)]
    output_mode: Shown,
    /// Capitals do not matter.
    #[serde(default, rename = "-i")]
    ignore_case: bool,
    /// Lines of context, with output_mode content.
    #[serde(default, rename = "-C")]
    context: u32,
    /// Most lines.
    head_limit: Option<u32>,
}

impl Tool for Grep {
    const NAME: &'static str = "Grep";
    const ABOUT: &'static str =
        "Searches the files of the repository. What .gitignore names is left out.";

    async fn call(self, lane: &Lane) -> Result<Answer, Trouble> {
        let path = place(self.path)?;
        let pattern = if self.ignore_case { format!("(?i){}", self.pattern) } else { self.pattern };
        let selection = Selection { glob: self.glob.into_iter().collect(), ignored: false };
        let context =
            if self.output_mode == Shown::Content { self.context.min(CONTEXT_MAX) } else { 0 };
        let limit = self.head_limit.unwrap_or(LINES_DEFAULT).clamp(1, LINES_MAX);
        let search = |workspace| Search {
            workspace,
            pattern,
            path,
            selection,
            literal: false,
            case_sensitive: true,
            context,
            limit,
        };
        let found = lane.cell()?.ask(search).await?;
        let mut text = match self.output_mode {
            Shown::Content => lines(&found.lines),
            Shown::FilesWithMatches => {
                by_file(&found.lines).into_keys().map(|path| format!("{path}\n")).collect()
            }
            Shown::Count => {
                let counts = by_file(&found.lines).into_iter();
                counts.map(|(path, count)| format!("{path}:{count}\n")).collect()
            }
        };
        if found.truncated {
            text.push_str("[… there is more: use a narrower pattern or a larger head_limit …]\n");
        }
        Ok(Answer::text(if text.is_empty() { "No matches found".to_owned() } else { text }))
    }
}

fn place(path: Option<String>) -> Result<PathText, Trouble> {
    Ok(path.map(|path| path.parse()).transpose()?.unwrap_or_default())
}

fn lines(found: &[FoundLine]) -> String {
    let mut text = String::new();
    for line in found {
        // Context has no column, and is told apart as grep does it.
        let mark = if line.column.is_some() { ':' } else { '-' };
        let _ = writeln!(text, "{}{mark}{}{mark}{}", line.path, line.line, line.text);
    }
    text
}

fn by_file(found: &[FoundLine]) -> BTreeMap<&str, usize> {
    let mut files = BTreeMap::new();
    for line in found {
        *files.entry(&*line.path).or_default() += 1;
    }
    files
}
