//! What can go wrong with a journal.

use std::io;
use std::path::{Path, PathBuf};

use batch_core::journal::{ChainError, StorageError};
use rusqlite::ErrorCode;

use super::{BUSY_TIMEOUT, FORMAT};

/// A step on a journal that failed.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// There is none.
    #[error("there is no journal at {}", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// A newer program wrote it.
    #[error("the journal {} has format {found}, this program knows {FORMAT}", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// The format that was found.
        found: u32,
    },
    /// It belongs to another batch.
    #[error("the journal {} is that of batch {found}", path.display())]
    OtherBatch {
        /// The database.
        path: PathBuf,
        /// The batch that was found.
        found: String,
    },
    /// The database is no longer what was written.
    #[error("the journal {} is damaged: {what}", path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A record is no longer what was written, or one is missing.
    #[error("the journal {} is damaged", path.display())]
    Broken {
        /// The database.
        path: PathBuf,
        /// Where.
        #[source]
        source: ChainError,
    },
    /// Somebody holds the database's lock for longer than any transaction takes.
    #[error(
        "another process is in the middle of writing the journal {} and has not gone on for {} s; \
         end it if it was stopped", path.display(), BUSY_TIMEOUT.as_secs()
    )]
    Busy {
        /// The database.
        path: PathBuf,
    },
    /// There is no room for more.
    #[error("the disk that holds the journal {} is full", path.display())]
    Full {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// SQLite failed.
    #[error("cannot {action} the journal {}", path.display())]
    Database {
        /// What was tried.
        action: &'static str,
        /// The database.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: rusqlite::Error,
    },
    /// A file beside it cannot be handled.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A trace is larger than any may be.
    #[error("a trace of {bytes} bytes is larger than {} bytes", super::TRACE_BYTES_MAX)]
    TraceTooLarge {
        /// How large.
        bytes: usize,
    },
    /// A trace is no longer what was kept.
    #[error("the trace {} is not what was kept", path.display())]
    TraceAltered {
        /// Its file.
        path: PathBuf,
    },
}

impl JournalError {
    /// Judges what SQLite said while something was done with the database.
    pub(super) fn during(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(rusqlite::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged { path, what: source.to_string() }
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { path },
            Some(ErrorCode::DiskFull) => Self::Full { path, source },
            _ => Self::Database { action, path, source },
        }
    }

    /// What can be done about it, if anything can.
    #[must_use]
    pub const fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Newer { .. } => Some("use the newer version of hotcell"),
            Self::Full { .. } => {
                Some("free some space: nothing was lost, and it goes on from there")
            }
            Self::Busy { .. } => Some("end the process that was stopped"),
            Self::Damaged { .. } | Self::Broken { .. } => Some(
                "put a copy of the whole directory aside; records before the damage can be read",
            ),
            _ => None,
        }
    }

    /// As the trait of all storages tells it.
    pub(super) fn while_it(self, step: &'static str) -> StorageError {
        StorageError { step, source: Box::new(self) }
    }
}
