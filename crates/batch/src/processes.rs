//! `batch.processes`: what is in custody, and the end of what nobody owns.

use batch_api::BatchId;
use batch_api::processes::{
    EndedProcess, ListedProcess, Ownership, ProcessEnd, ProcessList, Processes,
};
use operation::{Call, ErrorKind, Handler, NoEvents, OpError};

use crate::Batches;
use crate::custody::{self, Abandonment, Listed, SettleError, Settled, SettledEnd};
use crate::home::BatchesHome;

impl Handler<Processes> for Batches {
    async fn handle(
        &self,
        request: Processes,
        _: &mut Call<NoEvents>,
    ) -> Result<ProcessList, OpError> {
        let home = self.home.clone();
        tokio::task::spawn_blocking(move || looked_after(&home, &request)).await.map_err(
            |error| OpError::new(ErrorKind::Internal, &error).during("looking ended early"),
        )?
    }
}

fn looked_after(home: &BatchesHome, request: &Processes) -> Result<ProcessList, OpError> {
    let mut all = ProcessList::default();
    for batch in home.batches(request.batch)? {
        let registry = home.custody(batch);
        if request.orphans {
            let ended = custody::end_orphans(&registry)?;
            all.ended.extend(ended.into_iter().map(|settled| told_end(batch, settled)));
        }
        let listed = custody::list(&registry)?;
        all.processes.extend(listed.into_iter().map(|one| told(batch, one)));
    }
    Ok(all)
}

fn told(batch: BatchId, one: Listed) -> ListedProcess {
    ListedProcess {
        batch,
        engine: one.epoch.0,
        key: one.key.to_string(),
        label: one.label.map(|label| label.to_string()),
        program: one.program,
        pids: one.processes,
        ownership: one.abandonment.map_or(Ownership::Owned, ownership),
    }
}

fn told_end(batch: BatchId, settled: Settled) -> EndedProcess {
    let (end, pids) = match settled.end {
        SettledEnd::NeverRan => (ProcessEnd::NeverRan, Vec::new()),
        SettledEnd::WasGone => (ProcessEnd::WasGone, Vec::new()),
        SettledEnd::Killed(pids) => (ProcessEnd::Killed, pids),
        SettledEnd::Stuck(pids) => (ProcessEnd::Stuck, pids),
    };
    EndedProcess {
        batch,
        engine: settled.epoch.0,
        key: settled.key.to_string(),
        label: settled.label.map(|label| label.to_string()),
        ownership: ownership(settled.abandonment),
        end,
        pids,
    }
}

const fn ownership(abandonment: Abandonment) -> Ownership {
    match abandonment {
        Abandonment::EngineDead => Ownership::EngineDead,
        Abandonment::Fenced => Ownership::EngineReplaced,
        Abandonment::Unknown => Ownership::Unknown,
    }
}

impl From<SettleError> for OpError {
    fn from(error: SettleError) -> Self {
        Self::new(ErrorKind::Internal, &error)
    }
}
