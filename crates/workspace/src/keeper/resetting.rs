//! Putting a machine back to an earlier state, in place.
//!
//! ```text
//! serving ──▶ clients told ──▶ machine killed ──▶ layers replaced ──▶ machine resumed ──▶ serving
//!                                                    │                  from its origin
//!                                                    └── fails ──▶ ending, the record says why
//! ```
//!
//! That the killed machine is gone is waited for beside the rest: until it is, it
//! can write to layers that nobody reads any more, and to nothing else.
//!
//! Keeper, lock, socket and id stay. The new machine has memory that several
//! machines share, so it gets what each start of one gets: a new generation id,
//! a new machine id, the clock and entropy with its first message.
//!
//! **SIGKILL here.** The layers change in one step, so what is left is the disks
//! from before or those of the earlier state, and no machine: recovery finds the
//! lock free and the workspace is stopped.

use std::rc::Rc;

use operation::OpError;
use uuid::Uuid;
use workspace_api::ledger::LedgerEvent;
use workspace_api::service::ServiceStep;
use workspace_api::spec::Shape;

use super::asking::{Restore, answer};
use super::custody::Custody;
use super::hub::{ClientId, Hub};
use super::process::{MOUNT_STREAM, bring_up, saved_machine};
use super::serving::{Ending, Keeper};
use crate::jobs::JobRecord;
use crate::store::Store;

impl Keeper {
    /// Puts the machine back, if that can work: an ending says that there is none
    /// any more.
    pub(super) async fn restore(
        &mut self,
        client: ClientId,
        id: u64,
        restore: Restore,
    ) -> Option<Ending> {
        let saved = match saved_machine(&restore.origin) {
            Ok(saved) => saved.map(|saved| saved.manifest),
            Err(error) => {
                self.answer(client, id, async { answer::<Restore>(Err(error)) });
                return None;
            }
        };
        let (jobs, services, names) =
            saved.map(|saved| (saved.jobs, saved.services, Some(saved.names))).unwrap_or_default();
        if let Err(error) = self.put_back(restore, &jobs).await {
            return Some(Ending::NotReset(error));
        }
        if let Some(names) = names {
            self.network.set_names(names);
        }
        self.jobs.go_on(&jobs);
        self.services.go_on(services, &jobs);
        let network = Rc::clone(&self.network);
        // The first command shall find the network.
        self.answer(client, id, async move { answer::<Restore>(network.settle().await) });
        None
    }

    async fn put_back(&mut self, restore: Restore, jobs: &[JobRecord]) -> Result<(), OpError> {
        let Restore { origin, layers, snapshot } = restore;
        self.services.end_all(ServiceStep::Halt, "the workspace was reset");
        // Before their streams end, which would be the end of all of them.
        self.jobs.let_go(jobs);
        let hub = Hub::starting_after(MOUNT_STREAM, self.concealment.veil());
        let before = std::mem::replace(&mut self.hub, hub);
        self.send(before.restored());
        let mut old = std::mem::replace(&mut self.machine, Custody::Gone);
        self.network.machine_replaced();
        let renewed = async {
            self.files.disks().replace(&layers)?;
            if origin.machine.shape != self.request.origin.machine.shape {
                let machine::Shape { cpus, memory_mib } = origin.machine.shape;
                let shape = Shape { cpus, memory_mib };
                Store::open(&self.home)?.reshape(self.request.workspace, shape)?;
            }
            self.request.origin = origin;
            self.request.identity.machine_id = Uuid::new_v4().simple().to_string();
            bring_up(&self.request, &self.files).await
        };
        // The first of the two is begun first.
        let (_, renewed) = tokio::join!(old.stop(), renewed);
        let (machine, link) = renewed?;
        self.machine = Custody::Here(machine);
        self.halted = false;
        self.link = link;
        let snapshot = snapshot.map(|name| name.to_string());
        self.scribe.note(LedgerEvent::Reset { snapshot });
        Ok(())
    }
}
