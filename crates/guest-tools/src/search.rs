//! The tool `search`: ripgrep's engine over the selected files.
//!
//! A search ends when it has found enough, so what it answers is bounded
//! whatever lies in the workspace. Files with a NUL byte are data and are left
//! at that byte.

use std::io::{self, Read, Write};

use grep_matcher::Matcher as _;
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::{
    BinaryDetection, Searcher, SearcherBuilder, Sink, SinkContext, SinkFinish, SinkMatch,
};
use guest_protocol::path::WorkspacePath;
use guest_protocol::tools::file::Depth;
use guest_protocol::tools::search::{
    CONTEXT_MAX, Case, FOUND_BYTES_MAX, Found, LINE_MAX, Line, MATCHES_MAX, Search, Syntax,
};

use crate::error::ToolError;
use crate::root::Root;
use crate::selection::Selected;
use crate::wire;

/// Longest line that is searched, in bytes: it has to be held in memory.
const HEAP_MAX: usize = 64 << 20;

/// Largest program that a pattern may become, in bytes.
const PATTERN_MAX: usize = 16 << 20;

/// Reads a request and answers it.
///
/// # Errors
///
/// If the request is not understood or the answer cannot be told.
pub fn serve(
    root: Result<Root, ToolError>,
    input: &mut impl Read,
    output: &mut impl Write,
) -> Result<(), ToolError> {
    let request: Search = wire::request(input)?;
    wire::answer(output, root.and_then(|root| search(&root, &request)))
}

fn search(root: &Root, search: &Search) -> Result<Found, ToolError> {
    let matcher = RegexMatcherBuilder::new()
        .fixed_strings(search.syntax == Syntax::Literal)
        .case_insensitive(search.case == Case::Insensitive)
        .case_smart(search.case == Case::Smart)
        .line_terminator(Some(b'\n'))
        .size_limit(PATTERN_MAX)
        .dfa_size_limit(PATTERN_MAX)
        .build(&search.pattern)
        .map_err(ToolError::Pattern)?;
    let context = usize::try_from(search.context.min(CONTEXT_MAX)).unwrap_or(0);
    let mut searcher = SearcherBuilder::new()
        .line_number(true)
        .before_context(context)
        .after_context(context)
        .binary_detection(BinaryDetection::quit(0))
        .heap_limit(Some(HEAP_MAX))
        .build();
    let start = root.real(&search.path)?;
    let mut collector = Collector {
        matcher: &matcher,
        path: start.clone(),
        limit: u64::from(search.limit.min(MATCHES_MAX)),
        bytes: 0,
        in_file: 0,
        found: Found { lines: Vec::new(), matches: 0, files: 0, searched: 0, truncated: false },
    };
    for walked in Selected::new(root, start, Depth::Deep, &search.selection)? {
        let walked = walked?;
        if !walked.entry.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        if collector.found.truncated {
            break;
        }
        collector.path = walked.path;
        collector.in_file = 0;
        collector.found.searched += 1;
        match searcher.search_path(&matcher, walked.entry.path(), &mut collector) {
            // It went away, may not be read, or has a line without end.
            Err(error) if is_skipped(&error) => {}
            done => done.map_err(ToolError::at("search", &collector.path))?,
        }
        collector.found.files += u64::from(collector.in_file > 0);
    }
    Ok(collector.found)
}

fn is_skipped(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::Other
    )
}

/// Takes the lines that a searcher finds.
struct Collector<'a> {
    matcher: &'a RegexMatcher,
    path: WorkspacePath,
    limit: u64,
    bytes: usize,
    in_file: u64,
    found: Found,
}

impl Collector<'_> {
    fn push(&mut self, number: Option<u64>, column: Option<u64>, line: &[u8]) {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let told = &line[..line.len().min(LINE_MAX)];
        self.bytes += told.len() + self.path.as_bytes().len();
        self.found.lines.push(Line {
            path: self.path.clone(),
            number: number.unwrap_or(0),
            column,
            text: String::from_utf8_lossy(told).into_owned(),
            cut: told.len() < line.len(),
        });
    }
}

impl Sink for Collector<'_> {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> io::Result<bool> {
        if self.found.matches >= self.limit || self.bytes >= FOUND_BYTES_MAX {
            self.found.truncated = true;
            return Ok(false);
        }
        let line = found.bytes();
        let column = self.matcher.find(line)?.map(|found| found.start() as u64 + 1);
        self.push(found.line_number(), column.or(Some(1)), line);
        self.found.matches += 1;
        self.in_file += 1;
        Ok(true)
    }

    fn context(&mut self, _: &Searcher, context: &SinkContext<'_>) -> io::Result<bool> {
        self.push(context.line_number(), None, context.bytes());
        Ok(true)
    }

    fn finish(&mut self, _: &Searcher, _: &SinkFinish) -> io::Result<()> {
        Ok(())
    }
}
