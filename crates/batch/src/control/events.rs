//! `batch.events`: the facts of the journal in plain words.

use batch_api::Sequence;
use batch_api::control::UnitRef;
use batch_api::control::events::{BatchEvent, BatchEvents, Events};
use batch_core::fact::Fact;
use batch_core::journal::Record;
use operation::{Call, Handler, OpError};

use super::following::{Followed, pause, read};
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
    let mut found: Vec<BatchEvent> = Vec::new();
    let mut at = Sequence(match (events.after, &events.unit) {
        (Some(after), _) => after,
        (None, None) => last(place)?.saturating_sub(events.limit.into()),
        // Which of all are the last ones of a unit is known at the end.
        (None, Some(_)) => 0,
    });
    loop {
        let records = read(place, at)?;
        let Some(last) = records.last() else { break };
        at = last.sequence;
        for record in records.iter().filter(|record| is_about(record, events.unit.as_ref())) {
            found.push(told(record)?);
            if events.after.is_some() && found.len() == most {
                let next_after = record.sequence.0;
                return Ok(BatchEvents { id: place.batch, events: found, next_after });
            }
        }
        found.drain(..found.len().saturating_sub(most));
    }
    Ok(BatchEvents { id: place.batch, events: found, next_after: at.0 })
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
