//! Why a tool did not do what it was asked.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use guest_protocol::path::WorkspacePath;
use guest_protocol::tools::{Failure, FailureKind, TooLong};

use file_tree::TreeError;

use crate::patch::PatchError;

/// How many causes of an error are told.
const CAUSES_MAX: usize = 8;

/// Why a tool did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// What is asked is not understood by this generation of the tools.
    #[error("this guest's tools do not understand the request")]
    Unknown(#[source] serde_json::Error),
    /// The caller's bytes ended or broke.
    #[error("the request ended before it was whole")]
    Input(#[source] io::Error),
    /// The caller sent too much at once.
    #[error("the request is too long")]
    TooLong(#[from] TooLong),
    /// The answer could not be told.
    #[error("the answer could not be written")]
    Output(#[source] io::Error),
    /// The root itself.
    #[error("{} cannot be used", path.display())]
    Root {
        /// The root.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A step on a file failed.
    #[error("cannot {step} `{path}`")]
    Step {
        /// What was tried.
        step: &'static str,
        /// On what.
        path: WorkspacePath,
        /// Why not.
        source: io::Error,
    },
    /// A step on what is kept while something is being changed failed.
    #[error("cannot {step} the staging directory")]
    Staging {
        /// What was tried.
        step: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// Somebody else is changing files for too long.
    #[error("another change of the workspace's files does not end")]
    Busy,
    /// Nothing is there.
    #[error("there is no `{0}`")]
    Missing(WorkspacePath),
    /// Something is there.
    #[error("`{0}` exists already")]
    Exists(WorkspacePath),
    /// A link leads out.
    #[error("`{0}` leads out of /workspace")]
    Outside(WorkspacePath),
    /// It is something else than is needed.
    #[error("`{path}` is {is}, not {wanted}")]
    WrongKind {
        /// Which.
        path: WorkspacePath,
        /// What it is.
        is: &'static str,
        /// What was needed.
        wanted: &'static str,
    },
    /// Not with `/workspace` itself.
    #[error("/workspace itself cannot be {0}")]
    IsRoot(&'static str),
    /// A directory that is not empty.
    #[error("the directory `{0}` is not empty")]
    NotEmpty(WorkspacePath),
    /// Something cannot be put into itself.
    #[error("`{from}` cannot be put into itself at `{to}`")]
    IntoItself {
        /// What.
        from: WorkspacePath,
        /// Where to.
        to: WorkspacePath,
    },
    /// Larger than is held in memory.
    #[error("`{path}` has {size} bytes, more than the {max} that can be changed at once")]
    TooLarge {
        /// Which.
        path: WorkspacePath,
        /// How large.
        size: u64,
        /// How large it may be.
        max: u64,
    },
    /// More than is walked through.
    #[error("the tree has more than {max} entries")]
    TreeTooLarge {
        /// How many there may be.
        max: u64,
    },
    /// A glob that means nothing.
    #[error("`{glob}` is no glob")]
    Glob {
        /// The glob.
        glob: String,
        /// Why not.
        source: ignore::Error,
    },
    /// A walk could not go on.
    #[error("cannot walk through `{path}`")]
    Walk {
        /// Where it began.
        path: WorkspacePath,
        /// Why not.
        source: ignore::Error,
    },
    /// A pattern that means nothing.
    #[error("the pattern is no regular expression")]
    Pattern(#[source] grep_regex::Error),
    /// A text that is to be replaced does not occur.
    #[error("the text to replace does not occur in `{path}`")]
    NoOccurrence {
        /// In which file.
        path: WorkspacePath,
        /// The line where something like it begins.
        near: Option<u64>,
    },
    /// A text that is to be replaced once occurs more often.
    #[error("the text to replace occurs {count} times in `{path}`, in lines {}", numbers(lines))]
    SeveralOccurrences {
        /// In which file.
        path: WorkspacePath,
        /// How often.
        count: u64,
        /// The first lines of it.
        lines: Vec<u64>,
    },
    /// A text that is to be replaced is empty.
    #[error("the text to replace is empty")]
    EmptyText,
    /// A patch that is not understood or does not fit.
    #[error(transparent)]
    Patch(#[from] PatchError),
    /// A tree that cannot be listed, sent or received.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// What is to be changed is the tools' own.
    #[error("`{0}` belongs to the tools")]
    Reserved(WorkspacePath),
}

fn tree_kind(error: &TreeError) -> FailureKind {
    match (error, error.io_kind()) {
        (_, Some(io::ErrorKind::NotFound)) => FailureKind::NotFound,
        (_, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) => {
            FailureKind::Exhausted
        }
        (TreeError::TooMuch { .. }, _) => FailureKind::Exhausted,
        (TreeError::Changed { .. } | TreeError::BehindLink { .. }, _) => FailureKind::Conflict,
        (TreeError::Damaged(_) | TreeError::Member(_), _) => FailureKind::Invalid,
        _ => FailureKind::Failed,
    }
}

/// The numbers as a list.
fn numbers(lines: &[u64]) -> String {
    lines.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

impl ToolError {
    /// For `map_err`: the failed step on `path`.
    pub(crate) fn at<E: Into<io::Error>>(
        step: &'static str,
        path: &WorkspacePath,
    ) -> impl FnOnce(E) -> Self {
        let path = path.clone();
        move |source| Self::from_io(step, path, source.into())
    }

    /// For `map_err`: the failed step on the staging directory.
    pub(crate) fn staging<E: Into<io::Error>>(step: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Staging { step, source: source.into() }
    }

    fn from_io(step: &'static str, path: WorkspacePath, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => Self::Missing(path),
            io::ErrorKind::AlreadyExists => Self::Exists(path),
            io::ErrorKind::DirectoryNotEmpty => Self::NotEmpty(path),
            io::ErrorKind::NotADirectory => {
                Self::WrongKind { path, is: "below something else", wanted: "in a directory" }
            }
            _ => Self::Step { step, path, source },
        }
    }

    /// What the host is told.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let mut causes = Vec::new();
        let mut source = self.source();
        while let Some(cause) = source.filter(|_| causes.len() < CAUSES_MAX) {
            causes.push(cause.to_string());
            source = cause.source();
        }
        Failure {
            kind: self.kind(),
            message: self.to_string(),
            causes,
            hints: self.hint().into_iter().collect(),
        }
    }

    fn kind(&self) -> FailureKind {
        match self {
            Self::Missing(_) => FailureKind::NotFound,
            Self::Exists(_)
            | Self::WrongKind { .. }
            | Self::NotEmpty(_)
            | Self::NoOccurrence { .. }
            | Self::SeveralOccurrences { .. }
            | Self::Busy => FailureKind::Conflict,
            Self::Outside(_) => FailureKind::Outside,
            Self::IsRoot(_)
            | Self::IntoItself { .. }
            | Self::Glob { .. }
            | Self::Pattern(_)
            | Self::EmptyText => FailureKind::Invalid,
            Self::TooLarge { .. } | Self::TreeTooLarge { .. } | Self::TooLong(_) => {
                FailureKind::Exhausted
            }
            Self::Patch(error) => error.kind(),
            Self::Tree(error) => tree_kind(error),
            Self::Reserved(_) => FailureKind::Invalid,
            Self::Step { source, .. } | Self::Staging { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FailureKind::Exhausted,
                _ => FailureKind::Failed,
            },
            Self::Unknown(_)
            | Self::Input(_)
            | Self::Output(_)
            | Self::Root { .. }
            | Self::Walk { .. } => FailureKind::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoOccurrence { near: Some(line), .. } => format!(
                "line {line} differs from it in white space only: read the file and give its text \
                 exactly"
            ),
            Self::NoOccurrence { near: None, .. } => {
                "read the file again: the text must be given exactly, with its white space".into()
            }
            Self::SeveralOccurrences { .. } => {
                "give more of the lines around it, or ask for all to be replaced".into()
            }
            Self::NotEmpty(_) => "ask for it to be deleted with everything in it".into(),
            Self::Outside(_) => "only what lies in /workspace can be named".into(),
            Self::Patch(error) => return error.hint(),
            _ => return None,
        })
    }
}
