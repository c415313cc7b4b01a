//! The tables, as the steps by which they came to be.
//!
//! A new database goes through all of them, an older one through those that it
//! lacks, in one transaction: after a SIGKILL it has its old format. Programs
//! that still have an older format open then fail at their next write, with
//! nothing written; what their keepers leave behind is settled by recovery.

use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::StoreError;

/// What leads from each format to the next one; the first makes format 1.
const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE workspaces (
        id TEXT PRIMARY KEY,
        name TEXT UNIQUE,
        state TEXT NOT NULL,
        reason TEXT,
        environment TEXT NOT NULL,
        environment_digest TEXT NOT NULL,
        template TEXT NOT NULL,
        monitor_number INTEGER NOT NULL UNIQUE,
        accelerator TEXT NOT NULL,
        cpus INTEGER NOT NULL,
        memory_mib INTEGER NOT NULL,
        lifetime TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        last_activity_at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE tombstones (
        id TEXT PRIMARY KEY,
        name TEXT,
        reason TEXT NOT NULL,
        deleted_at INTEGER NOT NULL
    ) STRICT;
    ",
    "
    ALTER TABLE workspaces ADD COLUMN details TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE tombstones ADD COLUMN environment TEXT;
    ALTER TABLE tombstones ADD COLUMN created_at INTEGER;
    ALTER TABLE tombstones ADD COLUMN details TEXT NOT NULL DEFAULT '{}';
    CREATE TABLE events (
        workspace TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        at INTEGER NOT NULL,
        kind TEXT NOT NULL,
        data TEXT NOT NULL,
        previous BLOB NOT NULL,
        hash BLOB NOT NULL,
        PRIMARY KEY (workspace, sequence)
    ) STRICT, WITHOUT ROWID;
    ",
    // A program that does not know these would show what they hide.
    "
    CREATE TABLE secrets (
        name TEXT PRIMARY KEY,
        sealed BLOB NOT NULL,
        bytes INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        changed_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE held_secrets (
        workspace TEXT NOT NULL,
        number INTEGER NOT NULL,
        name TEXT NOT NULL,
        sealed BLOB NOT NULL,
        PRIMARY KEY (workspace, number)
    ) STRICT, WITHOUT ROWID;
    ",
];

/// The format that this program writes.
pub(super) const FORMAT: usize = MIGRATIONS.len();

/// Brings a database to [`FORMAT`].
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::Open { path: path.to_owned(), source };
    let newer = |found| StoreError::Newer { path: path.to_owned(), found };
    match version(connection).map_err(failed)? {
        FORMAT => return Ok(()),
        found if found > FORMAT => return Err(newer(found)),
        _ => {}
    }
    // Another process may do the same at this moment, so the format is read
    // again once nobody else can write.
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let found = version(&transaction).map_err(failed)?;
    let missing = MIGRATIONS.get(found..).ok_or_else(|| newer(found))?;
    apply(&transaction, missing, FORMAT).map_err(failed)?;
    transaction.commit().map_err(failed)
}

fn apply(transaction: &Transaction<'_>, steps: &[&str], format: usize) -> rusqlite::Result<()> {
    steps.iter().try_for_each(|step| transaction.execute_batch(step))?;
    transaction.pragma_update(None, "user_version", format)
}

fn version(connection: &Connection) -> rusqlite::Result<usize> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use workspace_api::state::WorkspaceState;

    use crate::home::Home;
    use crate::store::{Store, StoreError};

    /// What the last program of format 1 left: a named workspace, one without a
    /// name, and a tombstone.
    const FORMAT_1: &str = include_str!("schema/format-1.sql");

    #[test]
    fn a_database_of_format_1_is_migrated_whole() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::open(directory.path()).unwrap();
        rusqlite::Connection::open(home.database()).unwrap().execute_batch(FORMAT_1).unwrap();
        let stores: Vec<_> = std::thread::scope(|scope| {
            let open = || scope.spawn(|| Store::open(&home).unwrap());
            let threads = [open(), open(), open()];
            threads.map(|thread| thread.join().unwrap()).into()
        });
        let records = stores[0].list().unwrap();
        assert_eq!(records.len(), 2);
        let demo = stores[1].find(&"demo".parse().unwrap()).unwrap();
        assert_eq!(demo.state, WorkspaceState::Running);
        assert!(demo.details.labels.is_empty());
        assert_eq!(demo.created_at.as_millisecond(), 1_795_604_335_364);
        let tombstones = stores[2].tombstones(None).unwrap();
        assert_eq!(tombstones.len(), 1);
        assert_eq!(tombstones[0].name.as_ref().unwrap().to_string(), "gone");
        assert_eq!(tombstones[0].environment, None);
        // Its workspaces have a ledger from now on.
        assert_eq!(stores[0].verify(demo.id).unwrap().events, 0);
    }

    #[test]
    fn a_newer_format_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::open(directory.path()).unwrap();
        let store = Store::open(&home).unwrap();
        store.connection().pragma_update(None, "user_version", super::FORMAT + 1).unwrap();
        drop(store);
        assert!(matches!(Store::open(&home), Err(StoreError::Newer { .. })));
    }
}
