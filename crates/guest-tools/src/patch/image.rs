//! Hunks applied to a content, where `git apply` would apply them.
//!
//! A hunk is applied where its lines are, exactly: nearest to where it says,
//! first there, then one line further down, one further up, and so on. One that
//! begins with the first line must match at the beginning; one without context
//! behind it must match at the end; lines that an earlier hunk has touched match
//! nothing.

use super::parse::{Hunk, Role};

/// A content that hunks are applied to.
#[derive(Debug)]
pub struct Image<'a> {
    lines: Vec<Line<'a>>,
}

#[derive(Debug, Clone, Copy)]
struct Line<'a> {
    text: &'a [u8],
    /// An earlier hunk has touched it.
    is_patched: bool,
}

impl<'a> Image<'a> {
    /// The content as lines.
    #[must_use]
    pub fn new(content: &'a [u8]) -> Self {
        let lines = content
            .split_inclusive(|byte| *byte == b'\n')
            .map(|text| Line { text, is_patched: false })
            .collect();
        Self { lines }
    }

    /// Applies a hunk: how many lines further down than it says, or `None` if it
    /// does not match anywhere.
    pub fn apply(&mut self, hunk: &Hunk<'a>) -> Option<i64> {
        let before: Vec<&[u8]> = hunk.before().collect();
        let at = self.find(hunk, &before)?;
        let after = hunk.after().map(|text| Line { text, is_patched: true });
        self.lines.splice(at..at + before.len(), after);
        let expected = hunk.new_start.saturating_sub(1);
        let distance = i64::try_from(at).ok()?.checked_sub(i64::try_from(expected).ok()?)?;
        // A file without lines begins with line 0.
        Some(if hunk.new_start == 0 { 0 } else { distance })
    }

    fn find(&self, hunk: &Hunk<'_>, before: &[&[u8]]) -> Option<usize> {
        let at_beginning = hunk.old_start <= 1;
        let at_end = !hunk.has_trailing_context();
        let room = self.lines.len().checked_sub(before.len())?;
        if at_beginning {
            let fits = !at_end || room == 0;
            return (fits && self.matches(0, before)).then_some(0);
        }
        if at_end {
            return self.matches(room, before).then_some(room);
        }
        let said = usize::try_from(hunk.new_start.saturating_sub(1)).unwrap_or(usize::MAX);
        let start = said.min(self.lines.len());
        (0..=self.lines.len()).find_map(|distance| {
            let down = start.checked_add(distance).filter(|at| *at <= room);
            let up = start.checked_sub(distance).filter(|at| distance > 0 && *at <= room);
            [down, up].into_iter().flatten().find(|at| self.matches(*at, before))
        })
    }

    fn matches(&self, at: usize, before: &[&[u8]]) -> bool {
        self.lines[at..at + before.len()]
            .iter()
            .zip(before)
            .all(|(line, wanted)| !line.is_patched && line.text == *wanted)
    }

    /// The content as it is now.
    #[must_use]
    pub fn content(&self) -> Vec<u8> {
        self.lines.iter().flat_map(|line| line.text).copied().collect()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.iter().all(|line| line.text.is_empty())
    }

    /// Shows a hunk that does not match next to the lines that are most like it.
    pub(super) fn explain(&self, hunk: &Hunk<'_>) -> String {
        let before: Vec<&[u8]> = hunk.before().collect();
        let Some(at) = self.nearest(hunk, &before) else {
            return match self.lines.len() {
                0 => "the file is empty".to_owned(),
                lines => format!("no line of the hunk is found in the {lines} lines of the file"),
            };
        };
        let mut text = format!("most like it is line {}:", at + 1);
        for (offset, wanted) in before.iter().enumerate().take(SHOWN_MAX) {
            match self.lines.get(at + offset) {
                Some(line) if line.text == *wanted && !line.is_patched => {
                    show(&mut text, "  ", line.text);
                }
                Some(line) if line.is_patched => {
                    show(&mut text, "< ", wanted);
                    text.push_str("\n> (changed by an earlier hunk)");
                }
                Some(line) => {
                    show(&mut text, "< ", wanted);
                    show(&mut text, "> ", line.text);
                }
                None => {
                    show(&mut text, "< ", wanted);
                    text.push_str("\n> (the file ends before this line)");
                    break;
                }
            }
        }
        if before.len() > SHOWN_MAX {
            text.push_str("\n  …");
        }
        if !hunk.has_trailing_context() && self.lines.len() > at + before.len() {
            text.push_str("\n  (no context follows in the hunk, but the file goes on here)");
        }
        text.push_str("\n(`<` the patch expects, `>` the file has)");
        text
    }

    /// Where most lines are as the hunk expects them, and nearest to where it
    /// says among those.
    fn nearest(&self, hunk: &Hunk<'_>, before: &[&[u8]]) -> Option<usize> {
        let work = self.lines.len().saturating_mul(before.len());
        if before.is_empty() || work > COMPARISONS_MAX {
            return None;
        }
        let said = usize::try_from(hunk.old_start.saturating_sub(1)).unwrap_or(usize::MAX);
        let likeness = |at: usize| {
            let pairs = self.lines[at..].iter().zip(before);
            let same = pairs.filter(|(line, wanted)| alike(line.text, wanted)).count();
            (same, std::cmp::Reverse(at.abs_diff(said)))
        };
        let best = (0..self.lines.len()).max_by_key(|at| likeness(*at))?;
        (likeness(best).0 > 0).then_some(best)
    }
}

/// How many lines of a hunk are shown.
const SHOWN_MAX: usize = 20;

/// How many lines are compared at most to find the nearest match.
const COMPARISONS_MAX: usize = 20_000_000;

/// How much of a line is shown, in bytes.
const LINE_MAX: usize = 200;

/// The same but for white space at both ends. Empty lines are like nothing.
fn alike(line: &[u8], wanted: &[u8]) -> bool {
    let line = line.trim_ascii();
    !line.is_empty() && line == wanted.trim_ascii()
}

fn show(text: &mut String, mark: &str, line: &[u8]) {
    let end = if line.ends_with(b"\n") { "" } else { " (no newline at end of file)" };
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let told = String::from_utf8_lossy(&line[..line.len().min(LINE_MAX)]);
    text.push('\n');
    text.push_str(mark);
    text.extend(told.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }));
    text.push_str(end);
}

/// How many lines a file's hunks add and remove.
#[must_use]
pub fn counts(hunks: &[Hunk<'_>]) -> (u64, u64) {
    let of = |role| {
        hunks.iter().flat_map(|hunk| &hunk.lines).filter(|line| line.role == role).count() as u64
    };
    (of(Role::Add), of(Role::Remove))
}
