//! Services of a workspace, as they are on disk.
//!
//! ```text
//! services/<name>.json   how it was defined, how it is
//! jobs/svc_<name>/       its last process, and what all its processes wrote
//! ```
//!
//! The workspace's keeper writes (`keeper/services`), everybody may read: whoever
//! wants to know how a service was needs no keeper.
//!
//! **SIGKILL here.** A record is replaced whole. One that says that its service
//! is looked after, while the keeper that wrote it is gone, is out of date: it
//! means `lost`, and the next keeper writes that down.

use std::fs;
use std::path::PathBuf;

use guest_protocol::message::{Exec, Leftovers, Stdin};
use jiff::Timestamp;
use operation::OpError;
use serde::{Deserialize, Serialize};
use workspace_api::port::PortMapping;
use workspace_api::service::{ServiceName, ServiceState, Start};

use crate::exec::to_exec;
use crate::files::{FileError, create_private, replace_file};
use crate::jobs::JobId;

/// What is known of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ServiceRecord {
    /// How it was started last.
    pub(crate) definition: Start,
    pub(crate) state: ServiceState,
    /// Why it is in that state, if nobody asked for it.
    pub(crate) reason: Option<String>,
    /// How often its process was started again.
    pub(crate) restarts: u32,
    /// Its ports, with those of the host.
    pub(crate) ports: Vec<PortMapping>,
    pub(crate) started_at: Timestamp,
    pub(crate) ready_at: Option<Timestamp>,
}

impl ServiceRecord {
    pub(crate) fn name(&self) -> &ServiceName {
        &self.definition.service
    }
}

/// What a service's process is, without the secrets that it is given.
pub(crate) fn exec_of(definition: &Start) -> Result<Exec, OpError> {
    let exec = to_exec(definition.command.clone(), definition.options.clone())?;
    Ok(Exec { stdin: Stdin::Null, leftovers: Leftovers::Killed, ..exec })
}

/// The job that is a service's process. All of them have the same name one after
/// the other, so their output is one log.
pub(crate) fn job_of(service: &ServiceName) -> JobId {
    JobId(format!("svc_{service}"))
}

/// The services of one workspace, on disk.
#[derive(Debug, Clone)]
pub(crate) struct ServiceFiles(PathBuf);

impl ServiceFiles {
    /// Those in `directory`, which need not be there.
    pub(crate) fn at(directory: PathBuf) -> Self {
        Self(directory)
    }

    fn path(&self, name: &ServiceName) -> PathBuf {
        self.0.join(format!("{name}.json"))
    }

    /// Writes a record down, whole.
    pub(crate) fn write(&self, record: &ServiceRecord) -> Result<(), FileError> {
        create_private(&self.0)?;
        let json = serde_json::to_vec_pretty(record).expect("records are plain data");
        replace_file(&self.path(record.name()), &json)
    }

    /// One service, if it is known.
    pub(crate) fn find(&self, name: &ServiceName) -> Option<ServiceRecord> {
        serde_json::from_slice(&fs::read(self.path(name)).ok()?).ok()
    }

    /// All that are known, by name.
    pub(crate) fn list(&self) -> Result<Vec<ServiceRecord>, FileError> {
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(FileError::at("list", &self.0)(error)),
        };
        let names = entries.flatten().filter_map(|entry| {
            let name = entry.file_name();
            name.to_str()?.strip_suffix(".json")?.parse().ok()
        });
        let mut found: Vec<ServiceRecord> = names.filter_map(|name| self.find(&name)).collect();
        found.sort_by(|a, b| a.name().cmp(b.name()));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_listed_by_name_and_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let files = ServiceFiles::at(directory.path().join("services"));
        assert_eq!(files.list().unwrap(), []);
        let record = |name: &str, state| ServiceRecord {
            definition: Start::new("demo".parse().unwrap(), name.parse().unwrap(), ["true"]),
            state,
            reason: None,
            restarts: 0,
            ports: Vec::new(),
            started_at: Timestamp::UNIX_EPOCH,
            ready_at: None,
        };
        let web = record("web", ServiceState::Failed);
        let db = record("db", ServiceState::Ready);
        for record in [&record("web", ServiceState::Ready), &db, &web] {
            files.write(record).unwrap();
        }
        assert_eq!(files.list().unwrap(), [db, web.clone()]);
        assert_eq!(files.find(&"web".parse().unwrap()), Some(web));
    }
}
