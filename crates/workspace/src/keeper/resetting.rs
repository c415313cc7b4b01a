//! Putting a machine back to an earlier state, in place.
//!
//! ```text
//! serving ──▶ clients told ──▶ machine ended ──▶ layers replaced ──▶ machine resumed ──▶ serving
//!                                                   │                  from its origin
//!                                                   └── fails ──▶ ending, the record says why
//! ```
//!
//! Keeper, lock, socket and id stay. The new machine has memory that several
//! machines share, so it gets what each start of one gets: a new generation id,
//! a new machine id, the clock and entropy with its first message.
//!
//! **SIGKILL here.** The layers change in one step, so what is left is the disks
//! from before or those of the earlier state, and no machine: recovery finds the
//! lock free and the workspace is stopped.

use operation::OpError;
use uuid::Uuid;
use workspace_api::ledger::LedgerEvent;

use super::asking::Restore;
use super::hub::Hub;
use super::process::{MOUNT_STREAM, bring_up};
use super::serving::Keeper;

impl Keeper {
    /// Puts the machine back. After an error there is none any more.
    pub(super) async fn restore(&mut self, restore: Restore) -> Result<(), OpError> {
        let hub = Hub::starting_after(MOUNT_STREAM, self.concealment.veil());
        let before = std::mem::replace(&mut self.hub, hub);
        self.send(before.restored());
        self.machine.stop().await;
        self.network.machine_replaced();
        self.files.disks().replace(&restore.layers)?;
        self.request.origin = restore.origin;
        self.request.identity.machine_id = Uuid::new_v4().simple().to_string();
        (self.machine, self.link) = bring_up(&self.request, &self.files).await?;
        self.scribe.note(LedgerEvent::Reset { snapshot: None });
        Ok(())
    }
}
