//! Where in a file the places of a patch are.

use super::{Chunk, Line};

/// How many lines are compared at most, for one file. It is far above what any patch
/// needs, and bounds what one that fits nowhere can cost.
const COMPARISONS_MAX: u64 = 10_000_000;

/// Most lines that are shown of what is not in a file.
const SHOWN_MAX: usize = 5;

/// Why a patch does not fit the files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// There is no such file.
    #[error("{0} is not there")]
    Missing(String),
    /// A file cannot be moved to where one is.
    #[error("{0} is there already")]
    Exists(String),
    /// A line is not in a file, after those that were found.
    #[error("{path} has no line `{anchor}` behind what comes before in the patch")]
    NoAnchor {
        /// The file.
        path: String,
        /// The line.
        anchor: String,
    },
    /// Lines are not in a file, after those that were found.
    #[error("{path} does not have these lines behind what comes before in the patch:\n{lines}")]
    NoLines {
        /// The file.
        path: String,
        /// The first of them.
        lines: String,
    },
    /// It takes too long to see whether it does.
    #[error("{0} has too many lines that are alike: change it in another way")]
    TooAlike(String),
}

/// The content of a file once its places are changed.
pub(super) fn fitted(path: &str, content: &str, chunks: &[Chunk]) -> Result<String, Misfit> {
    let mut file = File::of(path, content);
    let (mut changed, mut from): (Vec<&str>, usize) = (Vec::new(), 0);
    for chunk in chunks {
        let at = file.place(chunk, from)?;
        changed.extend(&file.lines[from..at]);
        from = at;
        for line in &chunk.lines {
            match line {
                Line::Added(text) => changed.push(text),
                Line::Removed(_) => from += 1,
                // As it is there, which may not be how it is told.
                Line::Kept(_) => {
                    changed.push(file.lines[from]);
                    from += 1;
                }
            }
        }
    }
    changed.extend(&file.lines[from..]);
    let mut text = String::with_capacity(content.len());
    for line in changed {
        text.push_str(line);
        text.push_str(file.ending);
    }
    Ok(text)
}

/// A file whose places are looked for.
struct File<'a> {
    path: &'a str,
    lines: Vec<&'a str>,
    ending: &'static str,
    comparisons: u64,
}

impl<'a> File<'a> {
    fn of(path: &'a str, content: &'a str) -> Self {
        let mut lines: Vec<&str> = content.split('\n').collect();
        // What follows the last line end is no line.
        if lines.last().is_some_and(|line| line.is_empty()) {
            lines.pop();
        }
        let is_crlf = !lines.is_empty() && lines.iter().all(|line| line.ends_with('\r'));
        if is_crlf {
            lines.iter_mut().for_each(|line| *line = &line[..line.len() - 1]);
        }
        Self { path, lines, ending: if is_crlf { "\r\n" } else { "\n" }, comparisons: 0 }
    }

    /// The line at which a place begins, at or after another one.
    fn place(&mut self, chunk: &Chunk, from: usize) -> Result<usize, Misfit> {
        let mut from = from;
        for anchor in &chunk.anchors {
            from = 1 + self.find(&[anchor], from)?.ok_or_else(|| Misfit::NoAnchor {
                path: self.path.to_owned(),
                anchor: anchor.clone(),
            })?;
        }
        let old = chunk.lines.iter().filter_map(|line| match line {
            Line::Kept(text) | Line::Removed(text) => Some(&**text),
            Line::Added(_) => None,
        });
        let old: Vec<&str> = old.collect();
        if old.is_empty() {
            // What is only added comes behind the line that was named, or to the end.
            return Ok(if chunk.anchors.is_empty() { self.lines.len() } else { from });
        }
        if chunk.is_at_end
            && let Some(at) = self.lines.len().checked_sub(old.len())
            && at >= from
            && self.find(&old, at)?.is_some()
        {
            return Ok(at);
        }
        self.find(&old, from)?.ok_or_else(|| Misfit::NoLines {
            path: self.path.to_owned(),
            lines: old[..old.len().min(SHOWN_MAX)].join("\n"),
        })
    }

    /// Where these lines are first, at or after a line.
    fn find(&mut self, wanted: &[impl AsRef<str>], from: usize) -> Result<Option<usize>, Misfit> {
        let last = self.lines.len().checked_sub(wanted.len());
        for alike in REGARDS {
            for at in from..last.map_or(from, |last| last + 1) {
                let mut pairs = self.lines[at..].iter().zip(wanted);
                let same = pairs.by_ref().take_while(|(line, want)| alike(line, want.as_ref()));
                let same = same.count();
                self.comparisons += 1 + same as u64;
                if same == wanted.len() {
                    return Ok(Some(at));
                }
                if self.comparisons > COMPARISONS_MAX {
                    return Err(Misfit::TooAlike(self.path.to_owned()));
                }
            }
        }
        Ok(None)
    }
}

/// When two lines are the same: with less and less regard to how they are written.
const REGARDS: [fn(&str, &str) -> bool; 4] = [
    |line, wanted| line == wanted,
    |line, wanted| line.trim_end() == wanted.trim_end(),
    |line, wanted| line.trim() == wanted.trim(),
    |line, wanted| line.trim().chars().map(plain).eq(wanted.trim().chars().map(plain)),
];

/// A character as it is on keyboards, where typography has others.
const fn plain(character: char) -> char {
    match character {
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        '\u{2018}'..='\u{201b}' => '\'',
        '\u{201c}'..='\u{201f}' => '"',
        '\u{a0}' | '\u{2002}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => ' ',
        other => other,
    }
}
