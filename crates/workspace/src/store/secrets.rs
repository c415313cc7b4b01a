//! Sealed values: those that commands can be given, and those that a workspace
//! was given. What is sealed and how is `crate::secrets`'s business.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use workspace_api::id::WorkspaceId;
use workspace_api::secret::SecretName;

use super::records::{get, put_details};
use super::row::{parsed, time};
use super::{Store, StoreError};

/// A secret as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct StoredSecret {
    pub(crate) name: SecretName,
    pub(crate) sealed: Vec<u8>,
    /// Length of the value.
    pub(crate) bytes: u64,
    pub(crate) created_at: Timestamp,
    pub(crate) changed_at: Timestamp,
}

/// A value that a workspace was given.
#[derive(Debug, Clone)]
pub(crate) struct HeldValue {
    pub(crate) name: SecretName,
    pub(crate) sealed: Vec<u8>,
}

impl Store {
    /// Stores a secret, or another value of it.
    pub(crate) fn put_secret(
        &self,
        name: &SecretName,
        sealed: &[u8],
        bytes: u64,
    ) -> Result<(), StoreError> {
        const ACTION: &str = "keep a secret";
        self.change(ACTION, |transaction| {
            transaction
                .execute(
                    "INSERT INTO secrets VALUES (?1, ?2, ?3, ?4, ?4)
                     ON CONFLICT (name) DO UPDATE SET
                         sealed = excluded.sealed, bytes = excluded.bytes,
                         changed_at = excluded.changed_at",
                    params![name.as_str(), sealed, bytes, Timestamp::now().as_millisecond()],
                )
                .map(drop)
                .map_err(|source| StoreError::Record { action: ACTION, source })
        })
    }

    /// One secret, if there is one of that name.
    pub(crate) fn secret(&self, name: &SecretName) -> Result<Option<StoredSecret>, StoreError> {
        self.connection()
            .query_row("SELECT * FROM secrets WHERE name = ?1", [name.as_str()], read)
            .optional()
            .map_err(|source| StoreError::Record { action: "look a secret up", source })
    }

    /// All secrets, by name.
    pub(crate) fn secrets(&self) -> Result<Vec<StoredSecret>, StoreError> {
        let failed = |source| StoreError::Record { action: "list secrets", source };
        let connection = self.connection();
        let mut statement =
            connection.prepare_cached("SELECT * FROM secrets ORDER BY name").map_err(failed)?;
        statement.query_map([], read).and_then(Iterator::collect).map_err(failed)
    }

    /// Removes a secret; whether there was one.
    pub(crate) fn delete_secret(&self, name: &SecretName) -> Result<bool, StoreError> {
        const ACTION: &str = "forget a secret";
        self.change(ACTION, |transaction| {
            transaction
                .execute("DELETE FROM secrets WHERE name = ?1", [name.as_str()])
                .map(|rows| rows > 0)
                .map_err(|source| StoreError::Record { action: ACTION, source })
        })
    }

    /// The values that a workspace was given, the oldest first.
    pub(crate) fn held(&self, workspace: WorkspaceId) -> Result<Vec<HeldValue>, StoreError> {
        held(&self.connection(), workspace)
            .map_err(|source| StoreError::Record { action: "look held secrets up", source })
    }

    /// Adds to what a workspace was given whatever `choose` makes of what it was
    /// given before, as one transaction; the names of what was added.
    pub(crate) fn hold<E: From<StoreError>>(
        &self,
        workspace: WorkspaceId,
        choose: impl FnOnce(&[HeldValue]) -> Result<Vec<HeldValue>, E>,
    ) -> Result<Vec<SecretName>, E> {
        const ACTION: &str = "hold a secret";
        let failed = |source| StoreError::Record { action: ACTION, source };
        self.change(ACTION, |transaction| {
            let mut details = get(transaction, workspace)?.details;
            let before = held(transaction, workspace).map_err(failed)?;
            let added = match choose(&before) {
                Ok(added) => added,
                Err(error) => return Ok(Err(error)),
            };
            for (number, value) in (before.len() as u64..).zip(&added) {
                insert(transaction, workspace, number, value).map_err(failed)?;
                details.secrets.insert(value.name.clone());
            }
            put_details(transaction, workspace, &details).map_err(failed)?;
            Ok(Ok(added.into_iter().map(|value| value.name).collect()))
        })?
    }
}

/// Forgets what a workspace was given, for it is gone.
pub(super) fn forget(
    transaction: &Transaction<'_>,
    workspace: WorkspaceId,
) -> rusqlite::Result<()> {
    transaction
        .execute("DELETE FROM held_secrets WHERE workspace = ?1", [workspace.to_string()])
        .map(drop)
}

fn held(
    connection: &rusqlite::Connection,
    workspace: WorkspaceId,
) -> rusqlite::Result<Vec<HeldValue>> {
    let query = "SELECT name, sealed FROM held_secrets WHERE workspace = ?1 ORDER BY number";
    connection
        .prepare_cached(query)?
        .query_map([workspace.to_string()], |row| {
            Ok(HeldValue { name: parsed(row, 0)?, sealed: row.get(1)? })
        })?
        .collect()
}

fn insert(
    transaction: &Transaction<'_>,
    workspace: WorkspaceId,
    number: u64,
    value: &HeldValue,
) -> rusqlite::Result<()> {
    transaction
        .execute(
            "INSERT INTO held_secrets VALUES (?1, ?2, ?3, ?4)",
            params![workspace.to_string(), number, value.name.as_str(), value.sealed],
        )
        .map(drop)
}

fn read(row: &Row<'_>) -> rusqlite::Result<StoredSecret> {
    Ok(StoredSecret {
        name: parsed(row, 0)?,
        sealed: row.get(1)?,
        bytes: row.get(2)?,
        created_at: time(row, 3)?,
        changed_at: time(row, 4)?,
    })
}
