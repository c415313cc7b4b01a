//! Patches as the models of Codex write them.
//!
//! ```text
//! *** Begin Patch
//! *** Add File: path            every line of the new file behind a `+`
//! +text
//! *** Delete File: path
//! *** Update File: path
//! *** Move to: path             if it gets another name
//! @@ def f():                   after a line like this one; several narrow it down
//!  kept                         behind a space: is there, and stays
//! -removed
//! +added
//! *** End of File               what was told last is the end of the file
//! *** End Patch
//! ```
//!
//! A place is told by the lines around it and has no number, so it is looked for from
//! where the one before ended (`Chunk`), first as it is written, then with less and
//! less regard to white space and typography, as models do not always write a line as
//! it is. Lines that stay are left as they are in the file.
//!
//! The format is the grammar of the tool `apply_patch` that Codex 0.169 offers. Its text
//! may also be wrapped as a document of a shell (`<<'EOF'`). What a model writes is
//! untrusted: all of it is bounded ([`BYTES_MAX`], and how long lines are looked for),
//! and fuzzed.

mod fitting;
mod outcome;
mod parse;

pub use fitting::Misfit;
pub use outcome::Outcome;

/// Longest patch, in bytes.
pub const BYTES_MAX: usize = 1024 * 1024;

/// Most files that a patch may be about.
pub const FILES_MAX: usize = 500;

/// A patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    changes: Vec<Change>,
}

/// What a patch does to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    /// There is a file with this content afterwards, whatever was there.
    Add { path: String, content: String },
    /// It is gone.
    Delete { path: String },
    /// It is changed in places, in their order, and may get another name.
    Update { path: String, to: Option<String>, chunks: Vec<Chunk> },
}

/// A place in a file, and what it becomes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Chunk {
    /// Lines that come before it, each after the one before.
    anchors: Vec<String>,
    lines: Vec<Line>,
    /// Whether the file ends with it.
    is_at_end: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    Kept(String),
    Removed(String),
    Added(String),
}

/// What is no patch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPatch {
    /// A line that cannot be where it is.
    #[error("line {line} of the patch: {expected}")]
    Line {
        /// Counted from one.
        line: usize,
        /// What could be there.
        expected: &'static str,
    },
    /// It is too long.
    #[error("the patch has {0} bytes; there may be {BYTES_MAX}: use several")]
    TooLong(usize),
    /// It is about too many files.
    #[error("the patch is about more than {FILES_MAX} files: use several")]
    TooManyFiles,
}

impl Patch {
    /// The files that it is about.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.changes
            .iter()
            .flat_map(|change| match change {
                Change::Add { path, .. } | Change::Delete { path } => [Some(&**path), None],
                Change::Update { path, to, .. } => [Some(&**path), to.as_deref()],
            })
            .flatten()
    }

    /// The same with other names of the files.
    ///
    /// # Errors
    ///
    /// If there is no such name.
    pub fn renamed<E>(mut self, name: impl Fn(&str) -> Result<String, E>) -> Result<Self, E> {
        for change in &mut self.changes {
            match change {
                Change::Add { path, .. } | Change::Delete { path } => *path = name(path)?,
                Change::Update { path, to, .. } => {
                    *path = name(path)?;
                    *to = to.take().map(|to| name(&to)).transpose()?;
                }
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests;
