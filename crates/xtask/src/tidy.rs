//! `tidy`: house law as checks.
//!
//! Each check finds [`Violation`]s and knows nothing of the others:
//!
//! * [`edges`]: which of our crates may depend on which.
//! * [`sources`]: what sources may contain.
//! * [`decisions`]: that every decision can be found.
//!
//! [`tokens`] tells code, comments and string literals of a source apart.

mod decisions;
mod edges;
mod sources;
mod tokens;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use crate::programs;

/// Check the house law
///
/// Prints every violation as `file:line: message`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {}

/// Something that the law does not allow.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    path: PathBuf,
    /// Counted from one; 0 if it is about the file as a whole.
    line: usize,
    message: String,
}

impl Violation {
    fn of(path: &Path, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path.display(), self.message),
            line => write!(f, "{}:{line}: {}", self.path.display(), self.message),
        }
    }
}

/// Runs the task; its exit code says whether the law is kept.
pub(crate) fn run(_: &Options) -> Result<ExitCode> {
    let root = programs::root();
    let files = files(&root)?;
    let mut violations = edges::check(&programs::metadata()?);
    violations.extend(sources::check(&root, &files)?);
    violations.extend(decisions::check(&root)?);
    violations.sort();
    for violation in &violations {
        println!("{violation}");
    }
    match violations.len() {
        0 => println!("tidy: {} files keep the law", files.len()),
        count => println!("tidy: {count} violations"),
    }
    Ok(if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Every file of the repository, relative to its root: what is in version
/// control, and what is new and not ignored.
fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("cannot start git")?;
    ensure!(output.status.success(), "git cannot list the repository's files");
    let list = String::from_utf8(output.stdout).context("a file's name is no UTF-8")?;
    // A file that was deleted and not yet committed is still listed.
    Ok(list.lines().map(PathBuf::from).filter(|path| root.join(path).is_file()).collect())
}
