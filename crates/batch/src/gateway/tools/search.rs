//! Finding files and text in the repository.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Deserialize;
use workspace_api::file::{EntryKind, FoundLine, List, Search, Selection};
use workspace_api::path::PathText;

use super::Answer;
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

/// The files whose names match.
pub(super) async fn files(
    lane: &Lane,
    pattern: String,
    path: Option<String>,
) -> Result<Answer, Trouble> {
    let path = place(path)?;
    let selection = Selection { glob: vec![pattern], ignored: false };
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

/// What is shown of what was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Shown {
    /// The names of files.
    #[default]
    FilesWithMatches,
    /// The lines.
    Content,
    /// How many lines, by file.
    Count,
}

/// What is looked for, and where.
#[derive(Debug)]
pub(super) struct Sought {
    /// A regular expression.
    pub(super) pattern: String,
    pub(super) path: Option<String>,
    /// Only files whose names match.
    pub(super) glob: Option<String>,
    pub(super) ignore_case: bool,
    /// Lines of context, if lines are shown.
    pub(super) context: u32,
    /// Most lines.
    pub(super) limit: Option<u32>,
}

/// What is in files.
pub(super) async fn text(lane: &Lane, sought: Sought, shown: Shown) -> Result<Answer, Trouble> {
    let Sought { pattern, path, glob, ignore_case, context, limit } = sought;
    let path = place(path)?;
    let pattern = if ignore_case { format!("(?i){pattern}") } else { pattern };
    let selection = Selection { glob: glob.into_iter().collect(), ignored: false };
    let context = if shown == Shown::Content { context.min(CONTEXT_MAX) } else { 0 };
    let limit = limit.unwrap_or(LINES_DEFAULT).clamp(1, LINES_MAX);
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
    let mut text = match shown {
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
        text.push_str("[… there is more: use a narrower pattern or a higher limit …]\n");
    }
    Ok(Answer::text(if text.is_empty() { "No matches found".to_owned() } else { text }))
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
