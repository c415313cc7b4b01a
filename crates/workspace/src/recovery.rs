//! Tidying up after processes that were killed.
//!
//! A workspace whose lock is free has neither creator nor keeper: the kernel
//! released the lock when they died, and ended the monitor with the keeper.
//! What is left is files and a record. Every use of the product looks for such
//! workspaces first; a machine that lived with its creator vanishes, any other
//! becomes `stopped`, and the record says why.

use operation::OpError;
use workspace_api::state::{Step, WorkspaceState};

use crate::home::{Home, remove_tree, try_lock};
use crate::keeper::Lifetime;
use crate::store::{Record, Store, StoreError};

/// What is written into the record of a workspace whose keeper was killed.
const REASON: &str = "its keeper ended unexpectedly; what was only in memory is lost";

/// Settles every workspace that nobody is responsible for any more.
pub(crate) fn recover(home: &Home, store: &Store) -> Result<(), OpError> {
    for record in store.list()? {
        if record.state != WorkspaceState::Stopped {
            settle(home, store, &record)?;
        }
    }
    Ok(())
}

/// Settles one workspace if nobody is responsible for it.
fn settle(home: &Home, store: &Store, record: &Record) -> Result<(), OpError> {
    let files = home.workspace(record.id);
    let abandoned = match try_lock(&files.lock()) {
        Ok(lock) => lock.is_some(),
        // Without its directory there is nothing that could be held.
        Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => return Err(error.into()),
    };
    if !abandoned {
        return Ok(());
    }
    let vanishes =
        record.lifetime == Lifetime::WithCreator || record.state == WorkspaceState::Creating;
    let step = if vanishes {
        remove_tree(files.directory())?;
        Step::Delete
    } else {
        Step::MachineEnded
    };
    tracing::info!(workspace = %record.id, ?step, "settling an abandoned workspace");
    match store.step(record.id, step, Some(REASON)) {
        // Somebody else settled it at the same moment.
        Ok(_) | Err(StoreError::NotFound(_) | StoreError::Illegal(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
