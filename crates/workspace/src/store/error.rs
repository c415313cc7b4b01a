//! What can go wrong with the database.

use std::path::PathBuf;

use operation::{ErrorKind, OpError};
use workspace_api::ceiling::Refusal;
use workspace_api::id::{WorkspaceId, WorkspaceName, WorkspaceRef};
use workspace_api::state::IllegalStep;

use super::schema::FORMAT;
use crate::files::FileError;

/// A step on the database that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The database cannot be opened.
    #[error("cannot open the database {}", path.display())]
    Open {
        /// The database.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// The database's file cannot be created.
    #[error(transparent)]
    File(#[from] FileError),
    /// A newer version of the product wrote it.
    #[error("the database {} has format {found}, this program knows {FORMAT}", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// The format that was found.
        found: usize,
    },
    /// A record cannot be read or written.
    #[error("cannot {action} in the database")]
    Record {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: rusqlite::Error,
    },
    /// The name is taken.
    #[error("a workspace is already named `{0}`")]
    NameTaken(WorkspaceName),
    /// No workspace is meant.
    #[error("there is no workspace `{0}`")]
    NotFound(WorkspaceRef),
    /// Several workspaces are meant.
    #[error("`{0}` is the beginning of {count} ids", count = .1.len())]
    Ambiguous(WorkspaceRef, Vec<WorkspaceId>),
    /// The workspace's state does not allow it.
    #[error("the workspace does not allow it")]
    Illegal(#[from] IllegalStep),
    /// There are as many workspaces as there may be.
    #[error(transparent)]
    Refused(Refusal),
}

/// How many of several candidates are named.
const CANDIDATES_MAX: usize = 5;

/// Asks to say which of several is meant.
pub(crate) fn one_of(candidates: impl ExactSizeIterator<Item = String>) -> String {
    let more = candidates.len().saturating_sub(CANDIDATES_MAX);
    let named: Vec<String> = candidates.take(CANDIDATES_MAX).collect();
    let more = if more > 0 { format!(" or {more} more") } else { String::new() };
    format!("give more of its digits: it may be {}{more}", named.join(", "))
}

impl From<StoreError> for OpError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::NotFound(_) => Self::new(ErrorKind::NotFound, &error)
                .hinted("`hotcell workspace list` shows what exists"),
            StoreError::Ambiguous(_, candidates) => Self::new(ErrorKind::InvalidRequest, &error)
                .hinted(one_of(candidates.iter().map(ToString::to_string))),
            StoreError::NameTaken(name) => Self::new(ErrorKind::Conflict, &error).hinted(format!(
                "choose another name, or delete it first: `hotcell workspace delete {name}`"
            )),
            StoreError::Illegal(_) => Self::new(ErrorKind::Conflict, &error),
            StoreError::Refused(refusal) => refusal.clone().into(),
            StoreError::File(_) => Self::new(ErrorKind::Unavailable, &error),
            StoreError::Newer { .. } => {
                Self::new(ErrorKind::Unavailable, &error).hinted("use the newer version of hotcell")
            }
            StoreError::Open { source, .. } | StoreError::Record { source, .. } => {
                match source.sqlite_error_code() {
                    Some(rusqlite::ErrorCode::DiskFull) => Self::new(ErrorKind::Exhausted, &error)
                        .hinted("free some space on the disk that holds hotcell's files"),
                    _ => Self::new(ErrorKind::Internal, &error),
                }
            }
        }
    }
}
