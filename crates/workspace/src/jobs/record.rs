//! What is known of a job.

use std::fs;
use std::path::{Path, PathBuf};

use guest_protocol::message::TerminalSize;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use workspace_api::run::CommandEnd;

use super::log;
use crate::files::{FileError, create_private, replace_file};

/// How many jobs that have ended are kept; the oldest go first.
const ENDED_MAX: usize = 200;

/// Names a job within its workspace; also the name under which the guest keeps
/// its process, and of its directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct JobId(pub(crate) String);

/// What a job is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum JobKind {
    /// A command in the background.
    Command,
    /// A program on a terminal.
    Shell {
        /// Size of the terminal.
        size: TerminalSize,
    },
    /// The process of a service.
    Service {
        /// Name of the service.
        name: String,
    },
}

/// Whether a job runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum JobState {
    /// It does, as far as its keeper knows.
    Running,
    /// It ended.
    Ended {
        /// How.
        end: CommandEnd,
        /// Its exit code, as shells count it.
        exit_code: u8,
        /// How long it ran by the guest's clock, in milliseconds.
        duration_ms: u64,
        /// When.
        at: Timestamp,
    },
    /// How it ended is not known.
    Lost {
        /// Why.
        reason: String,
        /// When that was found out.
        at: Timestamp,
    },
}

/// What is known of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JobRecord {
    pub(crate) id: JobId,
    #[serde(rename = "job")]
    pub(crate) kind: JobKind,
    pub(crate) argv: Vec<String>,
    pub(crate) cwd: String,
    pub(crate) started_at: Timestamp,
    #[serde(rename = "current")]
    pub(crate) state: JobState,
}

/// The jobs of one workspace, on disk.
#[derive(Debug, Clone)]
pub(crate) struct Jobs(PathBuf);

const RECORD: &str = "record.json";

impl Jobs {
    /// Those in `directory`, which need not be there.
    pub(crate) fn at(directory: PathBuf) -> Self {
        Self(directory)
    }

    pub(crate) fn directory(&self, id: &JobId) -> PathBuf {
        self.0.join(&id.0)
    }

    /// Writes a record down, whole.
    pub(crate) fn write(&self, record: &JobRecord) -> Result<(), FileError> {
        let directory = self.directory(&record.id);
        create_private(&directory)?;
        let json = serde_json::to_vec_pretty(record).expect("records are plain data");
        replace_file(&directory.join(RECORD), &json)
    }

    /// One job, if it is known.
    pub(crate) fn find(&self, id: &JobId) -> Option<JobRecord> {
        read_record(&self.directory(id))
    }

    /// All that are known, the newest first.
    pub(crate) fn list(&self) -> Result<Vec<JobRecord>, FileError> {
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(FileError::at("list", &self.0)(error)),
        };
        let mut found: Vec<JobRecord> =
            entries.flatten().filter_map(|entry| read_record(&entry.path())).collect();
        found.sort_by(|a, b| b.started_at.cmp(&a.started_at).then_with(|| b.id.cmp(&a.id)));
        Ok(found)
    }

    /// Forgets the oldest of those that have ended, so that they do not pile up.
    pub(crate) fn forget_old(&self) -> Result<(), FileError> {
        let ended = self.list()?.into_iter().filter(|job| job.state != JobState::Running);
        // Services are few, and whoever asks for their log means the last one.
        let ended = ended.filter(|job| !matches!(job.kind, JobKind::Service { .. }));
        for job in ended.skip(ENDED_MAX) {
            crate::files::remove_tree(&self.directory(&job.id))?;
        }
        Ok(())
    }

    /// Removes what is left of jobs that were being made or removed when their keeper was
    /// killed: directories without a record. Whoever calls this makes no job meanwhile.
    pub(crate) fn sweep(&self) -> Result<(), FileError> {
        let Ok(entries) = fs::read_dir(&self.0) else { return Ok(()) };
        for directory in entries.flatten().map(|entry| entry.path()) {
            if !directory.join(RECORD).exists() {
                crate::files::remove_tree(&directory)?;
            }
        }
        Ok(())
    }

    /// How much a job has written to a channel.
    pub(crate) fn written(&self, id: &JobId, channel: &str) -> u64 {
        log::end(&self.directory(id), channel).unwrap_or(0)
    }
}

fn read_record(directory: &Path) -> Option<JobRecord> {
    // A job that is being made or removed has none.
    serde_json::from_slice(&fs::read(directory.join(RECORD)).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_listed_newest_first_and_old_ones_go() {
        let directory = tempfile::tempdir().unwrap();
        let jobs = Jobs::at(directory.path().join("jobs"));
        assert_eq!(jobs.list().unwrap(), []);
        let record = |n: i64, state| JobRecord {
            id: JobId(format!("cmd_{n}")),
            kind: JobKind::Command,
            argv: vec!["true".into()],
            cwd: "/".into(),
            started_at: Timestamp::from_second(n).unwrap(),
            state,
        };
        let lost = JobState::Lost { reason: "a test".into(), at: Timestamp::UNIX_EPOCH };
        jobs.write(&record(0, JobState::Running)).unwrap();
        for n in 1..=205 {
            jobs.write(&record(n, lost.clone())).unwrap();
        }
        jobs.forget_old().unwrap();
        let left = jobs.list().unwrap();
        assert_eq!(left.len(), 201);
        assert_eq!(left[0].id.0, "cmd_205");
        assert_eq!(left[200].state, JobState::Running, "what runs is not old");
        assert_eq!(jobs.find(&JobId("cmd_205".into())), Some(left[0].clone()));
        assert_eq!(jobs.find(&JobId("cmd_1".into())), None);
    }

    #[test]
    fn what_has_no_record_was_never_made_or_is_gone_and_is_swept() {
        let directory = tempfile::tempdir().unwrap();
        let jobs = Jobs::at(directory.path().join("jobs"));
        jobs.sweep().unwrap();
        // Killed before its record was there, with it, and while it was removed.
        let path = |name: &str| jobs.directory(&JobId(name.into()));
        create_private(&path("cmd_1")).unwrap();
        create_private(&path("cmd_2")).unwrap();
        // One that a newer program wrote stays, although nobody here can read it.
        fs::write(path("cmd_2").join(RECORD), "{}").unwrap();
        create_private(&path("cmd_3")).unwrap();
        fs::write(path("cmd_3").join("stdout.0"), "what it wrote").unwrap();
        jobs.sweep().unwrap();
        let left = ["cmd_1", "cmd_2", "cmd_3"].map(|name| path(name).exists());
        assert_eq!(left, [false, true, false]);
    }
}
