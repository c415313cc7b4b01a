//! Hunks of text, as `git diff` prints them with three lines of context.

use std::ops::Range;

use imara_diff::{Algorithm, Diff, Hunk, InternedInput};

/// Lines of context around a change.
const CONTEXT: u32 = 3;

/// How many lines a text adds and removes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Lines {
    pub(crate) added: u64,
    pub(crate) removed: u64,
}

/// Adds the hunks that lead from one text to the other.
pub(crate) fn write(out: &mut Vec<u8>, before: &[u8], after: &[u8]) -> Lines {
    let input = InternedInput::new(before, after);
    let mut diff = Diff::compute(Algorithm::Myers, &input);
    diff.postprocess_lines(&input);
    let hunks: Vec<Hunk> = diff.hunks().collect();
    let mut rest = hunks.as_slice();
    let mut heading = Heading::default();
    while let Some(length) = group(rest) {
        let (together, others) = rest.split_at(length);
        write_group(out, &input, together, &mut heading);
        rest = others;
    }
    Lines { added: diff.count_additions().into(), removed: diff.count_removals().into() }
}

/// How many of the next changes are so near to each other that their contexts
/// touch.
fn group(hunks: &[Hunk]) -> Option<usize> {
    let apart = |pair: &[Hunk]| pair[1].before.start - pair[0].before.end > 2 * CONTEXT;
    match hunks.windows(2).position(apart) {
        Some(at) => Some(at + 1),
        None => Some(hunks.len()).filter(|length| *length > 0),
    }
}

/// The line above a hunk that says where in the text it is: the last one that
/// begins like a name, as git does it for languages that it does not know.
#[derive(Default)]
struct Heading<'a> {
    /// How many lines have been looked at.
    seen: u32,
    line: Option<&'a [u8]>,
}

impl<'a> Heading<'a> {
    /// Longest heading, in bytes.
    const LENGTH_MAX: usize = 80;

    fn above(&mut self, input: &InternedInput<&'a [u8]>, line: u32) -> Option<&'a [u8]> {
        let unseen = &input.before[self.seen as usize..line.max(self.seen) as usize];
        self.seen = self.seen.max(line);
        let begins_name = |line: &[u8]| {
            line.first().is_some_and(|byte| byte.is_ascii_alphabetic() || b"_$".contains(byte))
        };
        let mut lines = unseen.iter().rev().map(|token| input.interner[*token]);
        if let Some(found) = lines.find(|line| begins_name(line)) {
            self.line = Some(found[..found.len().min(Self::LENGTH_MAX)].trim_ascii_end());
        }
        self.line
    }
}

fn write_group<'a>(
    out: &mut Vec<u8>,
    input: &InternedInput<&'a [u8]>,
    hunks: &[Hunk],
    heading: &mut Heading<'a>,
) {
    let (Some(first), Some(last)) = (hunks.first(), hunks.last()) else { return };
    let total = u32::try_from(input.before.len()).unwrap_or(u32::MAX);
    let lead = first.before.start.min(CONTEXT);
    let trail = (total - last.before.end).min(CONTEXT);
    let before = first.before.start - lead..last.before.end + trail;
    let after = first.after.start - lead..last.after.end + trail;
    out.extend_from_slice(format!("@@ -{} +{} @@", range(&before), range(&after)).as_bytes());
    if let Some(heading) = heading.above(input, before.start) {
        out.push(b' ');
        out.extend_from_slice(heading);
    }
    out.push(b'\n');
    let mut at = before.start;
    for hunk in hunks {
        lines(out, b' ', input, &input.before, at..hunk.before.start);
        lines(out, b'-', input, &input.before, hunk.before.clone());
        lines(out, b'+', input, &input.after, hunk.after.clone());
        at = hunk.before.end;
    }
    lines(out, b' ', input, &input.before, at..before.end);
}

/// Lines as a hunk's head names them: none are named by the line before them.
fn range(lines: &Range<u32>) -> String {
    match lines.end - lines.start {
        0 => format!("{},0", lines.start),
        1 => (lines.start + 1).to_string(),
        length => format!("{},{length}", lines.start + 1),
    }
}

fn lines(
    out: &mut Vec<u8>,
    sign: u8,
    input: &InternedInput<&[u8]>,
    tokens: &[imara_diff::Token],
    range: Range<u32>,
) {
    for token in &tokens[range.start as usize..range.end as usize] {
        let line = input.interner[*token];
        out.push(sign);
        out.extend_from_slice(line);
        if !line.ends_with(b"\n") {
            out.extend_from_slice(b"\n\\ No newline at end of file\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(before: &str, after: &str) -> String {
        let mut out = Vec::new();
        write(&mut out, before.as_bytes(), after.as_bytes());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn heads_name_lines_as_git_does() {
        assert_eq!(written("", "a\n"), "@@ -0,0 +1 @@\n+a\n");
        assert_eq!(written("a\nb\n", ""), "@@ -1,2 +0,0 @@\n-a\n-b\n");
        assert_eq!(written("a", "a\n"), "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n");
    }

    #[test]
    fn changes_near_each_other_share_a_hunk() {
        let text = |changed: &[usize]| -> String {
            let line = |n| if changed.contains(&n) { format!("{n}!\n") } else { format!("{n}\n") };
            (1..=30).map(line).collect()
        };
        let heads = |changed: &[usize]| written(&text(&[]), &text(changed)).matches("@@ -").count();
        assert_eq!(heads(&[5, 12]), 1);
        assert_eq!(heads(&[5, 13]), 2);
    }
}
