//! From the text of a patch to what it asks for.
//!
//! What `git apply` understands is understood, and what it calls corrupt is
//! refused: `git diff` with all its headers, binary hunks, mails of `git
//! format-patch`, and plain unified diffs. Text around them is skipped. One
//! thing is taken that git refuses: a patch whose very last line has lost its
//! end, which is what becomes of patches on their way through models.

use super::PatchError;
use super::binary::{self, BinaryHunk};
use super::header::{self, Names};

/// Most hunks in one patch.
const HUNKS_MAX: usize = 1_000_000;

/// What a patch asks for in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePatch<'a> {
    /// Line of the patch in which it begins, counted from one.
    pub line: usize,
    /// What happens to the file as a whole.
    pub change: Change,
    /// Mode of the file before, if the patch says it.
    pub old_mode: Option<u32>,
    /// Mode of the file afterwards, if the patch says it.
    pub new_mode: Option<u32>,
    /// What happens to its content.
    pub body: Body<'a>,
}

/// What happens to a file as a whole. Names are relative to the directory that
/// the patch was made in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It stays in its place.
    Modify(Vec<u8>),
    /// It stays in its place, or is new: a plain diff does not say.
    ModifyOrCreate(Vec<u8>),
    /// It is new.
    Create(Vec<u8>),
    /// It is removed.
    Delete(Vec<u8>),
    /// It gets another place.
    Rename {
        /// The old one.
        from: Vec<u8>,
        /// The new one.
        to: Vec<u8>,
    },
    /// It is made of another file, which stays.
    Copy {
        /// That file.
        from: Vec<u8>,
        /// The new one.
        to: Vec<u8>,
    },
}

impl Change {
    /// The name of the file that is read.
    #[must_use]
    pub fn source(&self) -> Option<&[u8]> {
        match self {
            Self::Create(_) => None,
            Self::Modify(name) | Self::ModifyOrCreate(name) | Self::Delete(name) => Some(name),
            Self::Rename { from, .. } | Self::Copy { from, .. } => Some(from),
        }
    }

    /// The name of the file that is written.
    #[must_use]
    pub fn target(&self) -> Option<&[u8]> {
        match self {
            Self::Delete(_) => None,
            Self::Modify(name) | Self::ModifyOrCreate(name) | Self::Create(name) => Some(name),
            Self::Rename { to, .. } | Self::Copy { to, .. } => Some(to),
        }
    }

    /// The name to tell people.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.target().or_else(|| self.source()).unwrap_or_default()
    }
}

/// What happens to a file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body<'a> {
    /// Lines change; nothing, if there are none.
    Text(Vec<Hunk<'a>>),
    /// All of it, as data.
    Binary {
        /// How to get the new content.
        forward: BinaryHunk,
        /// Name of the old content; empty for none.
        old_id: Vec<u8>,
        /// Name of the new content.
        new_id: Vec<u8>,
    },
    /// It changes, but the patch does not have the data.
    BinaryWithoutData,
}

/// Some lines that change, with what stands around them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hunk<'a> {
    /// Line of the patch in which it begins, counted from one.
    pub line: usize,
    /// First line before the change, counted from one; 0 in an empty file.
    pub old_start: u64,
    /// First line afterwards.
    pub new_start: u64,
    /// Its lines.
    pub lines: Vec<HunkLine<'a>>,
}

/// A line of a hunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HunkLine<'a> {
    /// What becomes of it.
    pub role: Role,
    /// The line with its end, if it has one.
    pub text: &'a [u8],
}

/// What becomes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It stays.
    Context,
    /// It goes.
    Remove,
    /// It comes.
    Add,
}

impl<'a> Hunk<'a> {
    /// The lines that must be there before.
    pub fn before(&self) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.lines.iter().filter(|line| line.role != Role::Add).map(|line| line.text)
    }

    /// The lines that are there afterwards.
    pub fn after(&self) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.lines.iter().filter(|line| line.role != Role::Remove).map(|line| line.text)
    }

    /// Whether it ends with lines that stay.
    #[must_use]
    pub fn has_trailing_context(&self) -> bool {
        self.lines.last().is_some_and(|line| line.role == Role::Context)
    }
}

/// Reads a patch.
///
/// # Errors
///
/// If it is corrupt, or there is none in the text.
pub fn parse(text: &[u8]) -> Result<Vec<FilePatch<'_>>, PatchError> {
    let mut lines = Lines { rest: text, number: 1 };
    let mut files = Vec::new();
    let mut hunks = 0;
    while let Some(line) = lines.peek() {
        if line.starts_with(b"@@ -") && fragment_header(line).is_some() {
            return Err(PatchError::NoHeader { line: lines.number });
        }
        let begin = lines.number;
        let names = if line.starts_with(b"diff --git ") {
            header::git(&mut lines)?
        } else {
            header::plain(&mut lines)?
        };
        let Some(names) = names else {
            lines.next();
            continue;
        };
        let file = body(&mut lines, begin, names)?;
        if let Body::Text(found) = &file.body {
            hunks += found.len();
        }
        if hunks > HUNKS_MAX || files.len() == guest_protocol::tools::patch::FILES_MAX {
            return Err(PatchError::TooMany);
        }
        files.push(file);
    }
    if files.is_empty() {
        return Err(PatchError::Nothing);
    }
    Ok(files)
}

/// What follows a header.
fn body<'a>(
    lines: &mut Lines<'a>,
    begin: usize,
    names: Names,
) -> Result<FilePatch<'a>, PatchError> {
    let mut hunks = Vec::new();
    let (mut old_lines, mut new_lines) = (0, 0);
    while lines.peek().is_some_and(|line| line.starts_with(b"@@ -")) {
        let at = lines.number;
        let (hunk, counts) = hunk(lines).ok_or(PatchError::Corrupt { line: lines.number })?;
        old_lines += counts.0;
        new_lines += counts.1;
        hunks.push(Hunk { line: at, ..hunk });
    }
    let (is_sure, change) = names.change(begin)?;
    let change = match change {
        Change::Modify(name) if !is_sure && old_lines == 0 && hunks.len() == 1 => {
            Change::ModifyOrCreate(name)
        }
        change => change,
    };
    match &change {
        Change::Create(name) if old_lines > 0 => {
            return Err(PatchError::NewDependsOnOld { file: name.clone() });
        }
        Change::Delete(name) if new_lines > 0 => {
            return Err(PatchError::DeletedHasContents { file: name.clone() });
        }
        _ => {}
    }
    let body = match lines.peek() {
        Some(b"GIT binary patch\n") if hunks.is_empty() => {
            lines.next();
            let (old_id, new_id) = names.ids.clone().unwrap_or_default();
            Body::Binary { forward: binary::hunks(lines)?, old_id, new_id }
        }
        Some(line) if hunks.is_empty() && is_binary_notice(line) => {
            lines.next();
            Body::BinaryWithoutData
        }
        _ => Body::Text(hunks),
    };
    let changes_file = !matches!(change, Change::Modify(_))
        || names.new_mode.is_some_and(|mode| Some(mode) != names.old_mode);
    if matches!(&body, Body::Text(hunks) if hunks.is_empty()) && !changes_file {
        return Err(PatchError::OnlyGarbage { line: lines.number });
    }
    Ok(FilePatch { line: begin, change, old_mode: names.old_mode, new_mode: names.new_mode, body })
}

fn is_binary_notice(line: &[u8]) -> bool {
    (line.starts_with(b"Binary files ") || line.starts_with(b"Files "))
        && line.ends_with(b" differ\n")
}

/// A hunk, and how many lines it has before and afterwards.
fn hunk<'a>(lines: &mut Lines<'a>) -> Option<(Hunk<'a>, (u64, u64))> {
    let number = lines.number;
    let ((old_start, old_count), (new_start, new_count)) = fragment_header(lines.next()?)?;
    let (mut old, mut new) = (old_count, new_count);
    let mut found: Vec<HunkLine<'a>> = Vec::new();
    while old > 0 || new > 0 {
        let line = lines.next()?;
        let role = match line[0] {
            b' ' | b'\n' => {
                (old, new) = (old.checked_sub(1)?, new.checked_sub(1)?);
                Role::Context
            }
            b'-' => {
                old = old.checked_sub(1)?;
                Role::Remove
            }
            b'+' => {
                new = new.checked_sub(1)?;
                Role::Add
            }
            b'\\' if is_no_newline(line) => continue,
            _ => return None,
        };
        let mut text = if line == b"\n" { line } else { &line[1..] };
        if lines.peek().is_some_and(|next| next.starts_with(b"\\")) {
            text = text.strip_suffix(b"\n").unwrap_or(text);
            // An empty line of context without an end is nothing.
            if line == b"\n" {
                continue;
            }
        }
        found.push(HunkLine { role, text });
    }
    if lines.peek().is_some_and(is_no_newline) {
        lines.next();
    }
    let changes = found.iter().any(|line| line.role != Role::Context);
    changes.then_some((
        Hunk { line: number, old_start, new_start, lines: found },
        (old_count, new_count),
    ))
}

fn is_no_newline(line: &[u8]) -> bool {
    line.len() >= 12 && line.starts_with(b"\\ ")
}

/// `@@ -start[,count] +start[,count] @@`.
fn fragment_header(line: &[u8]) -> Option<((u64, u64), (u64, u64))> {
    let rest = line.strip_prefix(b"@@ -")?;
    let (old, rest) = range(rest)?;
    let (new, rest) = range(rest.strip_prefix(b" +")?)?;
    rest.starts_with(b" @@").then_some((old, new))
}

fn range(text: &[u8]) -> Option<((u64, u64), &[u8])> {
    let (start, rest) = number(text)?;
    match rest.strip_prefix(b",") {
        Some(rest) => {
            let (count, rest) = number(rest)?;
            Some(((start, count), rest))
        }
        None => Some(((start, 1), rest)),
    }
}

fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(digits);
    // More digits than any file has lines are no number here.
    if digits.is_empty() || digits.len() > 12 {
        return None;
    }
    let number = digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    Some((number, rest))
}

/// The lines of a patch, each with its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines<'a> {
    rest: &'a [u8],
    /// Of the next line, counted from one.
    pub(super) number: usize,
}

impl<'a> Lines<'a> {
    /// The next line, which stays the next.
    pub(super) fn peek(&self) -> Option<&'a [u8]> {
        let length = match memchr::memchr(b'\n', self.rest) {
            Some(end) => end + 1,
            None => self.rest.len(),
        };
        (length > 0).then(|| &self.rest[..length])
    }

    /// The next line.
    pub(super) fn next(&mut self) -> Option<&'a [u8]> {
        let line = self.peek()?;
        self.rest = &self.rest[line.len()..];
        self.number += 1;
        Some(line)
    }
}
