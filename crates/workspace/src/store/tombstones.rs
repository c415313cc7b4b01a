//! What is left of workspaces that were deleted: who they were, why they went,
//! and their ledger.

use jiff::Timestamp;
use rusqlite::{Row, Transaction, params};
use workspace_api::id::{WorkspaceId, WorkspaceName};
use workspace_api::ledger::LedgerEvent;
use workspace_api::spec::EnvironmentRef;
use workspace_api::workspace::NamePattern;

use super::records::Record;
use super::row::{json, parsed, parsed_option, time};
use super::{Details, Store, StoreError, ledger, secrets};
use crate::keeper::Lifetime;

/// How many tombstones are kept; the oldest go first, with their ledgers.
const TOMBSTONES_MAX: u32 = 1000;

/// What is left of a deleted workspace.
#[derive(Debug, Clone)]
pub(crate) struct Tombstone {
    pub(crate) id: WorkspaceId,
    pub(crate) name: Option<WorkspaceName>,
    pub(crate) reason: String,
    pub(crate) deleted_at: Timestamp,
    /// What it started from; tombstones of format 1 do not know.
    pub(crate) environment: Option<EnvironmentRef>,
    /// When it was created; tombstones of format 1 do not know.
    pub(crate) created_at: Option<Timestamp>,
    pub(crate) details: Details,
}

impl Store {
    /// The tombstones of workspaces whose name was like that, the newest first.
    pub(crate) fn tombstones(
        &self,
        name: Option<&NamePattern>,
    ) -> Result<Vec<Tombstone>, StoreError> {
        let failed = |source| StoreError::Record { action: "list tombstones", source };
        let connection = self.connection();
        let mut statement = connection
            .prepare_cached(
                "SELECT * FROM tombstones WHERE ?1 IS NULL OR name GLOB ?1
                 ORDER BY deleted_at DESC, id DESC",
            )
            .map_err(failed)?;
        statement
            .query_map([name.map(NamePattern::as_str)], read)
            .and_then(Iterator::collect)
            .map_err(failed)
    }
}

/// Removes a record. Machines that lived with their creator leave no trace;
/// of others the reason and the ledger stay.
pub(super) fn bury(
    transaction: &Transaction<'_>,
    record: &Record,
    reason: &str,
) -> rusqlite::Result<()> {
    if record.lifetime == Lifetime::UntilDeleted {
        let event = LedgerEvent::Deleted { reason: reason.to_owned() };
        ledger::append(transaction, record.id, &[(Timestamp::now(), event)])?;
        transaction.execute(
            "INSERT OR REPLACE INTO tombstones VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                record.id.to_string(),
                record.name.as_ref().map(ToString::to_string),
                reason,
                Timestamp::now().as_millisecond(),
                record.environment.as_str(),
                record.created_at.as_millisecond(),
                serde_json::to_string(&record.details).expect("details are plain data"),
            ],
        )?;
        prune(transaction)?;
    }
    secrets::forget(transaction, record.id)?;
    transaction.execute("DELETE FROM workspaces WHERE id = ?1", [record.id.to_string()])?;
    Ok(())
}

fn prune(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    const DOOMED: &str = "SELECT id FROM tombstones ORDER BY deleted_at DESC LIMIT -1 OFFSET ?1";
    for (table, column) in [("events", "workspace"), ("tombstones", "id")] {
        let prune = format!("DELETE FROM {table} WHERE {column} IN ({DOOMED})");
        transaction.execute(&prune, [TOMBSTONES_MAX])?;
    }
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Tombstone> {
    Ok(Tombstone {
        id: parsed(row, 0)?,
        name: parsed_option(row, 1)?,
        reason: row.get(2)?,
        deleted_at: time(row, 3)?,
        environment: parsed_option(row, 4)?,
        created_at: row.get::<_, Option<i64>>(5)?.map(|_| time(row, 5)).transpose()?,
        details: json(row, 6)?,
    })
}

#[cfg(test)]
mod tests {
    use workspace_api::state::Step;

    use super::super::tests::{record, store};
    use super::*;

    #[test]
    fn the_oldest_tombstones_go_with_their_whole_ledger() {
        let (_directory, _, store) = store();
        let mut ids = Vec::new();
        for _ in 0..TOMBSTONES_MAX + 2 {
            let record = record(None);
            store.insert(&record, None).unwrap();
            store.step(record.id, Step::Delete, Some("enough")).unwrap();
            // One that was deleted in the same millisecond is not the older one.
            let at = i64::try_from(ids.len()).unwrap();
            store
                .connection()
                .execute(
                    "UPDATE tombstones SET deleted_at = ?2 WHERE id = ?1",
                    params![record.id.to_string(), at],
                )
                .unwrap();
            ids.push(record.id);
        }
        assert_eq!(store.tombstones(None).unwrap().len(), 1000);
        for (index, id) in ids.iter().enumerate() {
            let expected = if index < 2 { 0 } else { 2 };
            assert_eq!(store.verify(*id).unwrap().events, expected, "{index}");
        }
    }
}
