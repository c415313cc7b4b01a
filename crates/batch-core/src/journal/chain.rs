//! The chain of digests through the journal: sealing records, checking lines.

use batch_api::{BatchId, Epoch, Sequence};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::record::{Draft, Line, Record, VERSION};
use crate::time::Time;

/// Where a chain ends: what the next record has to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    last: Sequence,
    digest: Digest,
}

/// A line that does not continue the chain, or cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// A line is missing, or there twice.
    #[error("record {expected} of the journal should follow, but record {found} does", expected = .expected.0, found = .found.0)]
    Order {
        /// The position that follows.
        expected: Sequence,
        /// The one that was found.
        found: Sequence,
    },
    /// The text is not the one that was written.
    #[error("record {} of the journal was altered or is torn", .0.0)]
    Torn(Sequence),
    /// The record follows another one than the one before it.
    #[error("record {} of the journal does not continue the records before it", .0.0)]
    Broken(Sequence),
    /// A newer engine wrote it.
    #[error("record {sequence} of the journal has version {version}: this engine reads up to {VERSION}", sequence = .sequence.0)]
    Newer {
        /// Where.
        sequence: Sequence,
        /// The version of the record.
        version: u32,
    },
    /// The text is whole, and still no record.
    #[error("record {} of the journal cannot be read", sequence.0)]
    Unreadable {
        /// Where.
        sequence: Sequence,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// A record that is too long for a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a record of {length} bytes is longer than {max}", max = Line::TEXT_MAX)]
pub struct TooLong {
    length: usize,
}

/// The part of a record that every version has.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl Chain {
    /// The chain of a batch before its first record. The batch's id begins it, so
    /// no record fits into the journal of another one.
    #[must_use]
    pub fn of(batch: BatchId) -> Self {
        Self { last: Sequence(0), digest: Digest::of(format!("journal of {batch}").as_bytes()) }
    }

    /// The position of the last record.
    #[must_use]
    pub const fn last(&self) -> Sequence {
        self.last
    }

    /// Whether this is the line that it ends with.
    #[must_use]
    pub fn ends_with(&self, line: &Line) -> bool {
        line.sequence == self.last && line.digest == self.digest
    }

    /// Turns a draft into the next record and its line.
    ///
    /// # Errors
    ///
    /// If the record is too long; the chain is as before.
    pub fn seal<F: Serialize>(
        &mut self,
        draft: Draft<F>,
        at: Time,
        epoch: Epoch,
    ) -> Result<(Record<F>, Line), TooLong> {
        let Draft { actor, cause, subject, fact } = draft;
        let sequence = self.last.next();
        let previous = self.digest;
        let version = VERSION;
        let record = Record { version, sequence, previous, at, epoch, actor, cause, subject, fact };
        let text = serde_json::to_string(&record).expect("records are made of what JSON can say");
        if text.len() > Line::TEXT_MAX {
            return Err(TooLong { length: text.len() });
        }
        let line = Line { sequence, digest: Digest::of(text.as_bytes()), text };
        *self = Self { last: sequence, digest: line.digest };
        Ok((record, line))
    }

    /// The record of a line that was read back, if it continues the chain.
    ///
    /// # Errors
    ///
    /// If it does not, or cannot be read; the chain is as before.
    pub fn check<F: DeserializeOwned>(&mut self, line: &Line) -> Result<Record<F>, ChainError> {
        let expected = self.last.next();
        if line.sequence != expected {
            return Err(ChainError::Order { expected, found: line.sequence });
        }
        let sequence = expected;
        if Digest::of(line.text.as_bytes()) != line.digest {
            return Err(ChainError::Torn(sequence));
        }
        let unreadable = |source| ChainError::Unreadable { sequence, source };
        let read: Result<Record<F>, _> = serde_json::from_str(&line.text);
        if read.as_ref().map_or(true, |record| record.version > VERSION) {
            // Of a newer record nothing is understood for certain but its version.
            let Versioned { version } = serde_json::from_str(&line.text).map_err(unreadable)?;
            if version > VERSION {
                return Err(ChainError::Newer { sequence, version });
            }
        }
        let record = read.map_err(unreadable)?;
        if record.previous != self.digest || record.sequence != sequence {
            return Err(ChainError::Broken(sequence));
        }
        *self = Self { last: sequence, digest: line.digest };
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use batch_api::Actor;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::super::record::Subject;
    use super::*;

    const START: fn() -> Chain = || Chain::of(BatchId::from_uuid(Uuid::nil()));

    fn lines(facts: &[String]) -> Vec<Line> {
        let mut chain = START();
        let seal = |fact: &String| {
            let draft = Draft {
                actor: Actor::Engine,
                cause: None,
                subject: Subject::BATCH,
                fact: fact.clone(),
            };
            chain.seal(draft, Time(7), Epoch(1)).unwrap().1
        };
        facts.iter().map(seal).collect()
    }

    fn read(lines: &[Line]) -> Result<Vec<String>, ChainError> {
        let mut chain = START();
        lines.iter().map(|line| chain.check(line).map(|record| record.fact)).collect()
    }

    proptest! {
        #[test]
        fn what_was_sealed_is_read_and_whatever_was_changed_is_found(
            facts in prop::collection::vec(".{0,12}", 3..8),
            which in 0..100_usize,
            how in 0..6,
        ) {
            let mut lines = lines(&facts);
            prop_assert_eq!(&read(&lines).unwrap(), &facts);
            let last = lines.len() - 1;
            let at = which % last;
            match how {
                0 => { lines.remove(at); }
                1 => lines.swap(at, at + 1),
                2 => lines[at].text.push(' '),
                3 => {
                    // With a digest that fits, the successor gives it away.
                    lines[at].text = lines[at].text.replacen("\"at\":7", "\"at\":8", 1);
                    lines[at].digest = Digest::of(lines[at].text.as_bytes());
                }
                4 => { let line = lines[at].clone(); lines.insert(at, line); }
                _ => { lines[last].text.pop(); }
            }
            prop_assert!(read(&lines).is_err());
        }
    }

    #[test]
    fn a_journal_of_another_batch_or_of_a_newer_engine_is_refused() {
        let mut line = lines(&["fact".to_owned()]).remove(0);
        let mut other = Chain::of(BatchId::from_uuid(Uuid::max()));
        assert!(matches!(other.check::<String>(&line), Err(ChainError::Broken(Sequence(1)))));

        line.text = line.text.replacen("\"version\":1", "\"version\":2,\"new\":true", 1);
        line.digest = Digest::of(line.text.as_bytes());
        let refused = START().check::<String>(&line);
        assert!(matches!(refused, Err(ChainError::Newer { version: 2, .. })), "{refused:?}");
    }
}
