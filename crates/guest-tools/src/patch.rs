//! The tool `patch`: what `git diff` prints, applied as a whole or not at all.
//!
//! ```text
//! text ──parse──▶ changes ──plan, against the files──▶ results ──staging──▶ files
//! ```
//!
//! `git apply` is the model: what it applies is applied with the same result,
//! what it refuses is refused. Parsing ([`parse`]) and applying hunks ([`image`])
//! touch no file. All files are worked out in memory before the first one is
//! changed; `staging` says how they then change together.

pub mod binary;
mod header;
pub mod image;
pub mod parse;
mod plan;

use std::io::{Read, Write};

use guest_protocol::path::quote;
use guest_protocol::tools::FailureKind;
use guest_protocol::tools::patch::{Applied, Apply, FILES_MAX, PATCH_MAX};

use crate::error::ToolError;
use crate::root::Root;
use crate::wire;

/// How many files that do not fit are told of at once.
const MISFITS_MAX: usize = 5;

/// Why a patch was not applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// There is no patch in the text.
    #[error("there is no patch in the text")]
    Nothing,
    /// A line that cannot be where it is.
    #[error("the patch is corrupt at line {line}")]
    Corrupt {
        /// Counted from one.
        line: usize,
    },
    /// Binary data that is not what it says.
    #[error("the patch's binary data is corrupt at line {line}")]
    CorruptBinary {
        /// Counted from one.
        line: usize,
    },
    /// A hunk without a file.
    #[error("the hunk at line {line} of the patch belongs to no file")]
    NoHeader {
        /// Counted from one.
        line: usize,
    },
    /// A header without the names that it needs.
    #[error("the header at line {line} of the patch lacks the file's name")]
    NoNames {
        /// Counted from one.
        line: usize,
    },
    /// A header that contradicts itself.
    #[error("the name at line {line} of the patch contradicts its header")]
    Inconsistent {
        /// Counted from one.
        line: usize,
    },
    /// A header that asks for nothing.
    #[error("the header before line {line} of the patch has no change behind it")]
    OnlyGarbage {
        /// Counted from one.
        line: usize,
    },
    /// A new file with an old content.
    #[error("`{}` is to be new, but its hunks have old lines", quote(file))]
    NewDependsOnOld {
        /// The file.
        file: Vec<u8>,
    },
    /// A removed file with a new content.
    #[error("`{}` is to be deleted, but its hunks leave something in it", quote(file))]
    DeletedHasContents {
        /// The file.
        file: Vec<u8>,
    },
    /// More than is applied at once.
    #[error("the patch has more than {FILES_MAX} files, or too many hunks")]
    TooMany,
    /// Longer than is read.
    #[error("the patch is longer than {PATCH_MAX} bytes")]
    TooLong,
    /// A name that means no file in the workspace.
    #[error("`{}` is no name for a file of a patch", quote(file))]
    BadName {
        /// The name.
        file: Vec<u8>,
    },
    /// What does not fit the files that are there.
    #[error("the patch does not apply; nothing was changed\n{}", misfits(all))]
    Misfits {
        /// One per file.
        all: Vec<Misfit>,
    },
}

/// A file that a patch does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The file.
    pub file: Vec<u8>,
    /// Why it does not fit.
    pub reason: String,
}

fn misfits(all: &[Misfit]) -> String {
    let mut told: Vec<String> = all
        .iter()
        .take(MISFITS_MAX)
        .map(|misfit| format!("`{}`: {}", quote(&misfit.file), misfit.reason))
        .collect();
    if all.len() > MISFITS_MAX {
        told.push(format!("and {} more files", all.len() - MISFITS_MAX));
    }
    told.join("\n")
}

impl PatchError {
    pub(crate) fn kind(&self) -> FailureKind {
        match self {
            Self::Misfits { .. } => FailureKind::Conflict,
            Self::TooMany | Self::TooLong => FailureKind::Exhausted,
            Self::BadName { .. } => FailureKind::Outside,
            _ => FailureKind::Invalid,
        }
    }

    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Misfits { .. } => "read the files as they are now and make the patch anew".into(),
            Self::Corrupt { .. } => {
                "a hunk's lines begin with ` `, `-` or `+`, and there are as many as its header says"
                    .into()
            }
            _ => return None,
        })
    }
}

/// Reads a request and answers it.
///
/// # Errors
///
/// If the request is not understood or the answer cannot be told.
pub fn serve(
    root: Result<Root, ToolError>,
    input: &mut impl Read,
    output: &mut impl Write,
) -> Result<(), ToolError> {
    let request: Apply = wire::request(input)?;
    let applied = root.and_then(|root| apply(&root, &request, input));
    wire::answer(output, applied)
}

fn apply(root: &Root, request: &Apply, input: &mut impl Read) -> Result<Applied, ToolError> {
    let mut text = Vec::new();
    wire::chunks(input, |chunk| {
        text.extend_from_slice(chunk);
        if text.len() as u64 > PATCH_MAX {
            return Err(PatchError::TooLong.into());
        }
        Ok(())
    })?;
    if !text.is_empty() && !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    plan::carry_out(root, request, &parse::parse(&text)?)
}
