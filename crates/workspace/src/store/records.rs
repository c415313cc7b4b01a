//! The workspaces that exist.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use workspace_api::digest::Digest;
use workspace_api::id::{WorkspaceId, WorkspaceName, WorkspaceRef};
use workspace_api::ledger::LedgerEvent;
use workspace_api::spec::{Accelerator, EnvironmentRef, Shape};
use workspace_api::state::{Step, WorkspaceState, next};
use workspace_api::workspace::NamePattern;

use super::row::{json, parsed, parsed_option, time, word};
use super::tombstones::bury;
use super::{Details, Quota, Store, StoreError, ledger};
use crate::keeper::Lifetime;
use crate::machines::MonitorNumber;

const LOWEST_FREE_NUMBER: &str = "
    SELECT MIN(number) FROM (SELECT 1 AS number
                             UNION SELECT monitor_number + 1 FROM workspaces)
    WHERE number NOT IN (SELECT monitor_number FROM workspaces)
";

/// What the database knows about a workspace.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) id: WorkspaceId,
    pub(crate) name: Option<WorkspaceName>,
    pub(crate) state: WorkspaceState,
    pub(crate) reason: Option<String>,
    pub(crate) environment: EnvironmentRef,
    pub(crate) environment_digest: Digest,
    /// Name of the template whose files the workspace's disks lie on.
    pub(crate) template: String,
    pub(crate) accelerator: Accelerator,
    pub(crate) shape: Shape,
    pub(crate) lifetime: Lifetime,
    pub(crate) created_at: Timestamp,
    pub(crate) last_activity_at: Timestamp,
    pub(crate) details: Details,
}

impl Store {
    /// Adds a workspace that is being created, and gives it a number that no
    /// other has. Its ledger begins.
    pub(crate) fn insert(
        &self,
        record: &Record,
        quota: Option<&Quota>,
    ) -> Result<MonitorNumber, StoreError> {
        const ACTION: &str = "add a workspace";
        let failed = |source| StoreError::Record { action: ACTION, source };
        self.change(ACTION, |transaction| {
            if let Some(quota) = quota {
                quota.judge(transaction, record.lifetime)?;
            }
            let number: u16 =
                transaction.query_row(LOWEST_FREE_NUMBER, [], |row| row.get(0)).map_err(failed)?;
            write(transaction, record, number)
                .map_err(|source| taken(record.name.as_ref(), source).unwrap_or_else(failed))?;
            if record.lifetime == Lifetime::UntilDeleted {
                let created = LedgerEvent::Created {
                    name: record.name.clone(),
                    environment: record.environment.clone(),
                    environment_digest: record.environment_digest.clone(),
                    shape: record.shape,
                };
                ledger::append(transaction, record.id, &[(record.created_at, created)])
                    .map_err(failed)?;
            }
            Ok(MonitorNumber(number))
        })
    }

    /// Moves a workspace on, and writes that down in its ledger.
    pub(crate) fn step(
        &self,
        id: WorkspaceId,
        step: Step,
        reason: Option<&str>,
    ) -> Result<WorkspaceState, StoreError> {
        const ACTION: &str = "change a workspace";
        let failed = |source| StoreError::Record { action: ACTION, source };
        self.change(ACTION, |transaction| {
            let record = get(transaction, id)?;
            let state = next(record.state, step)?;
            let told = || reason.unwrap_or("somebody asked for it").to_owned();
            let event = match step {
                Step::Delete => {
                    bury(transaction, &record, reason.unwrap_or("deleted")).map_err(failed)?;
                    return Ok(state);
                }
                Step::Start | Step::PutBack => None,
                Step::Ready => Some(LedgerEvent::Started {}),
                Step::Hibernate => Some(LedgerEvent::Hibernated { reason: told() }),
                Step::Stop | Step::MachineEnded => Some(LedgerEvent::Stopped { reason: told() }),
            };
            if let Some(event) = event.filter(|_| record.lifetime == Lifetime::UntilDeleted) {
                ledger::append(transaction, id, &[(Timestamp::now(), event)]).map_err(failed)?;
            }
            transaction
                .execute(
                    "UPDATE workspaces SET state = ?2, reason = ?3 WHERE id = ?1",
                    params![id.to_string(), state.as_str(), reason],
                )
                .map_err(failed)?;
            Ok(state)
        })
    }

    /// Changes a workspace's details as one transaction, so that of two who
    /// change them at once neither undoes what the other did. `change` should
    /// leave them as they are if it fails.
    pub(crate) fn update_details<R>(
        &self,
        id: WorkspaceId,
        change: impl FnOnce(&mut Details) -> R,
    ) -> Result<R, StoreError> {
        const ACTION: &str = "change a workspace";
        self.change(ACTION, |transaction| {
            let mut details = get(transaction, id)?.details;
            let result = change(&mut details);
            put_details(transaction, id, &details)
                .map_err(|source| StoreError::Record { action: ACTION, source })?;
            Ok(result)
        })
    }

    /// A workspace's machine is another one, of this size.
    pub(crate) fn reshape(&self, id: WorkspaceId, shape: Shape) -> Result<(), StoreError> {
        const ACTION: &str = "change a workspace";
        self.change(ACTION, |transaction| {
            transaction
                .execute(
                    "UPDATE workspaces SET cpus = ?2, memory_mib = ?3 WHERE id = ?1",
                    params![id.to_string(), shape.cpus, shape.memory_mib],
                )
                .map_err(|source| StoreError::Record { action: ACTION, source })?;
            Ok(())
        })
    }

    /// Moves the last activity of a workspace on.
    pub(crate) fn touch(&self, id: WorkspaceId, at: Timestamp) -> Result<(), StoreError> {
        const ACTION: &str = "change a workspace";
        self.change(ACTION, |transaction| {
            touch(transaction, id, at)
                .map_err(|source| StoreError::Record { action: ACTION, source })
        })
    }

    /// How many machines run or are about to, and how much memory they have in all,
    /// in MiB.
    pub(crate) fn machines(&self) -> Result<(u32, u64), StoreError> {
        let query = "SELECT COUNT(*), IFNULL(SUM(memory_mib), 0) FROM workspaces
                     WHERE state IN ('creating', 'running', 'starting')";
        self.connection()
            .query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(|source| StoreError::Record { action: "count the machines", source })
    }

    /// The number that a workspace has for itself alone.
    pub(crate) fn monitor_number(&self, id: WorkspaceId) -> Result<MonitorNumber, StoreError> {
        let query = "SELECT monitor_number FROM workspaces WHERE id = ?1";
        self.connection()
            .query_row(query, [id.to_string()], |row| row.get(0))
            .map(MonitorNumber)
            .map_err(|source| StoreError::Record { action: "look a workspace up", source })
    }

    /// Changes what a workspace is called, its details and its size as one
    /// transaction, and writes it down in its ledger. Nothing is changed if `change` fails.
    pub(crate) fn update<E>(
        &self,
        id: WorkspaceId,
        name: Option<WorkspaceName>,
        change: impl FnOnce(&mut Record) -> Result<(), E>,
    ) -> Result<Result<Record, E>, StoreError> {
        const ACTION: &str = "change a workspace";
        let failed = |source| StoreError::Record { action: ACTION, source };
        self.change(ACTION, |transaction| {
            let mut record = get(transaction, id)?;
            if let Err(error) = change(&mut record) {
                return Ok(Err(error));
            }
            record.name = name.clone().or(record.name);
            let named = transaction.execute(
                "UPDATE workspaces SET name = ?2, details = ?3, cpus = ?4, memory_mib = ?5
                 WHERE id = ?1",
                params![
                    id.to_string(),
                    record.name.as_ref().map(ToString::to_string),
                    encode(&record.details),
                    record.shape.cpus,
                    record.shape.memory_mib,
                ],
            );
            named.map_err(|source| taken(name.as_ref(), source).unwrap_or_else(failed))?;
            let event = LedgerEvent::Updated {
                name: record.name.clone(),
                labels: record.details.labels.clone(),
                idle: Some(record.details.idle),
                shape: Some(record.shape),
            };
            ledger::append(transaction, id, &[(Timestamp::now(), event)]).map_err(failed)?;
            get(transaction, id).map(Ok)
        })
    }

    /// The one workspace that `reference` means.
    pub(crate) fn find(&self, reference: &WorkspaceRef) -> Result<Record, StoreError> {
        let failed = |source| StoreError::Record { action: "look a workspace up", source };
        let (query, text) = match reference {
            WorkspaceRef::Name(name) => {
                ("SELECT * FROM workspaces WHERE name = ?1", name.to_string())
            }
            WorkspaceRef::Id(prefix) => {
                ("SELECT * FROM workspaces WHERE id GLOB ?1", format!("{prefix}*"))
            }
        };
        let connection = self.connection();
        let mut statement = connection.prepare_cached(query).map_err(failed)?;
        let mut found: Vec<Record> =
            statement.query_map([text], read).and_then(Iterator::collect).map_err(failed)?;
        match found.len() {
            0 => Err(StoreError::NotFound(reference.clone())),
            1 => Ok(found.remove(0)),
            _ => {
                let candidates = found.into_iter().map(|record| record.id).collect();
                Err(StoreError::Ambiguous(reference.clone(), candidates))
            }
        }
    }

    /// All workspaces, newest activity first.
    pub(crate) fn list(&self) -> Result<Vec<Record>, StoreError> {
        self.list_like(None)
    }

    /// Those whose name is like that, newest activity first.
    pub(crate) fn list_like(&self, name: Option<&NamePattern>) -> Result<Vec<Record>, StoreError> {
        let failed = |source| StoreError::Record { action: "list workspaces", source };
        let connection = self.connection();
        let mut statement = connection
            .prepare_cached(
                "SELECT * FROM workspaces WHERE ?1 IS NULL OR name GLOB ?1
                 ORDER BY last_activity_at DESC, id DESC",
            )
            .map_err(failed)?;
        statement
            .query_map([name.map(NamePattern::as_str)], read)
            .and_then(Iterator::collect)
            .map_err(failed)
    }
}

/// What it means that a record with this name could not be written.
fn taken(
    name: Option<&WorkspaceName>,
    source: rusqlite::Error,
) -> Result<StoreError, rusqlite::Error> {
    match (name, source.sqlite_error_code()) {
        (Some(name), Some(rusqlite::ErrorCode::ConstraintViolation)) => {
            Ok(StoreError::NameTaken(name.clone()))
        }
        _ => Err(source),
    }
}

/// Writes a workspace's details down.
pub(super) fn put_details(
    transaction: &Transaction<'_>,
    id: WorkspaceId,
    details: &Details,
) -> rusqlite::Result<()> {
    let query = "UPDATE workspaces SET details = ?2 WHERE id = ?1";
    transaction.execute(query, params![id.to_string(), encode(details)]).map(drop)
}

/// The record of a workspace that exists.
pub(super) fn get(transaction: &Transaction<'_>, id: WorkspaceId) -> Result<Record, StoreError> {
    transaction
        .query_row("SELECT * FROM workspaces WHERE id = ?1", [id.to_string()], read)
        .optional()
        .map_err(|source| StoreError::Record { action: "look a workspace up", source })?
        .ok_or_else(|| StoreError::NotFound(id.into()))
}

fn write(transaction: &Transaction<'_>, record: &Record, number: u16) -> rusqlite::Result<usize> {
    transaction.execute(
        "INSERT INTO workspaces VALUES
         (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        params![
            record.id.to_string(),
            record.name.as_ref().map(ToString::to_string),
            record.state.as_str(),
            record.reason,
            record.environment.as_str(),
            record.environment_digest.to_string(),
            record.template,
            number,
            record.accelerator.to_string(),
            record.shape.cpus,
            record.shape.memory_mib,
            record.lifetime.as_str(),
            record.created_at.as_millisecond(),
            record.last_activity_at.as_millisecond(),
            encode(&record.details),
        ],
    )
}

/// Moves the last activity of a workspace on, never back.
pub(super) fn touch(
    transaction: &Transaction<'_>,
    id: WorkspaceId,
    at: Timestamp,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "UPDATE workspaces SET last_activity_at = MAX(last_activity_at, ?2) WHERE id = ?1",
        )?
        .execute(params![id.to_string(), at.as_millisecond()])
        .map(|_| ())
}

fn encode(details: &Details) -> String {
    serde_json::to_string(details).expect("details are plain data")
}

fn read(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        id: parsed(row, 0)?,
        name: parsed_option(row, 1)?,
        state: word(row, 2)?,
        reason: row.get(3)?,
        environment: parsed(row, 4)?,
        environment_digest: parsed(row, 5)?,
        template: row.get(6)?,
        accelerator: word(row, 8)?,
        shape: Shape { cpus: row.get(9)?, memory_mib: row.get(10)? },
        lifetime: word(row, 11)?,
        created_at: time(row, 12)?,
        last_activity_at: time(row, 13)?,
        details: json(row, 14)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{record, store};

    #[test]
    fn numbers_are_unique_and_used_again() {
        let (_directory, _, store) = store();
        let records = [record(None), record(None), record(None)];
        let numbers = records.each_ref().map(|record| store.insert(record, None).unwrap().0);
        assert_eq!(numbers, [1, 2, 3]);
        store.step(records[1].id, Step::Delete, None).unwrap();
        assert_eq!(store.insert(&record(None), None).unwrap().0, 2);
    }

    #[test]
    fn names_ids_and_illegal_steps() {
        let (_directory, home, store) = store();
        let demo = record(Some("demo"));
        store.insert(&demo, None).unwrap();
        // Another process sees it at once, and the name is taken for it as well.
        let other = Store::open(&home).unwrap();
        assert!(matches!(other.insert(&record(Some("demo")), None), Err(StoreError::NameTaken(_))));
        assert_eq!(other.find(&"demo".parse().unwrap()).unwrap().id, demo.id);
        let prefix = demo.id.to_string()[..10].parse().unwrap();
        assert_eq!(other.find(&prefix).unwrap().id, demo.id);
        store.insert(&record(None), None).unwrap();
        assert!(
            matches!(store.find(&prefix), Err(StoreError::Ambiguous(_, found)) if found.len() == 2)
        );
        store.step(demo.id, Step::Ready, None).unwrap();
        assert!(matches!(store.step(demo.id, Step::Ready, None), Err(StoreError::Illegal(_))));
        store.step(demo.id, Step::Delete, Some("enough")).unwrap();
        assert!(matches!(store.find(&"demo".parse().unwrap()), Err(StoreError::NotFound(_))));
    }

    #[test]
    fn details_change_as_one() {
        let (_directory, home, store) = store();
        let demo = record(Some("demo"));
        store.insert(&demo, None).unwrap();
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let (home, id) = (&home, demo.id);
                scope.spawn(move || {
                    let store = Store::open(home).unwrap();
                    for number in 0..10 {
                        let label = format!("{writer}-{number}");
                        let insert =
                            |details: &mut Details| details.labels.insert(label, String::new());
                        store.update_details(id, insert).unwrap();
                    }
                });
            }
        });
        let found = store.find(&"demo".parse().unwrap()).unwrap();
        assert_eq!(found.details.labels.len(), 40);
        store.step(demo.id, Step::Delete, None).unwrap();
        let refused = store.update_details(demo.id, |_| ());
        assert!(matches!(refused, Err(StoreError::NotFound(_))));
        assert_eq!(store.tombstones(None).unwrap()[0].details, found.details);
    }
}
