//! Records and ledgers of workspaces, in SQLite.
//!
//! Several processes use the database at once: WAL lets readers go on while one
//! writes, `synchronous=FULL` makes a finished write survive a power loss, and
//! every change is one transaction, so a SIGKILL leaves all of it or nothing. A
//! newer format is refused, an older one is migrated ([`schema`]).
//!
//! * [`records`]: the workspaces that exist, and their steps from state to state.
//! * [`details`]: what is known of a workspace that needs no column.
//! * [`ledger`]: what happened in it, as a chain of hashes.
//! * [`secrets`]: sealed values.
//! * [`tombstones`]: what is left of those that were deleted.

mod details;
mod error;
mod known;
mod ledger;
mod quota;
mod records;
mod row;
mod schema;
mod secrets;
mod tombstones;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};

pub(crate) use details::Details;
pub(crate) use error::{StoreError, one_of};
pub(crate) use known::Known;
pub(crate) use ledger::Entry;
pub(crate) use quota::Quota;
pub(crate) use records::Record;
pub(crate) use secrets::{HeldValue, StoredSecret};
pub(crate) use tombstones::Tombstone;

use crate::files::create_private_file;
use crate::home::Home;

/// How long one process waits for another's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The database.
#[derive(Debug)]
pub(crate) struct Store(Mutex<Connection>);

impl Store {
    /// Opens the database, creating or migrating it if that is needed.
    pub(crate) fn open(home: &Home) -> Result<Self, StoreError> {
        let path = home.database();
        let failed = |source| StoreError::Open { path: path.clone(), source };
        create_private_file(&path)?;
        let mut connection = Connection::open(&path).map_err(failed)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        schema::migrate(&mut connection, &path)?;
        Ok(Self(Mutex::new(connection)))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic while the lock was held cannot have left half a transaction.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries `work` out as one transaction that nobody else's comes in between.
    fn change<R>(
        &self,
        action: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        let failed = |source| StoreError::Record { action, source };
        let mut connection = self.connection();
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let result = work(&transaction)?;
        transaction.commit().map_err(failed)?;
        Ok(result)
    }
}

#[cfg(test)]
pub(crate) mod tests;
