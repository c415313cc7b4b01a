//! Lines in the database.

use batch_api::{Epoch, Sequence};
use batch_core::journal::{AppendError, Claim, Digest, Journal, Line, StorageError, Traces};
use rusqlite::{Connection, Row, Transaction, TransactionBehavior};

use super::{JournalError, SqliteJournal};

/// The lines after a position, in order.
const PAGE: &str = "SELECT sequence, digest, text FROM lines
    WHERE sequence > ?1 ORDER BY sequence LIMIT ?2";

/// Lines that somebody wants to append.
#[derive(Debug)]
pub(super) struct Submission<'a> {
    pub(super) epoch: Epoch,
    pub(super) lines: &'a [Line],
}

impl SqliteJournal {
    pub(super) fn lines_after(
        &self,
        after: Sequence,
        count_max: usize,
    ) -> Result<Vec<Line>, JournalError> {
        let count = i64::try_from(count_max).unwrap_or(i64::MAX);
        self.connection
            .prepare_cached(PAGE)
            .and_then(|mut statement| statement.query_map((after.0, count), line)?.collect())
            .map_err(JournalError::during("read", &self.path()))
    }

    /// Appends each submission or refuses it, all in one commit. They are judged
    /// in order, each as if those that were taken before it were there already.
    pub(super) fn append_group(
        &mut self,
        group: &[Submission<'_>],
    ) -> Vec<Result<(), AppendError>> {
        let path = self.path();
        let refuse = |source: rusqlite::Error| {
            AppendError::Refused(JournalError::during("write", &path)(source).while_it("wrote"))
        };
        let written = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .and_then(|transaction| {
                let verdicts = write(&transaction, group)?;
                Ok((transaction, verdicts))
            });
        let (transaction, mut verdicts) = match written {
            Ok(written) => written,
            // Dropping a transaction undoes it, whatever it had written.
            Err(error) => {
                let why = error.to_string();
                let again = |error: &rusqlite::Error| same_kind(error, &why);
                return group.iter().map(|_| Err(refuse(again(&error)))).collect();
            }
        };
        if verdicts.iter().all(Result::is_err) {
            return verdicts;
        }
        if let Err(error) = transaction.commit() {
            let why = error.to_string();
            for verdict in verdicts.iter_mut().filter(|verdict| verdict.is_ok()) {
                let error = same_kind(&error, &why);
                // What SQLite could not even write cannot be read as written.
                let full = error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull);
                let judged = JournalError::during("write", &path)(error).while_it("committed");
                *verdict = Err(if full {
                    AppendError::Refused(judged)
                } else {
                    AppendError::Unknown(judged)
                });
            }
        }
        verdicts
    }
}

/// Everybody of a group is told the same, but an error cannot be cloned.
fn same_kind(error: &rusqlite::Error, text: &str) -> rusqlite::Error {
    match error.sqlite_error() {
        Some(code) => rusqlite::Error::SqliteFailure(*code, Some(text.to_owned())),
        None => rusqlite::Error::ToSqlConversionFailure(text.into()),
    }
}

fn write(
    transaction: &Transaction<'_>,
    group: &[Submission<'_>],
) -> rusqlite::Result<Vec<Result<(), AppendError>>> {
    let epoch = epoch(transaction)?;
    let mut last = last(transaction)?;
    let mut insert = transaction
        .prepare_cached("INSERT INTO lines (sequence, digest, text) VALUES (?1, ?2, ?3)")?;
    let mut verdicts = Vec::with_capacity(group.len());
    for submission in group {
        let verdict = AppendError::judge(submission.epoch, epoch, last, submission.lines);
        if verdict.is_ok() {
            for line in submission.lines {
                insert.execute((line.sequence.0, line.digest.as_bytes(), &line.text))?;
                last = line.sequence;
            }
        }
        verdicts.push(verdict);
    }
    Ok(verdicts)
}

/// The epoch that owns the journal.
pub(super) fn epoch(connection: &Connection) -> rusqlite::Result<Epoch> {
    connection.query_row("SELECT epoch FROM journal", [], |row| row.get(0).map(Epoch))
}

/// The position of the last line.
pub(super) fn last(connection: &Connection) -> rusqlite::Result<Sequence> {
    let query = "SELECT coalesce(max(sequence), 0) FROM lines";
    connection.query_row(query, [], |row| row.get(0).map(Sequence))
}

fn line(row: &Row<'_>) -> rusqlite::Result<Line> {
    Ok(Line {
        sequence: Sequence(row.get(0)?),
        digest: Digest::from_bytes(row.get(1)?),
        text: row.get(2)?,
    })
}

impl Journal for SqliteJournal {
    fn claim(&mut self) -> Result<Claim, StorageError> {
        self.take_over().map_err(|error| error.while_it("claimed it"))
    }

    fn append(&mut self, epoch: Epoch, lines: &[Line]) -> Result<(), AppendError> {
        if lines.is_empty() {
            return Ok(());
        }
        self.append_group(&[Submission { epoch, lines }]).pop().unwrap_or(Ok(()))
    }

    fn read(&mut self, after: Sequence, count_max: usize) -> Result<Vec<Line>, StorageError> {
        self.lines_after(after, count_max).map_err(|error| error.while_it("read"))
    }
}

impl Traces for SqliteJournal {
    fn keep(&mut self, content: &[u8]) -> Result<Digest, StorageError> {
        self.traces.keep(content).map_err(|error| error.while_it("kept a trace"))
    }

    fn trace(&mut self, digest: Digest) -> Result<Option<Vec<u8>>, StorageError> {
        self.traces.find(digest).map_err(|error| error.while_it("read a trace"))
    }

    fn prune(&mut self, digest: Digest) -> Result<(), StorageError> {
        self.traces.prune(digest).map_err(|error| error.while_it("pruned a trace"))
    }
}
