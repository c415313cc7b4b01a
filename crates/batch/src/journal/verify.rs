//! Whether the lines are still those that were written.
//!
//! Whoever folds the journal checks every line on the way, so opening needs to
//! look at the last few only: that is where a disk that lied about a sync, or a
//! copy that was made at a bad moment, shows. All of it, and the database's own
//! structure, is checked when somebody asks.

use batch_core::journal::{Chain, ChainError, Digest, Line};
use serde::Deserialize;
use serde::de::IgnoredAny;

use batch_api::Sequence;

use super::{JournalError, SqliteJournal, store};

/// How many of the last lines are checked on opening.
const LAST_LINES: u64 = 64;

/// How many lines are read at once when all are checked.
const PAGE_LINES: usize = 1024;

/// How much of SQLite's complaint is told, in lines.
const COMPLAINTS_MAX: u32 = 3;

/// A journal that is what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// The position of its last record.
    pub last: Sequence,
    /// How many bytes its records have.
    pub bytes: u64,
}

/// The part of a record that links it.
#[derive(Deserialize)]
struct Link {
    previous: Digest,
}

impl SqliteJournal {
    /// Checks the database's structure and every line of the chain.
    ///
    /// # Errors
    ///
    /// [`JournalError::Damaged`] or [`JournalError::Broken`] where it is not what
    /// was written.
    pub fn verify(&mut self) -> Result<Verified, JournalError> {
        let path = self.path();
        let complaints: Vec<String> = self
            .connection
            .prepare(&format!("PRAGMA quick_check({COMPLAINTS_MAX})"))
            .and_then(|mut statement| {
                statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()
            })
            .map_err(JournalError::during("check", &path))?;
        if complaints != ["ok"] {
            return Err(JournalError::Damaged { path, what: complaints.join("; ") });
        }
        let mut chain = Chain::of(self.batch);
        let mut bytes = 0;
        loop {
            let lines = self.lines_after(chain.last(), PAGE_LINES)?;
            if lines.is_empty() {
                return Ok(Verified { last: chain.last(), bytes });
            }
            for line in &lines {
                chain
                    .check::<IgnoredAny>(line)
                    .map_err(|source| JournalError::Broken { path: self.path(), source })?;
                bytes += line.text.len() as u64;
            }
        }
    }

    /// The position of the last record.
    ///
    /// # Errors
    ///
    /// If the database cannot be read.
    pub fn last(&self) -> Result<Sequence, JournalError> {
        store::last(&self.connection).map_err(JournalError::during("read", &self.path()))
    }

    /// Checks the last lines, which takes as long for any journal.
    pub(super) fn verify_last(&self) -> Result<(), JournalError> {
        let path = self.path();
        let last = store::last(&self.connection).map_err(JournalError::during("read", &path))?;
        let from = Sequence(last.0.saturating_sub(LAST_LINES));
        let lines = self.lines_after(from, usize::try_from(LAST_LINES).unwrap_or(usize::MAX))?;
        let broken = |source| JournalError::Broken { path: self.path(), source };
        let mut before: Option<&Line> = None;
        for (line, number) in lines.iter().zip(from.0 + 1..) {
            let sequence = Sequence(number);
            if line.sequence != sequence {
                let found = line.sequence;
                return Err(broken(ChainError::Order { expected: sequence, found }));
            }
            if Digest::of(line.text.as_bytes()) != line.digest {
                return Err(broken(ChainError::Torn(sequence)));
            }
            let unreadable = |source| broken(ChainError::Unreadable { sequence, source });
            let link: Link = serde_json::from_str(&line.text).map_err(unreadable)?;
            if before.is_some_and(|before| before.digest != link.previous) {
                return Err(broken(ChainError::Broken(sequence)));
            }
            before = Some(line);
        }
        Ok(())
    }
}
