//! Batches that are followed: their journal is read on, and looked at once a second if
//! nothing is new.

use std::time::Duration;

use batch_api::Sequence;
use batch_api::control::UnitRef;
use batch_core::fact::Fact;
use batch_core::journal::{Journal as _, Record};
use batch_core::state::State;
use operation::{ErrorKind, OpError};
use tokio_util::sync::CancellationToken;

use super::blocking;
use super::events::is_about;
use super::place::Place;
use crate::journal::{Owner, SqliteJournal};

/// How many records are read at once.
pub(super) const PAGE: usize = 1024;

/// How often somebody who follows looks for more.
const POLL: Duration = Duration::from_secs(1);

/// A batch, read from the beginning of its journal.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) place: Place,
    /// As it is after all that was read.
    pub(super) state: State,
    at: Sequence,
}

impl Followed {
    pub(super) fn new(place: Place) -> Self {
        Self { place, state: State::default(), at: Sequence(0) }
    }

    /// What follows, and who owned the batch before it was read: an owner that has ended by
    /// then has written everything.
    pub(super) async fn more(&mut self) -> Result<(Vec<Record<Fact>>, Owner), OpError> {
        let (place, at) = (self.place.clone(), self.at);
        let (records, owner) = blocking(move || {
            let owner = place.owner()?;
            Ok((read(&place, at)?, owner))
        })
        .await?;
        for record in &records {
            self.state.fold(record);
            self.at = record.sequence;
        }
        Ok((records, owner))
    }

    /// Where it is in the journal.
    pub(super) const fn at(&self) -> u64 {
        self.at.0
    }
}

/// Waits until it is worth to look once more.
pub(super) async fn pause(cancel: &CancellationToken) {
    tokio::select! {
        () = cancel.cancelled() => {}
        () = tokio::time::sleep(POLL) => {}
    }
}

/// The next records after a position.
pub(super) fn read(place: &Place, after: Sequence) -> Result<Vec<Record<Fact>>, OpError> {
    let Some(mut journal) = place.journal()? else { return Ok(Vec::new()) };
    Ok(about(place, &mut journal, after, PAGE, None)?.1)
}

/// Of the next records after a position those about a unit, or all; and the position of
/// the last that was looked at.
pub(super) fn about(
    place: &Place,
    journal: &mut SqliteJournal,
    after: Sequence,
    count: usize,
    unit: Option<&UnitRef>,
) -> Result<(Option<Sequence>, Vec<Record<Fact>>), OpError> {
    let lines = journal.read(after, count);
    let lines = lines.map_err(|error| OpError::new(ErrorKind::Internal, &error))?;
    let record = |text: &str| {
        serde_json::from_str(text).map_err(|error| {
            OpError::new(ErrorKind::Internal, &error)
                .during("a record of the journal cannot be read")
                .hinted(format!("`hotcell batch doctor {}` verifies all of them", place.batch))
        })
    };
    // Of a long journal most is about others: what does not even name it is not parsed.
    let task = unit.map(|unit| match unit {
        UnitRef::Task(task) => task.to_string(),
        UnitRef::Unit(unit) => unit.task.to_string(),
    });
    let names_it = |text: &str| task.as_ref().is_none_or(|task| text.contains(task));
    let named = lines.iter().filter(|line| names_it(&line.text));
    let records = named.map(|line| record(&line.text)).collect::<Result<Vec<_>, _>>()?;
    let last = lines.last().map(|line| line.sequence);
    Ok((last, records.into_iter().filter(|record| is_about(record, unit)).collect()))
}
