//! Reaching the keeper of a workspace.
//!
//! ```text
//!        hibernated, starting          running               let in
//! record ───────────────────▶ woken ───────────▶ at the door ──────▶ served
//!   ▲                                                 │
//!   └──────── shown out: its keeper is ending, ───────┘
//!             or has died
//! ```
//!
//! A keeper that is about to put its machine aside lets nobody in any more
//! (`keeper/idle`), and what it did not let in it has not heard: so whoever is shown
//! out looks at the record again, wakes the workspace if it was hibernated, and is told
//! why it does not run otherwise. A request leaves only once its client was let in, and
//! is never sent twice.

use std::time::Duration;

use operation::{ErrorKind, OpError};
use tokio::time::{Instant, sleep, timeout};
use workspace_api::state::WorkspaceState;

use super::Engine;
use super::power::remedy;
use crate::home::WorkspaceFiles;
use crate::keeper::client::KeeperConnection;
use crate::recovery::recover;
use crate::socket;
use crate::store::Record;

/// How long somebody waits to be let in: as long as a machine may take to be saved or
/// to be put back.
const DOOR_PATIENCE: Duration = Duration::from_secs(60);

/// How long a keeper that lets nobody in may take to be gone, and how often that is
/// looked at.
const END_PATIENCE: Duration = Duration::from_secs(30);
const END_POLL: Duration = Duration::from_millis(10);

impl Engine {
    /// A connection to the keeper of a workspace. One that was put aside with its memory
    /// is woken for it.
    pub(super) async fn connect(&self, record: &Record) -> Result<KeeperConnection, OpError> {
        let mut record = record.clone();
        loop {
            if matches!(record.state, WorkspaceState::Hibernated | WorkspaceState::Starting) {
                record = self.awake(&record).await?;
            }
            if let Some(connection) = self.let_in(&record).await? {
                return Ok(connection);
            }
            record = self.settled(&record).await?;
            if record.state != WorkspaceState::Hibernated {
                return Err(not_running(record));
            }
        }
    }

    /// A connection to the keeper of a workspace that runs; otherwise it is left as it
    /// is.
    pub(super) async fn connect_if_running(
        &self,
        record: &Record,
    ) -> Result<KeeperConnection, OpError> {
        match self.let_in(record).await? {
            Some(connection) => Ok(connection),
            None => Err(not_running(self.settled(record).await?)),
        }
    }

    /// A connection to the keeper of a running workspace, unless there is none or it is
    /// ending.
    async fn let_in(&self, record: &Record) -> Result<Option<KeeperConnection>, OpError> {
        if record.state != WorkspaceState::Running {
            return Ok(None);
        }
        let files = self.home.workspace(record.id);
        let stream = match socket::connect_async(files.directory(), WorkspaceFiles::SOCKET).await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::info!(%error, "there is no keeper");
                return Ok(None);
            }
        };
        match timeout(DOOR_PATIENCE, KeeperConnection::let_in(stream)).await {
            Ok(Ok(connection)) => Ok(Some(connection)),
            Ok(Err(error)) => {
                tracing::info!(%error, "the keeper is ending");
                Ok(None)
            }
            Err(_) => {
                let message = format!("the keeper of workspace {} is busy", record.id);
                Err(OpError::plain(ErrorKind::TimedOut, message).hinted("try again later"))
            }
        }
    }

    /// The record of a workspace once it says what became of a keeper that lets nobody
    /// in.
    pub(super) async fn settled(&self, record: &Record) -> Result<Record, OpError> {
        let deadline = Instant::now() + END_PATIENCE;
        loop {
            // It may have died; the record knows then.
            recover(&self.home, &self.store)?;
            let record = self.store.find(&record.id.into())?;
            if record.state != WorkspaceState::Running || Instant::now() >= deadline {
                return Ok(record);
            }
            sleep(END_POLL).await;
        }
    }
}

fn not_running(record: Record) -> OpError {
    let reason = record.reason.unwrap_or_else(|| "its machine does not run".to_owned());
    OpError::plain(ErrorKind::MachineLost, reason)
        .during(format!("workspace {} is {}", record.id, record.state))
        .hinted(remedy(record.id, record.state))
}
