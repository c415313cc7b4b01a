//! What can go wrong with the database.

use std::path::PathBuf;

use operation::{ErrorKind, OpError};
use workspace_api::id::{WorkspaceName, WorkspaceRef};
use workspace_api::state::IllegalStep;

use super::schema::FORMAT;
use crate::home::FileError;

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
    #[error("`{0}` is the beginning of {1} ids")]
    Ambiguous(WorkspaceRef, usize),
    /// The workspace's state does not allow it.
    #[error("the workspace does not allow it")]
    Illegal(#[from] IllegalStep),
}

impl From<StoreError> for OpError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::NotFound(_) => Self::new(ErrorKind::NotFound, &error)
                .hinted("`hotcell workspace list` shows what exists"),
            StoreError::Ambiguous(..) => {
                Self::new(ErrorKind::InvalidRequest, &error).hinted("give more of its digits")
            }
            StoreError::NameTaken(name) => Self::new(ErrorKind::Conflict, &error).hinted(format!(
                "choose another name, or delete it first: `hotcell workspace delete {name}`"
            )),
            StoreError::Illegal(_) => Self::new(ErrorKind::Conflict, &error),
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
