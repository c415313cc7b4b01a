//! Saving the machine with its memory, while it runs on.
//!
//! ```text
//! fresh layers made ─▶ on record ─▶ snapshot taken, guest runs beside ─▶ frozen layers shared
//!                          ▲               │                                     │
//!                          └─ taken back ◀─┴ failed                              ▼
//!                             answered ◀── manifest ◀── synced ◀── memory made resumable
//! ```
//!
//! **SIGKILL here** leaves the workspace stopped with whole disks: the chain on
//! record begins with the fresh layers from before they are used until after it,
//! and they are empty as long as they are not. What was being saved has no
//! manifest, so it is no machine; recovery removes it.

use std::path::PathBuf;

use machine::qemu::Qemu;
use machine::{
    Driver, MachineError, Materialisation, RunBeside, Snapshot, SnapshotFailed, SnapshotPlan,
};
use operation::{ErrorKind, OpError};

use super::asking::{GuestMeanwhile, SaveMachine, answer};
use super::hub::ClientId;
use super::serving::{Ending, Keeper};
use crate::disks::{Chains, Frozen};
use crate::files::FileError;
use crate::jobs::JobRecord;
use crate::machines;
use crate::saved::shelf::{Hold, hold};
use crate::saved::{Durability, Knowledge, Unfinished};
use crate::trouble::GuestTrouble;

/// How many layers a drive may have. Each costs an opened file and time at each
/// start: with QEMU 7.2 opening took 19 ms at depth 1 and 104 ms at depth 100.
const LAYERS_MAX: usize = 64;

/// A saving whose snapshot is being taken.
#[derive(Debug)]
pub(super) struct Saving {
    client: ClientId,
    id: u64,
    place: Unfinished,
    hold: Hold,
    empty_layer: PathBuf,
    durability: Durability,
    /// The layers that it freezes.
    before: Chains,
    /// The layers on record, with fresh ones above those.
    after: Chains,
    /// What ran when it began.
    jobs: Vec<JobRecord>,
}

impl Keeper {
    /// Begins to save the machine; says no if that cannot work.
    pub(super) async fn begin_saving(&mut self, client: ClientId, id: u64, save: SaveMachine) {
        let halted = match save.guest {
            GuestMeanwhile::RunsOn => Ok(()),
            GuestMeanwhile::StandsStill => self.halt().await,
        };
        match halted.and_then(|()| self.prepare_saving(client, id, save)) {
            Ok(saving) => self.saving = Some(saving),
            Err(error) => self.answer(client, id, async { answer::<SaveMachine>(Err(error)) }),
        }
    }

    /// Whether memory is being written to the disk in clear, so that nothing in it
    /// may get a secret now.
    pub(super) fn saves_in_clear(&self) -> bool {
        self.saving.as_ref().is_some_and(|saving| saving.place.is_clear())
    }

    fn prepare_saving(
        &mut self,
        client: ClientId,
        id: u64,
        save: SaveMachine,
    ) -> Result<Saving, OpError> {
        let SaveMachine { directory, empty_layer, durability, guest: _ } = save;
        if !self.machine.can_snapshot() {
            return Err(OpError::plain(
                ErrorKind::Unavailable,
                "this machine cannot be snapshotted while it runs",
            ));
        }
        let hold = hold(&directory)?.ok_or_else(|| {
            OpError::plain(ErrorKind::Conflict, "the snapshot was given up before it began")
        })?;
        let disks = self.files.disks();
        let before = disks.chains()?;
        judge_depth(&before)?;
        let after = before.grown();
        let place = if self.concealment.guards_memory() {
            Unfinished::sealed(directory)?
        } else {
            Unfinished::clear(directory)
        };
        let plan = SnapshotPlan {
            stream: place.stream(),
            layers: after.tops().map(|layer| disks.layer(layer)).collect(),
            beside: RunBeside::default(),
        };
        let recorded = disks.add_empty(&after, &empty_layer).and_then(|()| disks.write(&after));
        if let Err(error) = recorded {
            disks.forget(after.tops());
            return Err(error.into());
        }
        self.machine.lend(plan);
        let jobs = self.jobs.under_way();
        Ok(Saving { client, id, place, hold, empty_layer, durability, before, after, jobs })
    }

    /// The machine is back.
    pub(super) fn snapshot_taken(
        &mut self,
        taken: Result<Snapshot, SnapshotFailed>,
    ) -> Option<Ending> {
        let saving = self.saving.take()?;
        let (client, id) = (saving.client, saving.id);
        for (client, id) in std::mem::take(&mut self.secrets_to_come) {
            self.hide_secrets(client, id);
        }
        match taken {
            Ok(taken) => {
                match self.go_on_saving(saving, taken) {
                    Ok(work) => {
                        self.answer(client, id, async { answer::<SaveMachine>(work.await) })
                    }
                    Err(error) => {
                        self.answer(client, id, async { answer::<SaveMachine>(Err(error.into())) });
                    }
                }
                None
            }
            Err(SnapshotFailed { layers, source }) => {
                if layers == machine::LayersInUse::Old {
                    self.take_back(&saving);
                }
                let is_usable = matches!(
                    source,
                    MachineError::State { .. }
                        | MachineError::File { .. }
                        | MachineError::Refused { .. }
                );
                let trouble = GuestTrouble::Save(source);
                if !is_usable {
                    return Some(Ending::Lost(trouble));
                }
                let error = trouble.while_it_runs();
                self.answer(client, id, async { answer::<SaveMachine>(Err(error)) });
                None
            }
        }
    }

    /// What starts monitors for this workspace.
    pub(super) fn driver(&self) -> Qemu {
        machines::driver(
            &self.request.program,
            self.request.monitor.clone(),
            self.request.monitor_number,
        )
    }

    fn take_back(&self, saving: &Saving) {
        let disks = self.files.disks();
        match disks.write(&saving.before) {
            Ok(()) => disks.forget(saving.after.tops()),
            // Empty layers above the old ones do no harm.
            Err(error) => tracing::error!(%error, "fresh layers stay on record"),
        }
    }

    /// What is left to do, beside everything else. The frozen layers get their
    /// names here and now, before anything else can happen to the disks.
    fn go_on_saving(
        &self,
        saving: Saving,
        taken: Snapshot,
    ) -> Result<impl Future<Output = Result<(), OpError>> + use<>, FileError> {
        let Saving { place, hold, empty_layer, durability, before, after, mut jobs, .. } = saving;
        let disks = self.files.disks();
        let directory = disks.directory().to_owned();
        Frozen { directory, chains: before.clone() }.link_into(&place.directory)?;
        // One that began or ended meanwhile may be in the snapshot or not; the
        // guest knows.
        for begun in self.jobs.under_way() {
            if jobs.iter().all(|job| job.id != begun.id) {
                jobs.push(begun);
            }
        }
        let shape = self.request.origin.machine.shape;
        let (driver, home) = (self.driver(), self.home.clone());
        self.compact(&after, empty_layer);
        let knowledge = Knowledge {
            shape,
            token: self.link.next_token,
            chains: before,
            jobs,
            services: self.services.under_way(),
            names: self.network.names(),
            taken,
        };
        Ok(async move {
            let _hold = hold;
            let materialising = driver.materialising().ok_or_else(|| {
                OpError::plain(ErrorKind::Unavailable, "this machine driver cannot resume copies")
            })?;
            let plan = Materialisation {
                memory_mib: shape.memory_mib,
                stream: &place.stream(),
                ram: &place.ram(),
                state: &place.state(),
            };
            let made = materialising.materialise(&plan).await;
            made.map_err(|error| GuestTrouble::Save(error).while_it_runs())?;
            tokio::task::spawn_blocking(move || place.finish(&home, knowledge, durability))
                .await
                .map_err(|error| OpError::new(ErrorKind::Internal, &error))??;
            Ok(())
        })
    }
}

/// Refuses one more layer above drives that have too many.
fn judge_depth(chains: &Chains) -> Result<(), OpError> {
    if chains.depth() < LAYERS_MAX {
        return Ok(());
    }
    let message = format!("{LAYERS_MAX} snapshots and forks lie below this workspace's disks");
    Err(OpError::plain(ErrorKind::Exhausted, message)
        .hinted("reset it to an earlier snapshot, or export your work to a new workspace"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drives_get_layers_up_to_the_limit_and_no_further() {
        let mut chains = Chains::default();
        let mut saved = 0;
        while judge_depth(&chains).is_ok() {
            chains = chains.grown();
            saved += 1;
        }
        assert_eq!((saved, chains.depth()), (LAYERS_MAX - 1, LAYERS_MAX));
        assert_eq!(judge_depth(&chains).unwrap_err().kind, ErrorKind::Exhausted);
    }
}
