//! Records, and the one form in which they are stored.

use batch_api::{Actor, AttemptId, Epoch, RepositoryName, Sequence, UnitId};
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use crate::time::Time;

/// The version of the records that this engine writes.
pub const VERSION: u32 = 1;

/// What a record is about. A part that does not apply is absent: a fact about
/// the whole batch has no unit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// The repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryName>,
    /// The unit of work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitId>,
    /// The attempt at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<AttemptId>,
}

impl Subject {
    /// The batch as a whole.
    pub const BATCH: Self = Self { repository: None, unit: None, attempt: None };

    /// A unit.
    #[must_use]
    pub fn unit(unit: &UnitId) -> Self {
        Self { repository: Some(unit.repository.clone()), unit: Some(unit.clone()), attempt: None }
    }

    /// An attempt at a unit.
    #[must_use]
    pub fn attempt(attempt: &AttemptId) -> Self {
        Self { attempt: Some(attempt.clone()), ..Self::unit(&attempt.unit) }
    }
}

/// A fact that was decided and is not yet in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft<F> {
    /// Who caused it.
    pub actor: Actor,
    /// The earlier record because of which it is, where there is one.
    pub cause: Option<Sequence>,
    /// What it is about.
    pub subject: Subject,
    /// What happened.
    pub fact: F,
}

/// A fact in its place in the journal. The fields are stored in this order, and
/// that is the canonical form: JSON without spaces, maps sorted by key, no
/// floating point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record<F> {
    /// The version of the record.
    pub version: u32,
    /// Its position.
    pub sequence: Sequence,
    /// The digest of the line before it.
    pub previous: Digest,
    /// When it was decided, as the engine was told.
    pub at: Time,
    /// The engine that decided it.
    pub epoch: Epoch,
    /// Who caused it.
    pub actor: Actor,
    /// The earlier record because of which it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Sequence>,
    /// What it is about.
    pub subject: Subject,
    /// What happened.
    pub fact: F,
}

/// A record as it is stored. Storage keeps all three and gives them back as they
/// were; only a [`Chain`](super::Chain) can tell whether they are whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The position of the record.
    pub sequence: Sequence,
    /// The digest of the text.
    pub digest: Digest,
    /// The record in its canonical form.
    pub text: String,
}

impl Line {
    /// Longest text of a line, in bytes. A plan is one record.
    pub const TEXT_MAX: usize = 4 * 1024 * 1024;
}
