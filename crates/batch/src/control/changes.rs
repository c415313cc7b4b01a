//! What is asked of a batch's engine: `batch.pause`, `resume`, `abort`, `retry`, `skip`.

use batch_api::control::change::{
    Abort, Changed, Pause, Resume, ResumeOutcome, Resumed, Retry, Skip,
};
use batch_api::control::{Target, UnitRef};
use batch_api::{RequestId, UnitId};
use batch_core::decide::Command;
use batch_core::state::{Halt, State};
use operation::{Call, ErrorKind, Handler, NoEvents, OpError};

use super::place::Place;
use super::process::{Begun, Orders, Replacing};
use super::requests;
use super::{blocking, choosing};
use crate::Batches;

impl Handler<Pause> for Batches {
    async fn handle(&self, pause: Pause, _: &mut Call<NoEvents>) -> Result<Changed, OpError> {
        let Pause { target, request_id } = pause;
        self.change("pause", target, request_id, |_| Ok((Command::Pause, None))).await
    }
}

impl Handler<Abort> for Batches {
    async fn handle(&self, abort: Abort, _: &mut Call<NoEvents>) -> Result<Changed, OpError> {
        let Abort { target, request_id } = abort;
        self.change("abort", target, request_id, |_| Ok((Command::Abort, None))).await
    }
}

impl Handler<Retry> for Batches {
    async fn handle(&self, retry: Retry, _: &mut Call<NoEvents>) -> Result<Changed, OpError> {
        let Retry { unit, target, request_id } = retry;
        let command = move |place: &Place| {
            let unit = meant(place, &unit)?;
            Ok((Command::Retry { unit: unit.clone() }, Some(unit)))
        };
        self.change("retry", target, request_id, command).await
    }
}

impl Handler<Skip> for Batches {
    async fn handle(&self, skip: Skip, _: &mut Call<NoEvents>) -> Result<Changed, OpError> {
        let Skip { unit, target, request_id } = skip;
        let command = move |place: &Place| {
            let unit = meant(place, &unit)?;
            Ok((Command::Skip { unit: unit.clone() }, Some(unit)))
        };
        self.change("skip", target, request_id, command).await
    }
}

impl Batches {
    /// Asks the engine of a batch for something.
    async fn change(
        &self,
        change: &'static str,
        target: Target,
        request_id: Option<RequestId>,
        command: impl FnOnce(&Place) -> Result<(Command, Option<UnitId>), OpError> + Send + 'static,
    ) -> Result<Changed, OpError> {
        let (home, starter) = (self.home.clone(), self.starter.clone());
        blocking(move || {
            let place = choosing::choose(&home, &target)?;
            let (command, unit) = command(&place)?;
            let request_id = requests::name(request_id);
            requests::ask(&place, &starter, &request_id, command)?;
            Ok(Changed { id: place.batch, change: change.to_owned(), unit, request_id })
        })
        .await
    }
}

/// The unit of a batch that is meant.
pub(crate) fn meant(place: &Place, unit: &UnitRef) -> Result<UnitId, OpError> {
    let units = place.setup()?.spec.units;
    let is_meant = |id: &UnitId| match unit {
        UnitRef::Task(task) => id.task == *task,
        UnitRef::Unit(unit) => id == unit,
    };
    let found = units.into_iter().map(|spec| spec.unit).find(is_meant);
    found.ok_or_else(|| {
        OpError::plain(ErrorKind::NotFound, format!("{} has no unit `{unit}`", place.batch))
            .hinted("`hotcell batch status` shows its units")
    })
}

impl Handler<Resume> for Batches {
    async fn handle(&self, resume: Resume, _: &mut Call<NoEvents>) -> Result<Resumed, OpError> {
        let (home, starter) = (self.home.clone(), self.starter.clone());
        blocking(move || {
            let Resume { take_over, target, request_id } = resume;
            let place = choosing::choose(&home, &target)?;
            let request_id = requests::name(request_id);
            let at_work = if take_over { None } else { requests::at_work(&place)? };
            let state = place.look()?.0;
            let (engine, outcome) = match at_work {
                Some(epoch) => (epoch.0, ResumeOutcome::Alive),
                None => {
                    nothing_to_do(&place, &state)?;
                    let replacing =
                        if take_over { Replacing::Anybody } else { Replacing::OnlyTheDead };
                    match starter.start(&place, &Orders { replacing, ask: None })? {
                        Begun::Failed { error } => return Err(error),
                        Begun::Began { epoch, .. } => (epoch, ResumeOutcome::Started),
                        Begun::Owned { epoch } => (epoch, ResumeOutcome::Alive),
                    }
                }
            };
            if state.halt == Some(Halt::Paused) {
                requests::ask(&place, &starter, &request_id, Command::Resume)?;
            }
            Ok(Resumed { id: place.batch, engine, outcome, request_id })
        })
        .await
    }
}

/// Refuses to let a batch go on that is over.
fn nothing_to_do(place: &Place, state: &State) -> Result<(), OpError> {
    if !state.is_over() {
        return Ok(());
    }
    let message = format!("{} is over", place.batch);
    Err(OpError::plain(ErrorKind::Conflict, message)
        .hinted("`hotcell batch retry UNIT` tries a unit again that has failed or was skipped"))
}
