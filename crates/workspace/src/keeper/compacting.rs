//! Keeping the chains of layers short, while the machine runs.
//!
//! ```text
//! a chain is long ─▶ its frozen layers copied into one, aside ─▶ synced
//!                                                                  │
//!     old names removed ◀─ on record ◀─ the machine reads that one ┘
//! ```
//!
//! Snapshots and children keep their own names of the old layers. The copy reads
//! the same as what it stands for, so the chain on record is right before and
//! after. **SIGKILL here** leaves layers that are not on record; the next keeper
//! removes them.

use std::fs::{self, File};
use std::path::PathBuf;
use std::rc::Rc;

use machine::qemu::Qemu;
use machine::{Adoption, DiskImage, Driver, MachineError, Merge};
use operation::{ErrorKind, OpError};

use super::asking::{AdoptLayer, answer};
use super::hub::ClientId;
use super::inside::Inside;
use super::serving::{Ending, Keeper};
use crate::disks::{Chains, DiskLayers, DriveName, new_layer};
use crate::files::FileError;
use crate::trouble::GuestTrouble;

/// How many frozen layers a drive has before they become one.
const LONG: usize = 12;

impl Keeper {
    /// Begins to shorten a chain that has become long, one at a time.
    pub(super) fn compact(&self, chains: &Chains, empty: PathBuf) {
        let below = &self.request.origin.below;
        let long = [(DriveName::Root, &below.root), (DriveName::Workspace, &below.workspace)]
            .into_iter()
            .find(|(drive, _)| chains.of(*drive).len() > LONG);
        let Some((drive, below)) = long.filter(|_| !self.compacting.get()) else { return };
        let work = Compaction {
            drive,
            frozen: chains.of(drive).get(1..).unwrap_or_default().to_vec(),
            below: below.clone(),
            disks: self.files.disks(),
            empty,
            driver: self.driver(),
            inside: self.clients.inside().clone(),
        };
        let compacting = Rc::clone(&self.compacting);
        compacting.set(true);
        tokio::task::spawn_local(async move {
            if let Err(error) = work.carry_out().await {
                // The chain is what it was; the next snapshot tries again.
                tracing::warn!(?error, "layers could not be made one");
            }
            compacting.set(false);
        });
    }

    /// Has the machine read one layer instead of several, and puts that on record.
    pub(super) async fn adopt(
        &mut self,
        client: ClientId,
        id: u64,
        adopt: AdoptLayer,
    ) -> Option<Ending> {
        match self.adopt_layer(&adopt).await {
            Ok(adopted) => {
                self.answer(client, id, async { answer::<AdoptLayer>(adopted) });
                None
            }
            Err(trouble) => Some(Ending::Lost(trouble)),
        }
    }

    async fn adopt_layer(
        &mut self,
        AdoptLayer { drive, frozen, merged }: &AdoptLayer,
    ) -> Result<Result<(), OpError>, GuestTrouble> {
        let disks = self.files.disks();
        let mut chains = match disks.chains() {
            Ok(chains) => chains,
            Err(error) => return Ok(Err(error.into())),
        };
        let place = chains.place(*drive, frozen);
        let Some(first) = place.filter(|place| *place > 0) else {
            disks.forget([merged]);
            return Ok(Err(OpError::plain(
                ErrorKind::Conflict,
                "the layers are no longer among those of the workspace",
            )));
        };
        let adoption = Adoption {
            drive: drive.index(),
            first,
            count: frozen.len(),
            merged: disks.layer(merged),
        };
        match self.machine.adopt(&adoption).await {
            Ok(()) => {}
            Err(error @ MachineError::Refused { .. }) => {
                disks.forget([merged]);
                return Ok(Err(OpError::new(ErrorKind::Internal, &error)));
            }
            Err(error) => return Err(GuestTrouble::Save(error)),
        }
        chains.merge(*drive, first..first + frozen.len(), merged.clone());
        Ok(disks.write(&chains).map(|()| disks.forget(frozen)).map_err(OpError::from))
    }
}

/// Frozen layers that are to become one.
struct Compaction {
    drive: DriveName,
    frozen: Vec<String>,
    below: Vec<DiskImage>,
    disks: DiskLayers,
    empty: PathBuf,
    driver: Qemu,
    inside: Inside,
}

impl Compaction {
    /// Once the keeper was asked, only it knows whether the copy is in use.
    async fn carry_out(self) -> Result<(), OpError> {
        let merged = new_layer();
        if let Err(error) = self.merge(&merged).await {
            self.disks.forget([&merged]);
            return Err(error);
        }
        let mut keeper = self.inside.connect().await?;
        keeper.ask(AdoptLayer { drive: self.drive, frozen: self.frozen, merged }).await
    }

    async fn merge(&self, merged: &str) -> Result<(), OpError> {
        let into = self.disks.layer(merged);
        fs::copy(&self.empty, &into).map_err(FileError::at("write", &into))?;
        let merge = Merge {
            into: into.clone(),
            layers: self.frozen.iter().map(|layer| self.disks.layer(layer)).collect(),
            below: self.below.clone(),
        };
        let materialising = self.driver.materialising().ok_or_else(|| {
            OpError::plain(ErrorKind::Unavailable, "this machine driver cannot merge layers")
        })?;
        materialising
            .merge(&merge)
            .await
            .map_err(|error| GuestTrouble::Save(error).while_it_runs())?;
        tokio::task::spawn_blocking(move || {
            File::open(&into).and_then(|file| file.sync_all()).map_err(FileError::at("sync", &into))
        })
        .await
        .map_err(|error| OpError::new(ErrorKind::Internal, &error))??;
        Ok(())
    }
}
