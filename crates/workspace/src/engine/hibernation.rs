//! Putting workspaces aside with their memory, and waking them.
//!
//! ```text
//! hibernate: keeper asked ─▶ it saves its machine, says so on record, and ends
//! wake:      lock taken ─▶ `starting` ─▶ fresh layers ─▶ keeper resumes ─▶ `running`
//! ```
//!
//! Whatever needs the machine of a hibernated workspace wakes it ([`Engine::awake`]);
//! what a SIGKILL leaves is told in [`crate::hibernation`].

use std::fs::File;
use std::time::Duration;

use operation::{Call, ErrorKind, Handler, NoEvents, OpError};
use tokio::time::{Instant, sleep};
use workspace_api::state::{Step, WorkspaceState};
use workspace_api::workspace::{Hibernate, Workspace};

use super::Engine;
use super::power::not_now;
use crate::disks::NewLayers;
use crate::files::try_lock;
use crate::hibernation::Hibernation;
use crate::home::WorkspaceFiles;
use crate::origin::Origin;
use crate::recovery::recover;
use crate::store::Record;

/// How long somebody else's waking of a workspace is waited for, and how often it is
/// looked at.
const WAKE_PATIENCE: Duration = Duration::from_secs(60);
const WAKE_POLL: Duration = Duration::from_millis(10);

impl Handler<Hibernate> for Engine {
    async fn handle(
        &self,
        hibernate: Hibernate,
        _: &mut Call<NoEvents>,
    ) -> Result<Workspace, OpError> {
        let record = self.store.find(&hibernate.workspace)?;
        if record.state != WorkspaceState::Running {
            return Err(not_now(&record, "hibernated"));
        }
        // Only what can be resumed here is put aside.
        self.template_of(&record)?;
        self.connect_if_running(&record).await?.hibernate().await?;
        Ok(self.describe(self.store.find(&record.id.into())?))
    }
}

impl Engine {
    /// The record of a workspace, which is woken if it was put aside with its memory.
    pub(super) async fn awake(&self, record: &Record) -> Result<Record, OpError> {
        let files = self.home.workspace(record.id);
        let deadline = Instant::now() + WAKE_PATIENCE;
        loop {
            let record = self.store.find(&record.id.into())?;
            if !matches!(record.state, WorkspaceState::Hibernated | WorkspaceState::Starting) {
                return Ok(record);
            }
            if let Some(lock) = try_lock(&files.lock())? {
                // The record may have changed before the lock was ours.
                let record = self.store.find(&record.id.into())?;
                match record.state {
                    WorkspaceState::Hibernated => {
                        self.wake(&record, &files, lock).await?;
                        return Ok(self.store.find(&record.id.into())?);
                    }
                    WorkspaceState::Starting => {
                        drop(lock);
                        recover(&self.home, &self.store)?;
                    }
                    _ => return Ok(record),
                }
            }
            if Instant::now() >= deadline {
                let message = format!("workspace {} does not come up", record.id);
                return Err(OpError::plain(ErrorKind::TimedOut, message)
                    .hinted("another process has been starting it for a minute"));
            }
            sleep(WAKE_POLL).await;
        }
    }

    /// Resumes a hibernated workspace whose lock is held.
    async fn wake(
        &self,
        record: &Record,
        files: &WorkspaceFiles,
        lock: File,
    ) -> Result<(), OpError> {
        let unusable = |why: &str| {
            OpError::plain(ErrorKind::Unavailable, why)
                .during(format!("the memory of workspace {} cannot be used", record.id))
                .hinted(format!(
                    "give it up with `hotcell workspace stop {id}`; then `hotcell workspace start \
                     {id}` boots it from its disks",
                    id = record.id
                ))
        };
        let saved = Hibernation::of(files).find()?.ok_or_else(|| unusable("it is gone"))?;
        if !saved.is_intact() {
            return Err(unusable("it was written to since it was saved"));
        }
        let template = self.template_of(record)?;
        self.admit(record.shape)?;
        self.store.step(record.id, Step::Start, None)?;
        let layers = NewLayers { empty: template.empty_layer(), over: Some(saved.frozen()) };
        let woken = async {
            files.disks().replace(&layers)?;
            let origin = Origin::saved(&saved, &template, files);
            self.start_keeper(record, files, lock, origin, &template).await
        };
        woken.await.map_err(|error: OpError| {
            let reason = format!("it could not be woken: {}", error.message);
            // A keeper that got as far as this has said so itself.
            let _ = self.store.step(record.id, Step::PutBack, Some(&reason));
            error.during(format!("cannot wake workspace {}", record.id))
        })
    }
}
