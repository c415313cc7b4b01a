//! Markdown as lines that say what they are.
//!
//! A packet is read by lines, because that is how its values are written
//! (`**Size:** M`), but what a line *is* only Markdown can say: a heading in a block
//! of code is none. So the text is parsed as CommonMark, and of the structure that
//! comes out only this is kept: which lines are headings, items, rows of tables, code
//! or comments. Comments within a line are blanked.
//!
//! Two readings of Markdown are not the ones of people who write packets, and are
//! undone: a line above `---` is no heading but a line above a divider, and a heading
//! that does not begin its line (in a list, in a quotation) is text.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag};

use crate::problem::{Fault, Problems, Quote, visible};

/// A line that is not blank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// Counted from one.
    pub(crate) number: u32,
    pub(crate) kind: Kind,
    /// Without the marks of its kind, without control characters, trimmed.
    pub(crate) text: String,
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A heading and its level.
    Heading(u8),
    /// The first line of an item of a list.
    Item,
    /// A row of a table; its text is still the whole line.
    Row,
    /// Any other text.
    Prose,
    /// In a quotation.
    Quoted,
    /// In a fenced block of code.
    Code,
    /// A line across the page.
    Rule,
}

/// The lines of a text. Everything before a problem is as it would be without it.
pub(crate) fn lines(text: &str, problems: &mut Problems) -> Vec<Line> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut page = Page::new(text);
    for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
        page.take(&event, range, problems);
    }
    page.finish(problems)
}

/// What is known of a line while the text is parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Kind(Kind),
    /// In an indented block of code, or in HTML: it should not look as if it counted.
    Hidden(&'static str),
    /// Not there: a comment, or the fence of a block of code.
    Gone,
}

struct Page<'t> {
    text: &'t str,
    /// Where each line begins.
    starts: Vec<usize>,
    seen: Vec<Seen>,
    /// Comments within lines.
    blanked: Vec<Range<usize>>,
}

impl<'t> Page<'t> {
    fn new(text: &'t str) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        let mut starts: Vec<usize> = std::iter::once(0).chain(breaks).collect();
        if starts.last() == Some(&text.len()) {
            starts.pop();
        }
        let seen = vec![Seen::Kind(Kind::Prose); starts.len()];
        Self { text, starts, seen, blanked: Vec::new() }
    }

    /// The line that holds a byte, counted from zero.
    fn line_of(&self, at: usize) -> usize {
        self.starts.partition_point(|start| *start <= at).saturating_sub(1)
    }

    fn lines_of(&self, range: &Range<usize>) -> Range<usize> {
        if range.is_empty() || self.starts.is_empty() {
            return 0..0;
        }
        self.line_of(range.start)..self.line_of(range.end - 1) + 1
    }

    fn raw(&self, line: usize) -> &'t str {
        let end = self.starts.get(line + 1).copied().unwrap_or(self.text.len());
        self.text[self.starts[line]..end].trim_end_matches(['\n', '\r'])
    }

    fn mark(&mut self, range: &Range<usize>, seen: Seen) {
        for line in self.lines_of(range) {
            self.seen[line] = seen;
        }
    }

    /// Whether nothing but spaces stands before a byte in its line.
    fn begins_line(&self, at: usize) -> bool {
        self.text[self.starts[self.line_of(at)]..at].bytes().all(|byte| byte == b' ')
    }

    fn number(line: usize) -> u32 {
        u32::try_from(line + 1).unwrap_or(u32::MAX)
    }

    fn take(&mut self, event: &Event<'_>, range: Range<usize>, problems: &mut Problems) {
        match event {
            Event::Start(Tag::BlockQuote(_)) => self.mark(&range, Seen::Kind(Kind::Quoted)),
            Event::Start(Tag::Heading { level, .. }) => self.heading(*level, &range),
            Event::Start(Tag::Item) => self.first(&range, Kind::Item),
            Event::Start(Tag::TableHead | Tag::TableRow) => self.first(&range, Kind::Row),
            Event::Start(Tag::CodeBlock(CodeBlockKind::Indented)) => {
                self.mark(&range, Seen::Hidden("an indented code block"));
            }
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_))) => self.fenced(&range, problems),
            Event::Start(Tag::HtmlBlock) => {
                let block = &self.text[range.clone()];
                let is_comment = block.trim_start().starts_with("<!--");
                if is_comment && !block.contains("-->") {
                    problems.add(Self::number(self.line_of(range.start)), Fault::OpenComment);
                }
                let seen = if is_comment { Seen::Gone } else { Seen::Hidden("HTML") };
                self.mark(&range, seen);
            }
            Event::InlineHtml(html) if html.starts_with("<!--") => self.blanked.push(range),
            Event::Rule => self.first(&range, Kind::Rule),
            _ => {}
        }
    }

    /// Says what the first line of a block is, unless it is in a quotation.
    fn first(&mut self, range: &Range<usize>, kind: Kind) {
        let line = self.line_of(range.start);
        if let Some(seen) = self.seen.get_mut(line).filter(|it| **it != Seen::Kind(Kind::Quoted)) {
            *seen = Seen::Kind(kind);
        }
    }

    fn heading(&mut self, level: HeadingLevel, range: &Range<usize>) {
        let is_marked = self.text[range.start..].starts_with('#');
        if is_marked && self.begins_line(range.start) {
            self.first(range, Kind::Heading(level as u8));
        } else if !is_marked {
            let under = self.lines_of(range).next_back().filter(|line| {
                let mut bytes = self.raw(*line).trim().bytes();
                bytes.len() > 0 && bytes.all(|byte| matches!(byte, b'-' | b'='))
            });
            let Some(line) = under.filter(|line| self.seen[*line] == Seen::Kind(Kind::Prose))
            else {
                return;
            };
            self.seen[line] = Seen::Kind(Kind::Rule);
            if level == HeadingLevel::H1 {
                self.first(range, Kind::Heading(1));
            }
        }
    }

    fn fenced(&mut self, range: &Range<usize>, problems: &mut Problems) {
        let mut lines = self.lines_of(range);
        self.mark(range, Seen::Kind(Kind::Code));
        let Some(first) = lines.next() else { return };
        let fence = if self.text[range.start..].starts_with('~') { '~' } else { '`' };
        let bare = |line: usize| self.raw(line).trim_start_matches([' ', '\t', '>']).trim_end();
        let last = lines.next_back().filter(|line| {
            let text = bare(*line);
            text.len() >= 3 && text.chars().all(|c| c == fence)
        });
        self.seen[first] = Seen::Gone;
        match last {
            Some(last) => self.seen[last] = Seen::Gone,
            // A block in a list or a quotation ends with it; one that reaches the end
            // of the file hides what somebody meant to say.
            None if range.end >= self.text.trim_end().len() => {
                problems.add(Self::number(first), Fault::OpenFence);
            }
            None => {}
        }
    }

    fn finish(self, problems: &mut Problems) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut blanked = self.blanked.iter().peekable();
        for (index, seen) in self.seen.iter().enumerate() {
            let raw = self.raw(index);
            let mut text: String = raw.chars().map(|c| if c == '\t' { ' ' } else { c }).collect();
            let start = self.starts[index];
            let end = start + raw.len();
            while let Some(hole) = blanked.peek().filter(|hole| hole.start < end) {
                let hidden = hole.start.max(start) - start..hole.end.min(end) - start;
                let spaces = " ".repeat(hidden.len());
                text.replace_range(hidden, &spaces);
                if hole.end > end {
                    break;
                }
                blanked.next();
            }
            let number = Self::number(index);
            match *seen {
                Seen::Gone => {}
                Seen::Hidden(place) => {
                    if looks_relevant(&text) {
                        problems.add(number, Fault::Hidden(Quote::new(text.trim()), place));
                    }
                }
                Seen::Kind(kind) => {
                    let text = bare(kind, &text);
                    if !text.is_empty() || kind == Kind::Rule {
                        let text = text.chars().map(visible).collect();
                        lines.push(Line { number, kind, text });
                    }
                }
            }
        }
        lines
    }
}

/// A line without the marks of its kind.
fn bare(kind: Kind, line: &str) -> &str {
    let line = line.trim();
    match kind {
        Kind::Heading(_) => {
            let text = line.trim_start_matches('#').trim();
            let closed = text.trim_end_matches('#');
            if closed.ends_with(' ') || closed.is_empty() { closed.trim() } else { text }
        }
        Kind::Item => {
            let line = line.trim_start_matches(['>', ' ']);
            let number = line.trim_start_matches(|c: char| c.is_ascii_digit());
            let rest = if number.len() < line.len() {
                number.strip_prefix(['.', ')'])
            } else {
                line.strip_prefix(['-', '*', '+'])
            };
            rest.unwrap_or(line).trim()
        }
        Kind::Quoted => line.trim_start_matches(['>', ' ']),
        Kind::Rule => "",
        Kind::Row | Kind::Prose | Kind::Code => line,
    }
}

/// Whether somebody may have meant a heading of a step or a box.
fn looks_relevant(line: &str) -> bool {
    let line = line.trim();
    let heading = line.trim_start_matches('#');
    let is_step = heading.len() < line.len()
        && heading.trim_start().get(..4).is_some_and(|word| word.eq_ignore_ascii_case("step"));
    let item = line.strip_prefix(['-', '*', '+']).map(str::trim_start);
    is_step || item.is_some_and(|item| ["[ ]", "[x]", "[X]"].iter().any(|it| item.starts_with(it)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> (Vec<String>, Vec<String>) {
        let mut problems = Problems::default();
        let lines = lines(text, &mut problems);
        let lines = lines.iter().map(|it| format!("{} {:?} {}", it.number, it.kind, it.text));
        let problems = problems.into_sorted();
        let problems = problems.iter().map(|it| format!("{}: {}", it.line, it.fault));
        (lines.collect(), problems.collect())
    }

    #[test]
    fn a_line_is_what_markdown_says_it_is() {
        let text = "\u{feff}# One #\r\ntext\r\n---\n- a\n  - [x] b\n    more\n1. c\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n> ### no\n";
        let (lines, problems) = told(text);
        assert_eq!(
            lines,
            [
                "1 Heading(1) One",
                "2 Prose text",
                "3 Rule ",
                "4 Item a",
                "5 Item [x] b",
                "6 Prose more",
                "7 Item c",
                "9 Row | a | b |",
                "10 Prose |---|---|",
                "11 Row | 1 | 2 |",
                "13 Quoted ### no",
            ]
        );
        assert!(problems.is_empty(), "{problems:?}");
    }

    #[test]
    fn what_stands_in_code_and_comments_is_not_seen() {
        let text = "a <!-- **Size:** L --> b\n\n```md\n### Step 1: no\n```\n<!--\n### Step 2: no\n-->\n- [ ] real <!-- x\n y --> z\n";
        let (lines, problems) = told(text);
        assert_eq!(
            lines,
            [
                "1 Prose a                      b",
                "4 Code ### Step 1: no",
                "9 Item [ ] real",
                "10 Prose z"
            ]
        );
        assert!(problems.is_empty(), "{problems:?}");
    }

    #[test]
    fn what_is_hidden_by_mistake_is_told() {
        for (text, expected) in [
            ("text\n\n    ### Step 1: x\n", "3: found `### Step 1: x` in an indented code block"),
            ("<details>\n- [ ] x\n</details>\n", "2: found `- [ ] x` in HTML"),
            ("a\n```\n### Step 1: x\n", "2: found a code block that is not closed"),
            ("a\n\n<!-- b\n### Step 1: x\n", "3: found a comment that is not closed"),
        ] {
            let (_, problems) = told(text);
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].starts_with(expected), "{problems:?}");
        }
        let (_, problems) = told("- a\n  ```\n  code\n  ```\n\n> ```\n> code\n> ```\n");
        assert!(problems.is_empty(), "{problems:?}");
    }
}
