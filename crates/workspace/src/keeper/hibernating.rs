//! Putting the machine aside with its memory.
//!
//! ```text
//! guest halted ─▶ saved ─▶ memory whole ─▶ `hibernated` on record ─▶ machine ended
//!      │            │            │
//!      └────────────┴────────────┴── failed, or somebody came: the guest goes on
//! ```
//!
//! The guest stands still from before the moment that is saved. So whatever somebody
//! was told of it is in what is saved, and as long as its machine is there nothing is
//! lost by going on instead. Who may come meanwhile, and what becomes of them, is told
//! in [`super::idle`]. **SIGKILL here**: see [`crate::hibernation`].

use operation::{ErrorKind, OpError};
use workspace_api::state::Step;

use super::serving::Keeper;
use crate::hibernation::Hibernation;
use crate::saved::shelf::Place;
use crate::store::Store;

impl Keeper {
    /// Halts the guest.
    pub(super) async fn halt(&mut self) -> Result<(), OpError> {
        match self.machine.pause().await {
            Some(Ok(())) => {
                self.halted = true;
                Ok(())
            }
            Some(Err(error)) => {
                Err(OpError::new(ErrorKind::Internal, &error)
                    .during("the machine cannot be halted"))
            }
            None => Err(OpError::plain(
                ErrorKind::Unavailable,
                "this machine cannot be put aside with its memory",
            )),
        }
    }

    /// Lets a guest go on that was halted for nothing.
    pub(super) async fn go_on_unless_preparing(&mut self) {
        if !self.halted || self.idleness.is_preparing() || !self.machine.is_here() {
            return;
        }
        self.halted = false;
        if let Some(Err(error)) = self.machine.unpause().await {
            // Its monitor is ending, and says so itself.
            tracing::error!(%error, "a halted machine does not go on");
        }
    }

    /// Makes what was saved the workspace's memory. Afterwards the machine only has to
    /// end; after an error it can go on.
    pub(super) async fn hibernate(&self, place: Place, reason: &str) -> Result<(), OpError> {
        // What happened before is on record before.
        self.scribe.flush().await;
        let hibernation = Hibernation::of(&self.files);
        if !hibernation.keep(place)? {
            let message = "what was saved of the machine vanished";
            return Err(OpError::plain(ErrorKind::Internal, message));
        }
        let store = Store::open(&self.home)?;
        if let Err(error) = store.step(self.request.workspace, Step::Hibernate, Some(reason)) {
            hibernation.discard()?;
            return Err(error.into());
        }
        Ok(())
    }
}
