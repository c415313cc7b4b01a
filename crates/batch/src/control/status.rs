//! `batch.status` and `batch.list`: the journal, folded by whoever asks.

use batch_api::control::status::{BatchList, BatchStatus, BatchSummary, EngineState, List, Status};
use operation::{Call, Handler, NoEvents, OpError};

use super::place::Place;
use super::{blocking, choosing, telling};
use crate::Batches;

impl Handler<Status> for Batches {
    async fn handle(
        &self,
        request: Status,
        _: &mut Call<NoEvents>,
    ) -> Result<BatchStatus, OpError> {
        let home = self.home.clone();
        blocking(move || {
            let place = choosing::choose(&home, &request.target)?;
            let (state, owner) = place.look()?;
            telling::status(&place.setup()?, &state, owner)
        })
        .await
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
