//! The tool `file`: what lies in `/workspace`.

use serde::{Deserialize, Serialize};

use crate::path::WorkspacePath;

/// The tool's name.
pub const TOOL: &str = "file";

/// Most entries of one [`Listing`].
pub const ENTRIES_MAX: u32 = 10_000;

/// Most bytes of one [`Read`].
pub const READ_MAX: u32 = 4 << 20;

/// Largest file that is edited, in bytes: it is held in memory.
pub const EDIT_MAX: u64 = 64 << 20;

/// Most lines that [`Edited`] and a refused edit name.
pub const LINES_MAX: usize = 20;

/// What is asked of the tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum FileRequest {
    /// Answered by [`Listing`].
    List(List),
    /// Answered by [`Entry`].
    Stat(Stat),
    /// Answered by [`Content`] and that many bytes.
    Read(Read),
    /// Followed by chunks. Answered by [`Written`].
    Write(Write),
    /// Followed by the old text and the new one. Answered by [`Edited`].
    Edit(Edit),
    /// Answered by [`Entry`].
    Mkdir(Mkdir),
    /// Answered by [`Entry`].
    Move(Move),
    /// Answered by [`Copied`].
    Copy(Copy),
    /// Answered by [`Removed`].
    Delete(Delete),
}

/// Which of the entries below a directory are meant.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Selection {
    /// Globs as in `.gitignore`; those that begin with `!` leave out.
    #[serde(default)]
    pub globs: Vec<String>,
    /// What to do with what ignore rules name, and with `.git`.
    #[serde(default)]
    pub ignored: Ignored,
}

/// What to do with what ignore rules name (`.gitignore`, `.ignore`,
/// `.git/info/exclude`), and with `.git`.
#[derive(Debug, Clone, std::marker::Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ignored {
    /// It is left out.
    #[default]
    Skip,
    /// It is as good as anything else.
    Include,
}

/// How deep a listing goes.
#[derive(Debug, Clone, std::marker::Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Depth {
    /// What lies in the directory itself.
    Shallow,
    /// Everything below it.
    Deep,
}

/// Name what lies in a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// The directory, or a single file.
    pub path: WorkspacePath,
    /// How deep to go.
    pub depth: Depth,
    /// Which entries.
    #[serde(default)]
    pub selection: Selection,
    /// Only what comes after this one.
    #[serde(default)]
    pub after: Option<WorkspacePath>,
    /// Most entries, at most [`ENTRIES_MAX`].
    pub limit: u32,
}

/// What lies in a directory, in the order of [`WorkspacePath`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Whether more come after the last one.
    pub more: bool,
}

/// Something that lies in `/workspace`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where.
    pub path: WorkspacePath,
    /// What it is.
    pub kind: Kind,
    /// Size in bytes, of a file's content or a link's target.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// When its content changed, in nanoseconds since 1970-01-01 UTC.
    pub modified_ns: i64,
    /// User and group.
    pub owner: (u32, u32),
    /// Where a symbolic link points, as [`crate::path::quote`] writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// What an entry is.
#[derive(Debug, Clone, std::marker::Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, a pipe or a socket.
    Special,
}

/// Describe one entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    /// Which; a symbolic link is not followed.
    pub path: WorkspacePath,
}

/// Read a part of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// Which; symbolic links are followed as long as they stay inside.
    pub path: WorkspacePath,
    /// Which part.
    pub part: Part,
    /// Most bytes, at most [`READ_MAX`].
    pub max_bytes: u32,
}

/// A part of a file.
#[derive(Debug, Clone, std::marker::Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// From this byte on.
    Bytes {
        /// Counted from zero.
        offset: u64,
    },
    /// Whole lines.
    Lines {
        /// The first, counted from one.
        first: u64,
        /// The last, or the file's last.
        last: Option<u64>,
    },
}

/// A part of a file, whose bytes follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// How large the whole file is, in bytes.
    pub size: u64,
    /// Lines in the whole file; `None` if counting them would take too long.
    pub total_lines: Option<u64>,
    /// Where the part begins.
    pub offset: u64,
    /// How long the part is: so many bytes follow.
    pub length: u64,
    /// Number of the first line, if lines were asked for.
    pub first_line: Option<u64>,
    /// Whether what was asked for is longer than [`Read::max_bytes`].
    pub truncated: bool,
    /// Whether the file looks like data rather than text: a NUL byte in its
    /// first 8,000 bytes, as git judges it.
    pub binary: bool,
}

/// Write a whole file, atomically.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    /// Which; symbolic links are followed as long as they stay inside.
    pub path: WorkspacePath,
    /// Permission bits; those of the file that it replaces, else 644.
    pub mode: Option<u32>,
    /// What to do about directories that are missing.
    pub parents: Parents,
    /// What to do about a file that is there.
    pub existing: Existing,
}

/// What to do about directories that are missing.
#[derive(Debug, Clone, std::marker::Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parents {
    /// Create them.
    Create,
    /// Fail.
    Require,
}

/// What to do about what is already there.
#[derive(Debug, Clone, std::marker::Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Existing {
    /// Replace it.
    Replace,
    /// Fail.
    Keep,
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// What lies there now.
    pub entry: Entry,
    /// Whether there was nothing before.
    pub created: bool,
}

/// Replace a text in a file, atomically.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// Which; symbolic links are followed as long as they stay inside.
    pub path: WorkspacePath,
    /// Length of the old text.
    pub old_bytes: u32,
    /// Length of the new text.
    pub new_bytes: u32,
    /// How often the old text may occur.
    pub occurrences: Occurrences,
}

/// How often a text that is to be replaced may occur.
#[derive(Debug, Clone, std::marker::Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occurrences {
    /// Once.
    One,
    /// Once or more often; each is replaced.
    All,
}

/// A file that was edited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edited {
    /// What lies there now.
    pub entry: Entry,
    /// How many occurrences were replaced.
    pub replaced: u64,
    /// The lines in which the first of them began, before the edit.
    pub lines: Vec<u64>,
}

/// Create a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mkdir {
    /// Which.
    pub path: WorkspacePath,
    /// With [`Parents::Create`] one that exists is no failure.
    pub parents: Parents,
}

/// Give something another place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// What; a symbolic link is moved itself.
    pub from: WorkspacePath,
    /// Where to.
    pub to: WorkspacePath,
    /// What to do about directories that are missing.
    pub parents: Parents,
    /// What to do about what is there; a directory is never replaced.
    pub existing: Existing,
}

/// Copy something with everything in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// What; a symbolic link is copied itself.
    pub from: WorkspacePath,
    /// Where to.
    pub to: WorkspacePath,
    /// What to do about directories that are missing.
    pub parents: Parents,
    /// What to do about what is there; a directory is never replaced.
    pub existing: Existing,
}

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// What lies at the new place.
    pub entry: Entry,
    /// Files, directories and links, the outermost included.
    pub entries: u64,
    /// Bytes of the files' contents.
    pub bytes: u64,
}

/// Remove something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delete {
    /// What; a symbolic link is removed itself.
    pub path: WorkspacePath,
    /// Whether a directory may have something in it.
    pub depth: Depth,
}

/// What was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// Files, directories and links, the outermost included.
    pub entries: u64,
}
