//! Patches as text.

use std::iter::Peekable;
use std::str::FromStr;

use super::{BYTES_MAX, Change, Chunk, FILES_MAX, Line, NoPatch, Patch};

const BEGIN: &str = "*** Begin Patch";
const END: &str = "*** End Patch";
const ADD: &str = "*** Add File: ";
const DELETE: &str = "*** Delete File: ";
const UPDATE: &str = "*** Update File: ";
const MOVE: &str = "*** Move to: ";
const END_OF_FILE: &str = "*** End of File";

/// What every line begins with that says what follows.
const HEADER: &str = "*** ";

impl FromStr for Patch {
    type Err = NoPatch;

    fn from_str(text: &str) -> Result<Self, NoPatch> {
        if text.len() > BYTES_MAX {
            return Err(NoPatch::TooLong(text.len()));
        }
        let (skipped, text) = unwrapped(text);
        let mut lines = Lines::of(text, skipped);
        if lines.next() != Some(BEGIN) {
            return Err(lines.wrong("expected `*** Begin Patch`"));
        }
        let mut changes = Vec::new();
        loop {
            let change = match lines.next() {
                Some(END) => break,
                // It separates what comes before from what follows.
                Some("") => continue,
                Some(line) => match (
                    line.strip_prefix(ADD),
                    line.strip_prefix(DELETE),
                    line.strip_prefix(UPDATE),
                ) {
                    (Some(path), ..) => {
                        Change::Add { path: lines.path(path)?, content: lines.content() }
                    }
                    (_, Some(path), _) => Change::Delete { path: lines.path(path)? },
                    (.., Some(path)) => lines.update(path)?,
                    _ => {
                        return Err(lines.wrong(
                            "expected `*** Add File: `, `*** Delete File: `, `*** Update File: ` \
                             or `*** End Patch`",
                        ));
                    }
                },
                None => return Err(lines.wrong("expected `*** End Patch`")),
            };
            if changes.len() >= FILES_MAX {
                return Err(NoPatch::TooManyFiles);
            }
            changes.push(change);
        }
        match lines.next() {
            None if changes.is_empty() => Err(lines.wrong("the patch changes nothing")),
            None => Ok(Self { changes }),
            Some(_) => Err(lines.wrong("expected nothing behind `*** End Patch`")),
        }
    }
}

/// The text without what shells have around a document, and how many lines that left out
/// before it.
fn unwrapped(text: &str) -> (usize, &str) {
    let begins = text.len() - text.trim_start().len();
    let skipped = text[..begins].matches('\n').count();
    let text = text.trim();
    let document = text.strip_prefix("<<").and_then(|document| {
        let (word, rest) = document.split_once('\n')?;
        let word = word.trim().trim_matches(['\'', '"']);
        rest.strip_suffix(word)?.strip_suffix('\n')
    });
    document.map_or((skipped, text), |document| (skipped + 1, document.trim_end()))
}

/// The lines that are left.
struct Lines<'a> {
    all: Peekable<std::str::Split<'a, char>>,
    /// The number of the line that was read last.
    number: usize,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str, skipped: usize) -> Self {
        Self { all: text.split('\n').peekable(), number: skipped }
    }

    /// The next line; white space behind it means nothing in headers.
    fn next(&mut self) -> Option<&'a str> {
        self.number += 1;
        Some(self.all.next()?.trim_end())
    }

    fn next_if(&mut self, is_it: impl Fn(&str) -> bool) -> Option<&'a str> {
        let line = self.all.next_if(|line| is_it(line))?;
        self.number += 1;
        Some(line.strip_suffix('\r').unwrap_or(line))
    }

    fn wrong(&self, expected: &'static str) -> NoPatch {
        NoPatch::Line { line: self.number, expected }
    }

    fn path(&self, path: &str) -> Result<String, NoPatch> {
        match path.trim() {
            "" => Err(self.wrong("expected the name of a file")),
            path => Ok(path.to_owned()),
        }
    }

    /// What a new file holds.
    fn content(&mut self) -> String {
        let mut content = String::new();
        while let Some(line) = self.next_if(|line| line.starts_with('+')) {
            content.push_str(&line[1..]);
            content.push('\n');
        }
        content
    }

    fn update(&mut self, path: &str) -> Result<Change, NoPatch> {
        let path = self.path(path)?;
        let to = self.next_if(|line| line.starts_with(MOVE));
        let to = to.and_then(|line| line.strip_prefix(MOVE)).map(|to| self.path(to)).transpose()?;
        let mut chunks: Vec<Chunk> = Vec::new();
        while let Some(chunk) = self.chunk(chunks.is_empty())? {
            chunks.push(chunk);
        }
        if chunks.is_empty() && to.is_none() {
            return Err(self.wrong("expected lines of the file that change"));
        }
        Ok(Change::Update { path, to, chunks })
    }

    /// The next place in a file, if there is one. The first needs no line that opens it.
    ///
    /// Empty lines are lines of the file that stay: some models leave the space out where
    /// nothing follows it. At either end of a place they are what separates it from others.
    fn chunk(&mut self, is_first: bool) -> Result<Option<Chunk>, NoPatch> {
        let mut chunk = Chunk::default();
        let mut is_open = is_first;
        while self.next_if(str::is_empty).is_some() {}
        while let Some(line) = self.next_if(|line| line == "@@" || line.starts_with("@@ ")) {
            is_open = true;
            match line[2..].trim() {
                "" => {}
                anchor => chunk.anchors.push(anchor.to_owned()),
            }
        }
        while is_open && self.next_if(str::is_empty).is_some() {}
        let is_line = |line: &str| line.is_empty() || line.starts_with([' ', '+', '-', '\r']);
        let mut told = 0;
        while let Some(line) = self.next_if(|line| is_open && is_line(line)) {
            let rest = || line.get(1..).unwrap_or_default().to_owned();
            chunk.lines.push(match line.as_bytes().first() {
                Some(b'+') => Line::Added(rest()),
                Some(b'-') => Line::Removed(rest()),
                _ => Line::Kept(rest()),
            });
            if !line.is_empty() {
                told = chunk.lines.len();
            }
        }
        chunk.lines.truncate(told);
        chunk.is_at_end = self.next_if(|line| line.trim_end() == END_OF_FILE).is_some();
        let is_over = self.all.peek().is_none_or(|line| {
            line.starts_with(HEADER) || (line.starts_with("@@") && !chunk.lines.is_empty())
        });
        if !is_over {
            self.number += 1;
            return Err(self.wrong(
                "expected a line of the file behind a space, `-` or `+`, or one that begins with `@@`",
            ));
        }
        Ok((!chunk.lines.is_empty()).then_some(chunk))
    }
}
