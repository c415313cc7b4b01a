//! The journal of a batch in a SQLite database, and its traces in files beside it.
//!
//! ```text
//! DIRECTORY/
//!   journal.sqlite (-wal, -shm)   lines and the epoch: one table each
//!   owner-7.lock                  held while the engine of epoch 7 lives; says who it is
//!   traces/3f/3f9c…               content by its digest
//! ```
//!
//! What has to be promised is written down in [`batch_core::journal`]. How it is
//! kept:
//!
//! * **All or none, durable:** an append is one transaction; `synchronous=FULL`
//!   syncs the write-ahead log before it counts. Appends that wait at the same
//!   time share one transaction and its sync ([`Committer`]).
//! * **One owner:** the epoch is read in the transaction that writes, so nobody's
//!   claim can come in between ([`SqliteJournal::append`](batch_core::journal::Journal::append)).
//! * **Readers** fold while the engine writes: the write-ahead log gives each read
//!   one state of the database.
//!
//! **SIGKILL** leaves a whole transaction or none, whatever it hits; a claim that
//! was killed leaves a lock file that nobody holds; a trace that was killed leaves
//! an unfinished file that [`TraceStore::shrink`] removes.
//!
//! **A full disk** is told as [`AppendError::Refused`](batch_core::journal::AppendError):
//! the old state stands, and appending works again once there is room. Any other
//! failure of a commit is `Unknown`: the log may hold the lines although it could
//! not be synced.
//!
//! **A stopped process** that was in the middle of a commit holds SQLite's lock. If it
//! is an engine, whoever takes over ends it (`ownership`); if it is somebody else's
//! program, claims and appends fail after `BUSY_TIMEOUT` as busy, until it is ended. Its
//! half-written transaction never counts.

mod error;
mod group;
mod ownership;
mod store;
mod traces;
mod verify;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use batch_api::BatchId;
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};

pub use error::JournalError;
pub use group::Committer;
pub use ownership::{ClaimError, Owner};
pub use traces::{Kept, TRACE_BYTES_MAX, TraceStore};
pub use verify::Verified;

/// The database within a batch's directory.
const DATABASE: &str = "journal.sqlite";

/// The traces within a batch's directory.
const TRACES: &str = "traces";

/// The format of the database. The records have versions of their own.
const FORMAT: u32 = 1;

/// How long one process waits for another's transaction, which takes milliseconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

const TABLES: &str = "
    CREATE TABLE journal (
        batch TEXT NOT NULL,
        epoch INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE lines (
        sequence INTEGER PRIMARY KEY,
        digest BLOB NOT NULL,
        text TEXT NOT NULL
    ) STRICT;
";

/// A handle on a batch's journal. Several may be open in several processes; the
/// one that claimed last owns it.
#[derive(Debug)]
pub struct SqliteJournal {
    directory: PathBuf,
    batch: BatchId,
    connection: Connection,
    traces: TraceStore,
    /// Held by the handle that claimed last, if this is it.
    ownership: Option<File>,
}

impl SqliteJournal {
    /// Opens the journal in `directory`, making an empty one if there is none.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn create(directory: &Path, batch: BatchId) -> Result<Self, JournalError> {
        let path = directory.join(DATABASE);
        let failed = |source| JournalError::File { action: "create", path: path.clone(), source };
        fs::create_dir_all(directory).map_err(failed)?;
        // One that is there must not even be opened: closing any descriptor of it
        // frees the locks that other handles of this process have on it.
        match OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(error));
            }
            _ => {}
        }
        // The database's own syncs do not make its name durable.
        sync_directory(directory).map_err(failed)?;
        Self::open(directory, batch)
    }

    /// Opens the journal in `directory`.
    ///
    /// # Errors
    ///
    /// If there is none, if it is another batch's, if a newer program wrote it, or
    /// if its last records are not what was written.
    pub fn open(directory: &Path, batch: BatchId) -> Result<Self, JournalError> {
        let path = directory.join(DATABASE);
        if !path.exists() {
            return Err(JournalError::Missing { path });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags)
            .map_err(JournalError::during("open", &path))?;
        prepare(&connection).map_err(JournalError::during("open", &path))?;
        let traces = Self::traces_in(directory);
        let directory = directory.to_owned();
        let mut journal = Self { directory, batch, connection, traces, ownership: None };
        journal.lay_out()?;
        journal.verify_last()?;
        Ok(journal)
    }

    /// The traces of the batch in `directory`.
    #[must_use]
    pub fn traces_in(directory: &Path) -> TraceStore {
        TraceStore::at(directory.join(TRACES))
    }

    /// The database.
    fn path(&self) -> PathBuf {
        self.directory.join(DATABASE)
    }

    /// Makes the tables if this is new, and checks whose they are.
    fn lay_out(&mut self) -> Result<(), JournalError> {
        let path = self.path();
        let failed = |source| JournalError::during("read", &path)(source);
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Deferred)
            .map_err(failed)?;
        let format = |connection: &Connection| {
            connection.query_row("PRAGMA user_version", [], |row| row.get::<_, u32>(0))
        };
        let mut found = format(&transaction).map_err(failed)?;
        drop(transaction);
        if found == 0 {
            // Of several that open it at once, one makes the tables.
            let transaction = self
                .connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .map_err(failed)?;
            found = format(&transaction).map_err(failed)?;
            if found == 0 {
                transaction
                    .execute_batch(TABLES)
                    .and_then(|()| {
                        let row = "INSERT INTO journal (batch, epoch) VALUES (?1, 0)";
                        transaction.execute(row, [self.batch.to_string()])
                    })
                    .and_then(|_| transaction.pragma_update(None, "user_version", FORMAT))
                    .map_err(failed)?;
                transaction.commit().map_err(failed)?;
                found = FORMAT;
            }
        }
        if found != FORMAT {
            return Err(JournalError::Newer { path, found });
        }
        let batch: Option<String> = self
            .connection
            .query_row("SELECT batch FROM journal", [], |row| row.get(0))
            .optional()
            .map_err(failed)?;
        match batch {
            Some(batch) if batch == self.batch.to_string() => Ok(()),
            Some(batch) => Err(JournalError::OtherBatch { path, found: batch }),
            None => Err(JournalError::Damaged { path, what: "it names no batch".to_owned() }),
        }
    }
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")
}

/// Makes a name within a directory durable.
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What only a loss of power would show.
    #[test]
    fn the_database_is_told_to_sync_each_commit() {
        let directory = tempfile::tempdir().unwrap();
        let batch = "bat_00000000000000000000000000000001".parse().unwrap();
        let journal = SqliteJournal::create(directory.path(), batch).unwrap();
        let ask = |question: &str| {
            journal
                .connection
                .query_row(question, [], |row| row.get::<_, rusqlite::types::Value>(0))
        };
        // The numbers are those of sqlite.org/pragma.html.
        assert_eq!(ask("PRAGMA synchronous").unwrap(), 2.into(), "FULL");
        assert_eq!(ask("PRAGMA journal_mode").unwrap(), "wal".to_owned().into());
    }
}
