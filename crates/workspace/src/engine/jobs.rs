//! What commands in the background and shells have in common: finding them,
//! telling how they are, reading what they wrote.

use std::time::Duration;

use operation::{ErrorKind, OpError};
use uuid::Uuid;
use workspace_api::id::WorkspaceRef;
use workspace_api::job::{JobState as Told, JobStatus};
use workspace_api::state::WorkspaceState;

use super::Engine;
use super::terms::shown;
use crate::jobs::log::{self, Excerpt};
use crate::jobs::{JobId, JobRecord, JobState, Jobs};
use crate::keeper::asking::AwaitJob;
use crate::keeper::jobs::{JobProgress, Until};
use crate::store::{Record, one_of};

/// How long one question to a keeper waits; longer waits are several questions,
/// so that a caller who gives up leaves none behind for long.
const WAIT_STEP: Duration = Duration::from_secs(60);

/// A job that was found, and the workspace that it belongs to.
#[derive(Debug)]
pub(super) struct FoundJob {
    pub(super) workspace: Record,
    pub(super) record: JobRecord,
    jobs: Jobs,
}

/// A new id of a kind of job.
pub(super) fn new_job_id(prefix: &str) -> JobId {
    JobId(format!("{prefix}{}", Uuid::now_v7().simple()))
}

impl Engine {
    pub(super) fn jobs_of(&self, workspace: &Record) -> Jobs {
        Jobs::at(self.home.workspace(workspace.id).jobs())
    }

    /// The one job of a workspace that the beginning of an id means.
    pub(super) fn find_job(
        &self,
        workspace: &WorkspaceRef,
        beginning: &str,
        list: &str,
    ) -> Result<FoundJob, OpError> {
        let workspace = self.store.find(workspace)?;
        let jobs = self.jobs_of(&workspace);
        let mut found: Vec<JobRecord> = jobs.list()?;
        found.retain(|record| record.id.0.starts_with(beginning));
        match found.len() {
            1 => Ok(FoundJob { workspace, record: found.remove(0), jobs }),
            0 => Err(OpError::plain(ErrorKind::NotFound, format!("there is no `{beginning}`"))
                .hinted(format!("`hotcell {list} {}` shows what there is", workspace.id))),
            several => {
                let message = format!("`{beginning}` is the beginning of {several} ids");
                let candidates = found.into_iter().map(|record| record.id.0);
                Err(OpError::plain(ErrorKind::InvalidRequest, message).hinted(one_of(candidates)))
            }
        }
    }

    /// Waits for something of a job, at most for `longest`.
    pub(super) async fn await_job(
        &self,
        found: &FoundJob,
        until: Until,
        longest: Option<Duration>,
        cancelled: &tokio_util::sync::CancellationToken,
    ) -> Result<(), OpError> {
        if found.status().state != Told::Running {
            return Ok(());
        }
        let mut connection = self.connect(&found.workspace).await?;
        let deadline = longest.map(|longest| tokio::time::Instant::now() + longest);
        loop {
            let now = tokio::time::Instant::now();
            let left = deadline.map_or(WAIT_STEP, |deadline| deadline - now).min(WAIT_STEP);
            let deadline_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
            let ask = AwaitJob { id: found.record.id.clone(), until, deadline_ms };
            let progress: JobProgress = tokio::select! {
                progress = connection.ask(ask) => progress?,
                () = cancelled.cancelled() => {
                    let message = "waiting was cancelled; what was waited for goes on";
                    return Err(OpError::plain(ErrorKind::Cancelled, message));
                }
            };
            let is_over = deadline.is_some_and(|at| tokio::time::Instant::now() >= at);
            if is_over || !progress.running || until != Until::Ended {
                return Ok(());
            }
        }
    }
}

impl FoundJob {
    /// The same job, as it is on record now.
    pub(super) fn fresh(self) -> Self {
        let record = self.jobs.find(&self.record.id).unwrap_or(self.record);
        Self { record, ..self }
    }

    pub(super) fn status(&self) -> JobStatus {
        status(&self.workspace, &self.jobs, &self.record)
    }

    /// Some of what it wrote.
    pub(super) fn excerpt(&self, channel: &str, from: u64, most: u32) -> Result<Excerpt, OpError> {
        let directory = self.jobs.directory(&self.record.id);
        let most = usize::try_from(most).expect("usize holds 32 bits here");
        Ok(log::read(&directory, channel, from, most)?)
    }
}

/// Whether what runs in a workspace of this state runs on, if only when it is woken.
pub(super) const fn has_its_memory(state: WorkspaceState) -> bool {
    match state {
        WorkspaceState::Running | WorkspaceState::Hibernated | WorkspaceState::Starting => true,
        WorkspaceState::Creating | WorkspaceState::Stopped | WorkspaceState::Deleted => false,
    }
}

/// How a job is, as far as its record and its workspace tell.
pub(super) fn status(workspace: &Record, jobs: &Jobs, record: &JobRecord) -> JobStatus {
    let mut told = JobStatus {
        state: Told::Running,
        exit_code: None,
        end: None,
        duration_ms: None,
        reason: None,
        started_at: shown(record.started_at),
        stdout_bytes: jobs.written(&record.id, "stdout"),
        stderr_bytes: jobs.written(&record.id, "stderr"),
    };
    match &record.state {
        JobState::Running if has_its_memory(workspace.state) => {}
        // The next keeper will write that down.
        JobState::Running => {
            told.state = Told::Lost;
            told.reason = Some("its machine ended".to_owned());
        }
        JobState::Ended { end, exit_code, duration_ms, .. } => {
            told.state = Told::Ended;
            told.exit_code = Some(*exit_code);
            told.end = Some(*end);
            told.duration_ms = Some(*duration_ms);
        }
        JobState::Lost { reason, .. } => {
            told.state = Told::Lost;
            told.reason = Some(reason.clone());
        }
    }
    told
}
