//! `batch.status` and `batch.list`: the journal, folded by whoever asks.
//!
//! A status that is followed is folded on from where it was, and told if anything is
//! new, at most once a second.

use batch_api::control::status::{
    BatchList, BatchState, BatchStatus, BatchSummary, EngineState, FollowEnd, List, Status,
    StatusChange,
};
use operation::{Call, Handler, NoEvents, OpError};

use super::following::{Followed, pause};
use super::place::Place;
use super::{blocking, choosing, telling};
use crate::Batches;
use crate::engine::now;

impl Handler<Status> for Batches {
    async fn handle(
        &self,
        request: Status,
        call: &mut Call<StatusChange>,
    ) -> Result<BatchStatus, OpError> {
        let (home, target) = (self.home.clone(), request.target);
        let place = blocking(move || choosing::choose(&home, &target)).await?;
        if request.follow {
            return follow(place, call).await;
        }
        blocking(move || {
            let (state, owner) = place.look()?;
            telling::status(&place.setup()?, &state, owner)
        })
        .await
    }
}

/// Tells what changes until there is nothing to wait for.
async fn follow(place: Place, call: &mut Call<StatusChange>) -> Result<BatchStatus, OpError> {
    let of = place.clone();
    let setup = blocking(move || of.setup()).await?;
    let mut followed = Followed::new(place);
    let mut told: Option<BatchStatus> = None;
    loop {
        let (records, owner) = followed.more().await?;
        // Of what is long past nothing is told.
        if !records.is_empty() && !call.cancel.is_cancelled() {
            continue;
        }
        let mut status = telling::status(&setup, &followed.state, owner)?;
        let news = match &told {
            Some(before) => status.news_since(before),
            None => vec![status.summary()],
        };
        let is_same = told.as_ref() == Some(&status);
        if !is_same {
            let at = telling::moment(now())?;
            call.emit(StatusChange { at, news, status: status.clone() }).await;
            told = Some(status.clone());
        }
        let end = if call.cancel.is_cancelled() { Some(FollowEnd::Stopped) } else { end(&status) };
        if end.is_some() {
            status.followed_until = end;
            return Ok(status);
        }
        pause(&call.cancel).await;
    }
}

/// Whether nothing more is to come by itself.
fn end(status: &BatchStatus) -> Option<FollowEnd> {
    let is_over = status.state.is_over();
    match status.engine {
        // Until its engine has ended, something may still be tidied up.
        EngineState::Alive if is_over => None,
        _ if is_over => Some(FollowEnd::Over),
        _ if !status.waits.is_empty() || status.state == BatchState::Paused => {
            Some(FollowEnd::Waits)
        }
        EngineState::Alive => None,
        EngineState::Gone | EngineState::Never => Some(FollowEnd::NoEngine),
    }
}

impl Handler<List> for Batches {
    async fn handle(&self, request: List, _: &mut Call<NoEvents>) -> Result<BatchList, OpError> {
        let home = self.home.clone();
        blocking(move || {
            let mut batches: Vec<BatchSummary> = home
                .batches(None)?
                .into_iter()
                .map(|id| home.place(id))
                .map(|place| summary(&place).unwrap_or_else(|error| unreadable(&place, &error)))
                .filter(|batch| !(request.open && batch.state.is_some_and(|state| state.is_over())))
                .collect();
            batches.sort_by(|one, other| (&other.created, other.id).cmp(&(&one.created, one.id)));
            Ok(BatchList { batches })
        })
        .await
    }
}

fn summary(place: &Place) -> Result<BatchSummary, OpError> {
    let (state, owner) = place.look()?;
    telling::summary(&place.setup()?, &state, owner)
}

/// One that nothing can be known of is listed as well.
fn unreadable(place: &Place, error: &OpError) -> BatchSummary {
    BatchSummary {
        id: place.batch,
        repository: None,
        created: None,
        state: None,
        engine: EngineState::Gone,
        units: 0,
        done: 0,
        waits: 0,
        trouble: Some(error.message.clone()),
    }
}
