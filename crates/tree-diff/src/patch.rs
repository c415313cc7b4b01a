//! Changes as `git diff --binary` prints them.
//!
//! Text is printed in hunks, data as git's binary patches (`literal` in both
//! directions, zlib inside base85), with whole names of contents, so that
//! `git apply` can check what it applies them to. A thing that became something
//! else is taken away and added anew, as git prints it. What git cannot keep
//! (empty directories, pipes, devices, permission bits beyond one) is not printed.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use guest_protocol::path::{WorkspacePath, quoted};
use guest_protocol::tools::file::Kind;
use guest_protocol::tools::tree::ContentId;

use crate::change::{Change, Side, Status};
use crate::hunks::{self, Lines};
use crate::id::{content_id, is_binary};

/// Largest content that is printed, in bytes: what a patch may hold of a file.
pub const CONTENT_MAX: u64 = 64 << 20;

/// Largest content that is compared line by line, in bytes; a larger one is
/// printed as data.
const TEXT_MAX: usize = 8 << 20;

/// A change that was printed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Printed {
    /// The patch; empty if git has no words for the change.
    pub patch: Vec<u8>,
    /// Lines that are added.
    pub added_lines: u64,
    /// Lines that are removed.
    pub removed_lines: u64,
    /// Whether a content is data rather than text.
    pub binary: bool,
}

/// Prints a change, given the contents of both sides. The content of a side that
/// there is not, or that git does not keep, is not looked at.
#[must_use]
pub fn print(change: &Change, before: &[u8], after: &[u8]) -> Printed {
    let kept = |side: Option<Side>| side.filter(Side::is_kept_by_git);
    let (old, new) = (kept(change.before), kept(change.after));
    let from = change.from.as_ref().map_or(&change.path, |origin| &origin.path);
    let mut printed = Printed::default();
    match (old, new) {
        (Some(old), Some(new)) if change.status() == Status::TypeChanged => {
            printed.file(from, Some((old, before)), None, None);
            printed.file(&change.path, None, Some((new, after)), None);
        }
        (Some(old), Some(new)) => {
            let similarity = change.from.as_ref().map(|origin| (from, origin.similarity));
            printed.file(&change.path, Some((old, before)), Some((new, after)), similarity);
        }
        (old, new) => {
            let path = if new.is_some() { &change.path } else { from };
            printed.file(path, old.map(|side| (side, before)), new.map(|side| (side, after)), None);
        }
    }
    printed
}

impl Printed {
    fn line(&mut self, line: &str) {
        self.patch.extend_from_slice(line.as_bytes());
        self.patch.push(b'\n');
    }

    fn file(
        &mut self,
        path: &WorkspacePath,
        old: Option<(Side, &[u8])>,
        new: Option<(Side, &[u8])>,
        moved: Option<(&WorkspacePath, u8)>,
    ) {
        let (before, after) = (content(old), content(new));
        let modes = (old.map(|(side, _)| side.git_mode()), new.map(|(side, _)| side.git_mode()));
        let is_same_content = old.is_some() && new.is_some() && before == after;
        if is_same_content && modes.0 == modes.1 && moved.is_none() || (old, new) == (None, None) {
            return;
        }
        let from = moved.map_or(path, |(from, _)| from);
        self.line(&format!("diff --git {} {}", name("a/", from), name("b/", path)));
        match modes {
            (None, Some(mode)) => self.line(&format!("new file mode {mode}")),
            (Some(mode), None) => self.line(&format!("deleted file mode {mode}")),
            (Some(old), Some(new)) if old != new => {
                self.line(&format!("old mode {old}"));
                self.line(&format!("new mode {new}"));
            }
            _ => {}
        }
        if let Some((from, similarity)) = moved {
            // git says 100 only of contents that are the same.
            let similarity = if is_same_content { 100 } else { similarity.min(99) };
            self.line(&format!("similarity index {similarity}%"));
            self.line(&format!("rename from {}", name("", from)));
            self.line(&format!("rename to {}", name("", path)));
        }
        if is_same_content {
            return;
        }
        let id = |side: Option<_>, content| {
            if side.is_some() { content_id(content) } else { ContentId::NONE }
        };
        let mode = if modes.0 == modes.1 { modes.0 } else { None };
        let mode = mode.map(|mode| format!(" {mode}")).unwrap_or_default();
        self.line(&format!("index {}..{}{mode}", id(old, before), id(new, after)));
        if is_data(old) || is_data(new) {
            self.binary = true;
            self.line("GIT binary patch");
            self.literal(after);
            self.literal(before);
        } else if before != after {
            let side = |prefix, side: Option<_>, path| match side {
                None => "/dev/null".to_owned(),
                Some(_) => text_name(prefix, path),
            };
            self.line(&format!("--- {}", side("a/", old, from)));
            self.line(&format!("+++ {}", side("b/", new, path)));
            let Lines { added, removed } = hunks::write(&mut self.patch, before, after);
            self.added_lines += added;
            self.removed_lines += removed;
        }
    }

    /// Adds a content as data.
    fn literal(&mut self, content: &[u8]) {
        self.line(&format!("literal {}", content.len()));
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        let packed = encoder.write_all(content).and_then(|()| encoder.finish());
        for line in packed.expect("memory takes everything").chunks(LINE) {
            encode_line(&mut self.patch, line);
        }
        self.patch.push(b'\n');
    }
}

fn content(side: Option<(Side, &[u8])>) -> &[u8] {
    side.map_or(&[], |(_, content)| content)
}

/// Whether a content cannot be printed as text. Targets of links always can.
fn is_data(side: Option<(Side, &[u8])>) -> bool {
    side.is_some_and(|(side, content)| {
        side.kind == Kind::File && (is_binary(content) || content.len() > TEXT_MAX)
    })
}

/// A name, quoted if git would not read it back otherwise.
fn name(prefix: &str, path: &WorkspacePath) -> String {
    let bytes = [prefix.as_bytes(), path.as_bytes()].concat();
    let is_plain = |text: &str| !text.contains(|c: char| c.is_control() || c == '"' || c == '\\');
    match String::from_utf8(bytes) {
        Ok(text) if is_plain(&text) => text,
        Ok(text) => quoted(text.as_bytes()),
        Err(error) => quoted(error.as_bytes()),
    }
}

/// The same above hunks of text: there, other programs than git take a blank for
/// the end of a name, unless a tab is.
fn text_name(prefix: &str, path: &WorkspacePath) -> String {
    let mut name = name(prefix, path);
    if path.as_bytes().contains(&b' ') {
        name.push('\t');
    }
    name
}

/// The digits of git's base85.
const DIGITS: &[u8; 85] =
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";

/// Most bytes of one line of data.
const LINE: usize = 52;

/// Adds a line of data: its length as a letter, then five digits for four bytes.
fn encode_line(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u8::try_from(bytes.len()).unwrap_or(0);
    out.push(if length <= 26 { b'A' + length - 1 } else { b'a' + length - 27 });
    for group in bytes.chunks(4) {
        let mut padded = [0; 4];
        padded[..group.len()].copy_from_slice(group);
        let mut value = u32::from_be_bytes(padded);
        let mut digits = [0; 5];
        for digit in digits.iter_mut().rev() {
            *digit = DIGITS[(value % 85) as usize];
            value /= 85;
        }
        out.extend_from_slice(&digits);
    }
    out.push(b'\n');
}
