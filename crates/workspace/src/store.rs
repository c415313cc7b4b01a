//! Records of workspaces, in SQLite.
//!
//! Several processes use the database at once: WAL lets readers go on while one
//! writes, `synchronous=FULL` makes a finished write survive a power loss, and
//! every change is one transaction. The format is [`FORMAT`]; a newer one is
//! refused, an older one is migrated when there is one.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use operation::{ErrorKind, OpError};
use rusqlite::{Connection, OptionalExtension, Row, params};
use workspace_api::digest::Digest;
use workspace_api::id::{WorkspaceId, WorkspaceName, WorkspaceRef};
use workspace_api::spec::{Accelerator, EnvironmentRef, Shape};
use workspace_api::state::{IllegalStep, Step, WorkspaceState, next};

use crate::home::{FileError, Home, create_private_file};
use crate::keeper::Lifetime;
use crate::machines::MonitorNumber;

/// Version of the tables.
const FORMAT: i64 = 1;

/// How long one process waits for another's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// How many tombstones are kept; the oldest go first.
const TOMBSTONES_MAX: u32 = 1000;

const SCHEMA: &str = "
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
";

const LOWEST_FREE_NUMBER: &str = "
    SELECT MIN(number) FROM (SELECT 1 AS number
                             UNION SELECT monitor_number + 1 FROM workspaces)
    WHERE number NOT IN (SELECT monitor_number FROM workspaces)
";

/// A step on the database that failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be opened.
    #[error("cannot open the database {}", path.display())]
    Open {
        /// The database.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// The database's file cannot be created.
    #[error(transparent)]
    File(#[from] FileError),
    /// A newer version of the product wrote it.
    #[error("the database {} has format {found}, this program knows {FORMAT}", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// The format that was found.
        found: i64,
    },
    /// A record cannot be read or written.
    #[error("cannot {action} in the database")]
    Record {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: rusqlite::Error,
    },
    /// The name is taken.
    #[error("a workspace is already named `{0}`")]
    NameTaken(WorkspaceName),
    /// No workspace is meant.
    #[error("there is no workspace `{0}`")]
    NotFound(WorkspaceRef),
    /// Several workspaces are meant.
    #[error("`{0}` is the beginning of {1} ids")]
    Ambiguous(WorkspaceRef, usize),
    /// The workspace's state does not allow it.
    #[error("the workspace does not allow it")]
    Illegal(#[from] IllegalStep),
}

impl From<StoreError> for OpError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::NotFound(_) => Self::new(ErrorKind::NotFound, &error)
                .hinted("`hotcell workspace list` shows what exists"),
            StoreError::Ambiguous(..) => {
                Self::new(ErrorKind::InvalidRequest, &error).hinted("give more of its digits")
            }
            StoreError::NameTaken(name) => Self::new(ErrorKind::Conflict, &error).hinted(format!(
                "choose another name, or delete it first: `hotcell workspace delete {name}`"
            )),
            StoreError::Illegal(_) => Self::new(ErrorKind::Conflict, &error),
            StoreError::File(_) => Self::new(ErrorKind::Unavailable, &error),
            StoreError::Newer { .. } => {
                Self::new(ErrorKind::Unavailable, &error).hinted("use the newer version of hotcell")
            }
            StoreError::Open { source, .. } | StoreError::Record { source, .. } => {
                match source.sqlite_error_code() {
                    Some(rusqlite::ErrorCode::DiskFull) => Self::new(ErrorKind::Exhausted, &error)
                        .hinted("free some space on the disk that holds hotcell's files"),
                    _ => Self::new(ErrorKind::Internal, &error),
                }
            }
        }
    }
}

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
}

/// The database.
#[derive(Debug)]
pub(crate) struct Store(Mutex<Connection>);

impl Store {
    /// Opens the database, creating it if it is not there.
    pub(crate) fn open(home: &Home) -> Result<Self, StoreError> {
        let path = home.database();
        let failed = |source| StoreError::Open { path: path.clone(), source };
        create_private_file(&path)?;
        let mut connection = Connection::open(&path).map_err(failed)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        let version = |connection: &Connection| {
            connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))
        };
        if version(&connection).map_err(failed)? == 0 {
            // Another process may create the tables at the same moment, so it
            // is asked again once nobody else can write.
            let transaction = connection
                .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
                .map_err(failed)?;
            if version(&transaction).map_err(failed)? == 0 {
                transaction.execute_batch(SCHEMA).map_err(failed)?;
                transaction.pragma_update(None, "user_version", FORMAT).map_err(failed)?;
            }
            transaction.commit().map_err(failed)?;
        }
        match version(&connection).map_err(failed)? {
            FORMAT => Ok(Self(Mutex::new(connection))),
            found => Err(StoreError::Newer { path, found }),
        }
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic while the lock was held cannot have left half a transaction.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a workspace that is being created, and gives it a number that no
    /// other has.
    pub(crate) fn insert(&self, record: &Record) -> Result<MonitorNumber, StoreError> {
        let failed = |source| StoreError::Record { action: "add a workspace", source };
        let mut connection = self.connection();
        let transaction = connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(failed)?;
        let number: u16 =
            transaction.query_row(LOWEST_FREE_NUMBER, [], |row| row.get(0)).map_err(failed)?;
        let inserted = transaction.execute(
            "INSERT INTO workspaces VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14)",
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
            ],
        );
        match (inserted, &record.name) {
            (Ok(_), _) => {
                transaction.commit().map_err(failed)?;
                Ok(MonitorNumber(number))
            }
            (Err(source), Some(name))
                if source.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) =>
            {
                Err(StoreError::NameTaken(name.clone()))
            }
            (Err(source), _) => Err(failed(source)),
        }
    }

    /// Moves a workspace on.
    pub(crate) fn step(
        &self,
        id: WorkspaceId,
        step: Step,
        reason: Option<&str>,
    ) -> Result<WorkspaceState, StoreError> {
        let failed = |source| StoreError::Record { action: "change a workspace", source };
        let mut connection = self.connection();
        let transaction = connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(failed)?;
        let record = transaction
            .query_row("SELECT * FROM workspaces WHERE id = ?1", [id.to_string()], read)
            .optional()
            .map_err(failed)?
            .ok_or_else(|| StoreError::NotFound(id.into()))?;
        let state = next(record.state, step)?;
        if state == WorkspaceState::Deleted {
            bury(&transaction, &record, reason.unwrap_or("deleted")).map_err(failed)?;
        } else {
            transaction
                .execute(
                    "UPDATE workspaces SET state = ?2, reason = ?3 WHERE id = ?1",
                    params![id.to_string(), state.as_str(), reason],
                )
                .map_err(failed)?;
        }
        transaction.commit().map_err(failed)?;
        Ok(state)
    }

    /// Something happened in a workspace just now.
    pub(crate) fn active(&self, id: WorkspaceId) -> Result<(), StoreError> {
        self.connection()
            .execute(
                "UPDATE workspaces SET last_activity_at = ?2 WHERE id = ?1",
                params![id.to_string(), Timestamp::now().as_millisecond()],
            )
            .map(|_| ())
            .map_err(|source| StoreError::Record { action: "change a workspace", source })
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
            several => Err(StoreError::Ambiguous(reference.clone(), several)),
        }
    }

    /// All workspaces, newest activity first.
    pub(crate) fn list(&self) -> Result<Vec<Record>, StoreError> {
        let failed = |source| StoreError::Record { action: "list workspaces", source };
        let connection = self.connection();
        let mut statement = connection
            .prepare_cached("SELECT * FROM workspaces ORDER BY last_activity_at DESC, id DESC")
            .map_err(failed)?;
        statement.query_map([], read).and_then(Iterator::collect).map_err(failed)
    }
}

/// Removes a record. Machines that lived with their creator leave no trace;
/// of others the reason stays.
fn bury(connection: &Connection, record: &Record, reason: &str) -> rusqlite::Result<()> {
    if record.lifetime == Lifetime::UntilDeleted {
        connection.execute(
            "INSERT OR REPLACE INTO tombstones VALUES (?1, ?2, ?3, ?4)",
            params![
                record.id.to_string(),
                record.name.as_ref().map(ToString::to_string),
                reason,
                Timestamp::now().as_millisecond()
            ],
        )?;
        connection.execute(
            "DELETE FROM tombstones WHERE id NOT IN
             (SELECT id FROM tombstones ORDER BY deleted_at DESC LIMIT ?1)",
            [TOMBSTONES_MAX],
        )?;
    }
    connection.execute("DELETE FROM workspaces WHERE id = ?1", [record.id.to_string()])?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        id: parsed(row, 0)?,
        name: row.get::<_, Option<String>>(1)?.map(|_| parsed(row, 1)).transpose()?,
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
    })
}

fn unreadable(
    column: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}

fn parsed<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    row.get::<_, String>(column)?.parse().map_err(|error| unreadable(column, error))
}

/// A unit enum that is stored as the word it has in JSON.
fn word<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    serde_json::from_value(serde_json::Value::String(row.get(column)?))
        .map_err(|error| unreadable(column, error))
}

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    Timestamp::from_millisecond(row.get(column)?).map_err(|error| unreadable(column, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: Option<&str>) -> Record {
        Record {
            id: WorkspaceId::from_uuid(uuid::Uuid::now_v7()),
            name: name.map(|name| name.parse().unwrap()),
            state: WorkspaceState::Creating,
            reason: None,
            environment: EnvironmentRef::default(),
            environment_digest: format!("sha256:{}", "0".repeat(64)).parse().unwrap(),
            template: "t".to_owned(),
            accelerator: Accelerator::Tcg,
            shape: Shape::default(),
            lifetime: Lifetime::UntilDeleted,
            created_at: Timestamp::now(),
            last_activity_at: Timestamp::now(),
        }
    }

    fn store() -> (tempfile::TempDir, Home, Store) {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::open(directory.path()).unwrap();
        let store = Store::open(&home).unwrap();
        (directory, home, store)
    }

    #[test]
    fn numbers_are_unique_and_used_again() {
        let (_directory, _, store) = store();
        let records = [record(None), record(None), record(None)];
        let numbers = records.each_ref().map(|record| store.insert(record).unwrap().0);
        assert_eq!(numbers, [1, 2, 3]);
        store.step(records[1].id, Step::Delete, None).unwrap();
        assert_eq!(store.insert(&record(None)).unwrap().0, 2);
    }

    #[test]
    fn names_ids_and_illegal_steps() {
        let (_directory, home, store) = store();
        let demo = record(Some("demo"));
        store.insert(&demo).unwrap();
        // Another process sees it at once, and the name is taken for it as well.
        let other = Store::open(&home).unwrap();
        assert!(matches!(other.insert(&record(Some("demo"))), Err(StoreError::NameTaken(_))));
        assert_eq!(other.find(&"demo".parse().unwrap()).unwrap().id, demo.id);
        let prefix = demo.id.to_string()[..10].parse().unwrap();
        assert_eq!(other.find(&prefix).unwrap().id, demo.id);
        store.insert(&record(None)).unwrap();
        assert!(matches!(store.find(&prefix), Err(StoreError::Ambiguous(_, 2))));
        store.step(demo.id, Step::Ready, None).unwrap();
        assert!(matches!(store.step(demo.id, Step::Ready, None), Err(StoreError::Illegal(_))));
        store.step(demo.id, Step::Delete, Some("enough")).unwrap();
        assert!(matches!(store.find(&"demo".parse().unwrap()), Err(StoreError::NotFound(_))));
    }

    #[test]
    fn a_newer_format_is_refused() {
        let (_directory, home, store) = store();
        store.connection().pragma_update(None, "user_version", FORMAT + 1).unwrap();
        drop(store);
        assert!(matches!(Store::open(&home), Err(StoreError::Newer { .. })));
    }
}
