//! `batch.events`: the facts of the journal in plain words.

use std::time::Duration;

use batch_api::Sequence;
use batch_api::control::UnitRef;
use batch_api::control::events::{BatchEvent, BatchEvents, Events};
use batch_core::fact::Fact;
use batch_core::journal::{Journal as _, Record};
use operation::{Call, ErrorKind, Handler, OpError};

use super::place::Place;
use super::{blocking, choosing, telling};
use crate::Batches;
use crate::journal::{Owner, SqliteJournal};

/// How many records are read at once.
const PAGE: usize = 1024;

/// How often somebody who follows looks for more.
const FOLLOW_POLL: Duration = Duration::from_secs(1);

impl Handler<Events> for Batches {
    async fn handle(
        &self,
        events: Events,
        call: &mut Call<BatchEvent>,
    ) -> Result<BatchEvents, OpError> {
        let (home, target) = (self.home.clone(), events.target.clone());
        let place = blocking(move || choosing::choose(&home, &target)).await?;
        if events.follow {
            return follow(place, events, call).await;
        }
        blocking(move || page(&place, &events)).await
    }
}

/// What is asked for of the past.
fn page(place: &Place, events: &Events) -> Result<BatchEvents, OpError> {
    let most = usize::try_from(events.limit).unwrap_or(usize::MAX);
    let answer = |found: &[Record<Fact>], next_after: Sequence| {
        let events = found.iter().map(told).collect::<Result<_, _>>()?;
        Ok(BatchEvents { id: place.batch, events, next_after: next_after.0 })
    };
    let Some(mut journal) = place.journal()? else { return answer(&[], Sequence(0)) };
    let unit = events.unit.as_ref();
    let mut found = Vec::new();
    if let Some(after) = events.after {
        let mut at = Sequence(after);
        loop {
            let (last, records) = about(place, &mut journal, at, PAGE, unit)?;
            let Some(last) = last else { return answer(&found, at) };
            found.extend(records);
            if let Some(next_after) = most.checked_sub(1).and_then(|place| found.get(place)) {
                return answer(&found[..most], next_after.sequence);
            }
            at = last;
        }
    }
    // The last ones, and so from the end.
    let last = journal.last()?;
    let mut end = last.0;
    while end > 0 && found.len() < most {
        let count = PAGE.min(usize::try_from(end).unwrap_or(PAGE));
        let from = end - count as u64;
        let (_, records) = about(place, &mut journal, Sequence(from), count, unit)?;
        found.extend(records.into_iter().rev().take(most - found.len()));
        end = from;
    }
    found.reverse();
    answer(&found, last)
}

/// Tells what happens until the batch is over.
async fn follow(
    place: Place,
    events: Events,
    call: &mut Call<BatchEvent>,
) -> Result<BatchEvents, OpError> {
    let start = place.clone();
    let last = blocking(move || last(&start)).await?;
    let after = events.after.unwrap_or_else(|| last.saturating_sub(events.limit.into()));
    let folded = place.clone();
    let (mut state, _) = blocking(move || folded.look()).await?;
    let mut at = Sequence(after.min(state.sequence.0));
    loop {
        let (of, from) = (place.clone(), at);
        let (records, owner) = blocking(move || {
            // The owner first: one that has ended by then has written everything.
            let owner = of.owner()?;
            Ok((read(&of, from)?, owner))
        })
        .await?;
        for record in &records {
            at = record.sequence;
            if at > state.sequence {
                state.fold(record);
            }
            if at.0 > after && is_about(record, events.unit.as_ref()) {
                call.emit(told(record)?).await;
            }
        }
        let is_over = state.is_over() && !matches!(owner, Owner::Alive(_));
        if records.is_empty() && is_over || call.cancel.is_cancelled() {
            return Ok(BatchEvents { id: place.batch, events: Vec::new(), next_after: at.0 });
        }
        if records.is_empty() {
            tokio::select! {
                () = call.cancel.cancelled() => {}
                () = tokio::time::sleep(FOLLOW_POLL) => {}
            }
        }
    }
}

fn last(place: &Place) -> Result<u64, OpError> {
    Ok(place.journal()?.map(|journal| journal.last()).transpose()?.map_or(0, |last| last.0))
}

/// The next records after a position.
pub(super) fn read(place: &Place, after: Sequence) -> Result<Vec<Record<Fact>>, OpError> {
    let Some(mut journal) = place.journal()? else { return Ok(Vec::new()) };
    Ok(about(place, &mut journal, after, PAGE, None)?.1)
}

/// Of the next records after a position those about a unit, or all; and the position of
/// the last that was looked at.
fn about(
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

fn is_about(record: &Record<Fact>, unit: Option<&UnitRef>) -> bool {
    match (unit, &record.subject.unit) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(UnitRef::Task(task)), Some(unit)) => unit.task == *task,
        (Some(UnitRef::Unit(meant)), Some(unit)) => unit == meant,
    }
}

fn told(record: &Record<Fact>) -> Result<BatchEvent, OpError> {
    let text = record.fact.to_string();
    Ok(BatchEvent {
        sequence: record.sequence.0,
        at: telling::moment(record.at)?,
        epoch: record.epoch.0,
        actor: record.actor.clone(),
        cause: record.cause.map(|cause| cause.0),
        unit: record.subject.unit.clone(),
        attempt: record.subject.attempt.clone(),
        text: text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
    })
}
