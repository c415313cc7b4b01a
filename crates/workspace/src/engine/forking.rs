//! Making more workspaces of one.
//!
//! ```text
//! parent's keeper saves, fleetingly ─┐
//!                                    ├─▶ child created ─▶ … ─▶ all kept ─▶ saved machine let go
//! snapshot held ─────────────────────┘       └─ one fails: all go
//! ```
//!
//! A child is created as any workspace is (`creation`), of a saved machine
//! instead of a template: its memory is that machine's, copy-on-write, and its
//! layers lie on the frozen ones, of which it has names of its own. So nothing
//! of the parent or of the snapshot has to stay for it.
//!
//! **SIGKILL here** leaves whole children, each as a creation that is killed
//! would leave it, and a saved machine that nobody holds: recovery removes that.

use operation::{Call, ErrorKind, Handler, NoEvents, OpError};
use tokio_util::sync::CancellationToken;
use workspace_api::id::WorkspaceName;
use workspace_api::ledger::LedgerEvent;
use workspace_api::workspace::{Fork, Forked, Workspace};

use super::Engine;
use super::creation::Making;
use super::terms::from_shape;
use crate::host::HostFacts;
use crate::keeper::client::KeeperConnection;
use crate::saved::shelf::{Hold, Place};
use crate::saved::{Durability, SavedMachine};
use crate::secrets::Vault;
use crate::store::{Details, Record};
use crate::template::Template;

impl Handler<Fork> for Engine {
    async fn handle(&self, fork: Fork, call: &mut Call<NoEvents>) -> Result<Forked, OpError> {
        if !(1..=Fork::COUNT_MAX).contains(&fork.count) {
            let message = format!("a fork has 1 to {} children", Fork::COUNT_MAX);
            return Err(OpError::plain(ErrorKind::InvalidRequest, message));
        }
        let parent = self.store.find(&fork.workspace)?;
        let names = names(fork.name.as_ref(), fork.count)?;
        let template = self.template_of(&parent)?;
        let (saved, _stays, pause_us) = match &fork.from {
            Some(name) => {
                let (saved, hold) = self.snapshot(&parent, name)?;
                (saved, Stays::Held(hold), None)
            }
            None => {
                let (place, _) = self.save(&parent, &template, Durability::Fleeting).await?;
                let vanished = || OpError::plain(ErrorKind::Internal, "the saved machine vanished");
                let saved = SavedMachine::open(place.directory())?.ok_or_else(vanished)?;
                let pause_us = saved.manifest.pause_us;
                (saved, Stays::Fleeting(place), Some(pause_us))
            }
        };
        let mut children: Vec<(Record, KeeperConnection)> = Vec::new();
        for name in names {
            match self.child(&parent, &template, &saved, name, &call.cancel).await {
                Ok(child) => children.push(child),
                Err(error) => {
                    for (_, connection) in children {
                        // The error that is on its way says more than one of these.
                        let _ = connection.delete().await;
                    }
                    return Err(error.during("cannot create all children"));
                }
            }
        }
        let mut forked: Vec<Workspace> = Vec::new();
        for (record, connection) in children {
            connection.close().await;
            forked.push(self.describe(record));
        }
        let ids = forked.iter().map(|child| child.id).collect();
        self.store.append(parent.id, &[LedgerEvent::Forked { children: ids }.bounded()])?;
        Ok(Forked { parent: parent.id, pause_us, children: forked })
    }
}

/// What keeps the saved machine there.
enum Stays {
    Held(#[expect(dead_code, reason = "it is held by being kept")] Hold),
    Fleeting(#[expect(dead_code, reason = "it goes when it is dropped")] Place),
}

impl Engine {
    async fn child(
        &self,
        parent: &Record,
        template: &Template,
        saved: &SavedMachine,
        name: Option<WorkspaceName>,
        cancel: &CancellationToken,
    ) -> Result<(Record, KeeperConnection), OpError> {
        // Read after its memory was saved: whatever is in that is among them.
        let held = Vault { home: &self.home, store: &self.store }.held(parent.id)?;
        let facts = HostFacts::load(&self.home, &self.settings)?;
        let seed = self.home.workspace(parent.id).seed();
        let making = Making {
            name,
            environment: parent.environment.clone(),
            environment_digest: parent.environment_digest.clone(),
            accelerator: parent.accelerator,
            shape: from_shape(saved.shape(template)),
            lifetime: parent.lifetime,
            details: Details {
                // They are the parent's on this host.
                ports: Vec::new(),
                secrets: held.iter().map(|(name, _)| name.clone()).collect(),
                ..parent.details.clone()
            },
            template,
            monitor: facts.monitor()?.clone(),
            seed: seed.exists().then_some(seed),
            saved: Some(saved),
            held,
            born: Some(LedgerEvent::ForkedFrom { parent: parent.id }),
        };
        self.make(making, cancel).await
    }
}

/// What the children are called.
fn names(name: Option<&WorkspaceName>, count: u8) -> Result<Vec<Option<WorkspaceName>>, OpError> {
    match name {
        None => Ok(vec![None; usize::from(count)]),
        Some(name) if count == 1 => Ok(vec![Some(name.clone())]),
        Some(name) => (1..=count)
            .map(|number| format!("{name}-{number}").parse().map(Some))
            .collect::<Result<_, _>>()
            .map_err(|error| OpError::new(ErrorKind::InvalidRequest, &error)),
    }
}
