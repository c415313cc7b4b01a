//! What storage has to promise. `journal::contract` holds every one to it.

use std::error::Error;

use batch_api::{Epoch, Sequence};

use super::digest::Digest;
use super::record::Line;
use crate::defect::planted;

/// Ownership of a journal, as it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The epoch of the new owner: larger than every one before.
    pub epoch: Epoch,
    /// The last record that any earlier owner got in; none can follow.
    pub last: Sequence,
}

/// Storage of lines. Several handles may be open on the same storage, in several
/// processes: the one that claimed last owns it.
pub trait Journal {
    /// Takes the journal over. When this returns, the new epoch is durable, and
    /// no append under an earlier one can succeed any more.
    ///
    /// # Errors
    ///
    /// If storage fails; whether the epoch was taken is then unknown, which is
    /// harmless: another claim takes the next one.
    fn claim(&mut self) -> Result<Claim, StorageError>;

    /// Appends all the lines in one commit, or none. When this returns, they are
    /// durable. Nothing to append is nothing done, whoever asks.
    ///
    /// # Errors
    ///
    /// [`AppendError::Stale`], [`AppendError::Gap`], [`AppendError::TooMany`] and
    /// [`AppendError::Refused`] mean that nothing was written;
    /// [`AppendError::Unknown`] that nobody knows.
    fn append(&mut self, epoch: Epoch, lines: &[Line]) -> Result<(), AppendError>;

    /// The lines after a position, in order, at most `count_max` of them.
    ///
    /// # Errors
    ///
    /// If storage fails.
    fn read(&mut self, after: Sequence, count_max: usize) -> Result<Vec<Line>, StorageError>;
}

/// Storage of traces: content by its digest.
pub trait Traces {
    /// Keeps a trace; durable when this returns. Keeping it twice is once.
    ///
    /// # Errors
    ///
    /// If storage fails.
    fn keep(&mut self, content: &[u8]) -> Result<Digest, StorageError>;

    /// The trace, unless it was never kept or was pruned.
    ///
    /// # Errors
    ///
    /// If storage fails, or the content is no longer what was kept.
    fn trace(&mut self, digest: Digest) -> Result<Option<Vec<u8>>, StorageError>;

    /// Forgets a trace, if it is there. No record is changed by that.
    ///
    /// # Errors
    ///
    /// If storage fails.
    fn prune(&mut self, digest: Digest) -> Result<(), StorageError>;
}

/// Most lines of one append.
pub const LINES_MAX: usize = 4096;

/// Storage failed.
#[derive(Debug, thiserror::Error)]
#[error("the journal's storage failed while it {step}")]
pub struct StorageError {
    /// What was being done, as in “it {step}”.
    pub step: &'static str,
    /// Why it failed.
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
}

/// Why lines were not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Another engine owns the journal.
    #[error("the batch is owned by engine {current}, engine {given} was refused", current = .current.0, given = .given.0)]
    Stale {
        /// Under which epoch it was tried.
        given: Epoch,
        /// The epoch of the owner.
        current: Epoch,
    },
    /// The lines do not follow the last record.
    #[error("record {expected} would follow, not record {given}", expected = .expected.0, given = .given.0)]
    Gap {
        /// The position that would follow.
        expected: Sequence,
        /// The first line that does not.
        given: Sequence,
    },
    /// More lines than one commit may have.
    #[error("{0} records are more than one commit may have ({LINES_MAX})")]
    TooMany(usize),
    /// Storage refused them, and certainly wrote nothing: a full disk, say.
    #[error("the journal could not take more records")]
    Refused(#[source] StorageError),
    /// Storage failed, and nobody knows whether they were written.
    #[error("it is unknown whether records were written to the journal")]
    Unknown(#[source] StorageError),
}

impl AppendError {
    /// Judges what every storage has to judge alike, before it writes.
    ///
    /// # Errors
    ///
    /// If the lines may not be appended.
    pub fn judge(given: Epoch, current: Epoch, last: Sequence, lines: &[Line]) -> Result<(), Self> {
        if lines.len() > LINES_MAX {
            return Err(Self::TooMany(lines.len()));
        }
        let is_stale = given != current && !planted!(NoEpochCheck);
        if is_stale || given == Epoch(0) {
            return Err(Self::Stale { given, current });
        }
        let mut expected = last.next();
        for line in lines {
            if line.sequence != expected {
                return Err(Self::Gap { expected, given: line.sequence });
            }
            expected = expected.next();
        }
        Ok(())
    }
}
