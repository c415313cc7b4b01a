//! What operations on files answer.

use operation::{Present, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::output::OutputBytes;

/// Something that lies in a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// Where, relative to /workspace.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Permission bits in octal.
    pub mode: String,
    /// When its content changed, RFC 3339 in UTC.
    pub modified_at: String,
    /// User that it belongs to.
    pub user: u32,
    /// Group that it belongs to.
    pub group: u32,
    /// Where a symbolic link points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, a pipe or a socket.
    Special,
}

impl EntryKind {
    const fn letter(self) -> char {
        match self {
            Self::File => '-',
            Self::Directory => 'd',
            Self::Symlink => 'l',
            Self::Special => 's',
        }
    }
}

impl Present for Entry {
    fn present(&self, screen: &mut Screen) {
        let target = self.target.as_ref().map(|target| format!(" -> {target}"));
        screen.line(format!(
            "{}{:>4} {:>12} {} {}{}",
            self.kind.letter(),
            self.mode,
            self.size_bytes,
            self.modified_at,
            self.path,
            target.unwrap_or_default()
        ));
    }
}

/// What lies in a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Listing {
    /// The entries, sorted.
    pub entries: Vec<Entry>,
    /// The list goes on after this path; none if it is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Present for Listing {
    fn present(&self, screen: &mut Screen) {
        for entry in &self.entries {
            entry.present(screen);
        }
        if let Some(next) = &self.next {
            screen.note(format!("There is more: go on with --after '{next}'"));
        }
    }
}

/// A part of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileContent {
    /// Where the file lies.
    pub path: String,
    /// The part.
    pub content: OutputBytes,
    /// Where it begins in the file, in bytes.
    pub offset: u64,
    /// Number of its first line, if lines were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_line: Option<u64>,
    /// Size of the whole file in bytes.
    pub size_bytes: u64,
    /// Lines of the whole file; none if it is too long to count them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_lines: Option<u64>,
    /// Whether what was asked for is longer than this part.
    pub truncated: bool,
    /// Whether the file is data rather than text.
    pub binary: bool,
}

impl Present for FileContent {
    fn present(&self, screen: &mut Screen) {
        screen.out.extend_from_slice(&self.content.0);
        let length = self.content.0.len() as u64;
        if self.truncated || length < self.size_bytes {
            let lines = self.total_lines.map(|lines| format!(", {lines} lines"));
            screen.note(format!(
                "bytes {} to {} of {}{}",
                self.offset,
                self.offset + length,
                self.size_bytes,
                lines.unwrap_or_default()
            ));
        }
        if self.truncated {
            screen.note(format!("There is more: go on with --offset {}", self.offset + length));
        }
    }
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Written {
    /// What lies there now.
    pub entry: Entry,
    /// Whether there was nothing before.
    pub created: bool,
}

impl Present for Written {
    fn present(&self, screen: &mut Screen) {
        let done = if self.created { "Created" } else { "Replaced" };
        screen.line(format!("{done} {} ({} bytes)", self.entry.path, self.entry.size_bytes));
    }
}

/// A file that was edited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Edited {
    /// What lies there now.
    pub entry: Entry,
    /// How many occurrences were replaced.
    pub replaced: u64,
    /// The lines in which the first of them began, before the edit.
    pub lines: Vec<u64>,
}

impl Present for Edited {
    fn present(&self, screen: &mut Screen) {
        let lines: Vec<String> = self.lines.iter().map(u64::to_string).collect();
        let (path, replaced) = (&self.entry.path, self.replaced);
        screen.line(format!("Edited {path}: {replaced} replaced, in lines {}", lines.join(", ")));
    }
}

/// Something that was made or has another place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Changed {
    /// What lies there now.
    pub entry: Entry,
}

impl Present for Changed {
    fn present(&self, screen: &mut Screen) {
        screen.line(&self.entry.path);
    }
}

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Copied {
    /// What lies at the new place.
    pub entry: Entry,
    /// Files, directories and links, the outermost included.
    pub entries: u64,
    /// Bytes of the files' contents.
    pub bytes: u64,
}

impl Present for Copied {
    fn present(&self, screen: &mut Screen) {
        let Self { entry, entries, bytes } = self;
        screen.line(format!("Copied to {}: {entries} entries, {bytes} bytes", entry.path));
    }
}

/// What was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Removed {
    /// Where it was.
    pub path: String,
    /// Files, directories and links, the outermost included.
    pub entries: u64,
}

impl Present for Removed {
    fn present(&self, screen: &mut Screen) {
        screen.line(format!("Deleted {}: {} entries", self.path, self.entries));
    }
}
