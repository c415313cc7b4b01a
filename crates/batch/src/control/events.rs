//! `batch.events`: the facts of the journal in plain words.

use batch_api::Sequence;
use batch_api::control::UnitRef;
use batch_api::control::events::{BatchEvent, BatchEvents, Events};
use batch_core::fact::Fact;
use batch_core::journal::Record;
use operation::{Call, Handler, OpError};

use super::changes::meant;
use super::following::{Followed, PAGE, about, pause};
use super::place::Place;
use super::{blocking, choosing, telling};
use crate::Batches;
use crate::journal::Owner;

impl Handler<Events> for Batches {
    async fn handle(
        &self,
        events: Events,
        call: &mut Call<BatchEvent>,
    ) -> Result<BatchEvents, OpError> {
        let (home, target) = (self.home.clone(), events.target.clone());
        let unit = events.unit.clone();
        let place = blocking(move || {
            let place = choosing::choose(&home, &target)?;
            unit.iter().try_for_each(|unit| meant(&place, unit).map(drop))?;
            Ok(place)
        })
        .await?;
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
    let mut followed = Followed::new(place);
    loop {
        let (records, owner) = followed.more().await?;
        for record in &records {
            if record.sequence.0 > after && is_about(record, events.unit.as_ref()) {
                call.emit(told(record)?).await;
            }
        }
        let is_over = followed.state.is_over() && !matches!(owner, Owner::Alive(_));
        if records.is_empty() && is_over || call.cancel.is_cancelled() {
            let (id, next_after) = (followed.place.batch, followed.at());
            return Ok(BatchEvents { id, events: Vec::new(), next_after });
        }
        if records.is_empty() {
            pause(&call.cancel).await;
        }
    }
}

fn last(place: &Place) -> Result<u64, OpError> {
    Ok(place.journal()?.map(|journal| journal.last()).transpose()?.map_or(0, |last| last.0))
}

pub(super) fn is_about(record: &Record<Fact>, unit: Option<&UnitRef>) -> bool {
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
