//! `batch.start`: plans, writes the setup down, and starts the engine.
//!
//! A batch appears with its setup, by one rename: there is no directory of a batch
//! without one. A request with a name makes the id of its batch, so that repeating it
//! finds the batch, whether the first try was answered or killed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use batch_api::control::start::{Start, Started};
use batch_api::plan::{PacketProblem, Plan, PlanFormat};
use batch_api::{BatchId, RequestId};
use batch_core::spec::BatchSpec;
use batch_git::{CommitId, Store};
use operation::{Call, ErrorKind, Handler, NoEvents, OpError};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use workspace::files::{FileError, create_private, remove_tree, sync_directory};

use super::files;
use super::host::{self, Credentials};
use super::place::Place;
use super::process::{Begun, Orders, Replacing};
use super::setup::{self, SetupFile};
use super::{blocking, choosing, requests};
use crate::Batches;
use crate::configuration::{self, OWN_FILE};
use crate::discovery::{self, Repository};
use crate::engine::{AgentSetup, Setup, now};
use crate::home::BatchesHome;
use crate::planning::{Outline, outlined};

/// How a batch is called while it is made.
const MAKING: &str = ".new-";

/// How old a batch must be that nobody has finished making before it is removed.
const MAKING_MAX: Duration = Duration::from_secs(3600);

/// Most problems that an error tells.
const PROBLEMS_MAX: usize = 200;

impl Handler<Start> for Batches {
    async fn handle(&self, mut start: Start, _: &mut Call<NoEvents>) -> Result<Started, OpError> {
        let directory = discovery::directory(&start.directory);
        let (repository, directory) = blocking(move || {
            let repository = Repository::around(&directory)?;
            let directory = directory.canonicalize();
            Ok((
                repository.path,
                directory.map_err(|error| OpError::new(ErrorKind::NotFound, &error))?,
            ))
        })
        .await?;
        // Whoever repeats it may call the same directory by another name.
        start.directory = directory.to_string_lossy().into_owned();
        let named = start.request_id.as_ref().map(|name| id_of(&repository, name));
        if let Some(place) = named.map(|id| self.home.place(id))
            && place.directory().is_dir()
        {
            return self.begun(place, start, Vec::new()).await;
        }
        let plan = Plan {
            tasks: start.tasks.clone(),
            directory: start.directory.clone(),
            lanes: start.lanes,
            format: PlanFormat::Text,
        };
        let outline = blocking(move || outlined(&plan)).await?;
        let mut remarks = outline.planned.remarks.clone();
        let file = made(named, start.clone(), outline, self.starter.memory_mib()).await?;
        let (home, starter) = (self.home.clone(), self.starter.clone());
        let (place, besides) = blocking(move || {
            if file.setup.needs_machines() {
                starter.check_prepared(&file.setup.environment)?;
            }
            let besides = choosing::besides(&home, &file)?;
            written(&home, &file)?;
            Ok((home.place(file.setup.batch), besides))
        })
        .await?;
        remarks.extend(besides);
        self.begun(place, start, remarks).await
    }
}

impl Batches {
    /// Has the engine of a batch begin that is written down.
    async fn begun(
        &self,
        place: Place,
        asked: Start,
        remarks: Vec<batch_api::plan::Remark>,
    ) -> Result<Started, OpError> {
        let starter = self.starter.clone();
        blocking(move || {
            let file = place.setup()?;
            if file.asked != asked {
                let message = format!("the request was used before, for {}", place.batch);
                return Err(
                    OpError::plain(ErrorKind::Conflict, message).hinted("use another --request-id")
                );
            }
            // One that was killed before it planned the batch may not be gone yet.
            if place.look()?.0.spec.is_none() && requests::at_work(&place)?.is_none() {
                let orders = Orders { replacing: Replacing::OnlyTheDead, ask: None };
                match starter.start(&place, &orders)? {
                    Begun::Began { .. } | Begun::Owned { .. } => {}
                    Begun::Failed { error } => return Err(error),
                }
            }
            Ok(Started {
                id: place.batch,
                repository: file.setup.operator.display().to_string(),
                base: file
                    .setup
                    .base
                    .parse()
                    .map_err(|error| OpError::new(ErrorKind::Internal, &error))?,
                tasks: u32::try_from(file.spec.units.len()).unwrap_or(u32::MAX),
                lanes: file.spec.lanes,
                remarks,
            })
        })
        .await
    }
}

/// The id of the batch that a named request makes in a repository.
fn id_of(repository: &Path, request: &RequestId) -> BatchId {
    let mut digest = Sha256::new();
    digest.update("batch.start");
    for part in [repository.as_os_str().as_encoded_bytes(), request.as_str().as_bytes()] {
        digest.update([0]);
        digest.update(part);
    }
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest.finalize()).for_each(|(to, from)| *to = from);
    BatchId::from_uuid(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// The agent that does the work of a batch and the commit that it begins with, or everything
/// that stands against it.
async fn checked(asked: &Start, outline: &Outline) -> Result<(AgentSetup, CommitId), OpError> {
    let Outline { planned, repository, configuration, units } = outline;
    let mut problems = planned.problems.clone();
    let mut problem = |file: &str, message: String| {
        problems.push(PacketProblem { file: file.to_owned(), line: 0, message });
    };
    let agent = match configuration.agent.clone() {
        None => {
            problem(OWN_FILE, "found no table [agent]; expected what does the work".to_owned());
            None
        }
        Some(agent) => {
            let judged = host::judged(agent, &repository.path, asked.on_host).await;
            judged.map_err(|why| problem(OWN_FILE, why)).ok()
        }
    };
    let base = match Store::base_of(&repository.path, &configuration.base).await {
        Ok(base) => Some(base),
        Err(error) => {
            problem(OWN_FILE, format!("no batch can begin with `{}`: {error}", configuration.base));
            None
        }
    };
    for unit in units {
        if !Path::new(&unit.home).is_dir() {
            problem(&unit.home, "found no such directory; expected a packet".to_owned());
        }
    }
    match (agent, base) {
        (Some(agent), Some(base)) if problems.is_empty() => Ok((agent, base)),
        (_, base) => {
            let mut refused = refused(&problems);
            if base.is_none() {
                refused = refused.hinted(
                    "commit what the agents are to begin with, or name another commit as `base`",
                );
            }
            if configuration.agent.is_none() {
                let example = configuration::example_of_agent();
                let hint = format!("end {OWN_FILE} with what does the work, such as\n{example}");
                refused = refused.hinted(hint);
            }
            Err(refused)
        }
    }
}

/// What is written down of a batch, or everything that stands against it.
async fn made(
    named: Option<BatchId>,
    asked: Start,
    outline: Outline,
    memory_mib: Option<u64>,
) -> Result<SetupFile, OpError> {
    let (agent, base) = checked(&asked, &outline).await?;
    // Without them no engine would begin.
    Credentials::of(&agent)?;
    let Outline { planned, repository, configuration, units } = outline;
    if units.is_empty() {
        let message = format!("there is nothing to be done: {} tasks are done", planned.completed);
        return Err(OpError::plain(ErrorKind::Conflict, message)
            .hinted("`hotcell batch plan` shows what areas hold"));
    }
    let batch = named.unwrap_or_else(|| BatchId::from_uuid(Uuid::now_v7()));
    let owner = requests::myself();
    let spec = BatchSpec {
        batch,
        owner: owner.clone(),
        lanes: planned.lanes.into(),
        memory_mib,
        policy: configuration.on_task_failure,
        receipts: agent.receipts(),
        limits: configuration.limits,
        units,
    };
    spec.judge().map_err(|error| OpError::new(ErrorKind::InvalidRequest, &error))?;
    let setup = Setup {
        batch,
        directory: PathBuf::new(),
        operator: repository.path,
        base: base.as_str().to_owned(),
        environment: configuration.environment,
        agent,
        verify: configuration.verify,
    };
    Ok(SetupFile::new(now(), owner, asked, setup, spec))
}

fn refused(problems: &[PacketProblem]) -> OpError {
    let (count, end) = (problems.len(), if problems.len() == 1 { "" } else { "s" });
    let mut error = OpError::plain(
        ErrorKind::InvalidRequest,
        format!("no batch can be started: {count} problem{end}"),
    );
    error.causes = problems
        .iter()
        .take(PROBLEMS_MAX)
        .map(|problem| {
            let line = if problem.line == 0 { String::new() } else { format!("{}:", problem.line) };
            format!("{}:{line} {}", problem.file, problem.message)
        })
        .collect();
    error.hinted("docs/batches.md of Hotcell says what packets and the configuration consist of")
}

/// Makes the batch's directory, with its setup in it.
fn written(home: &BatchesHome, file: &SetupFile) -> Result<(), OpError> {
    create_private(home.path())?;
    sweep(home.path());
    let making = home.path().join(format!("{MAKING}{}", Uuid::now_v7().simple()));
    create_private(&making)?;
    files::write_new(&making.join(setup::FILE), &file.written()?)?;
    sync_directory(&making)?;
    let place = home.place(file.setup.batch);
    match fs::rename(&making, place.directory()) {
        Ok(()) => Ok(sync_directory(home.path())?),
        // The same request was faster.
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(remove_tree(&making)?),
        Err(error) => {
            remove_tree(&making)?;
            Err(FileError::at("create", place.directory())(error).into())
        }
    }
}

/// Removes what somebody was killed over. Nothing of it was ever a batch.
fn sweep(home: &Path) {
    let old = |path: &Path| {
        let written = path.symlink_metadata().and_then(|found| found.modified()).ok();
        let age = written.and_then(|written| SystemTime::now().duration_since(written).ok());
        age.is_some_and(|age| age > MAKING_MAX)
    };
    for entry in fs::read_dir(home).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(MAKING);
        if is_ours && old(&entry.path()) {
            // It is tried again by the next start.
            let _ = remove_tree(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_request_makes_one_batch_in_each_repository() {
        let id = |repository: &str, request: &str| {
            id_of(Path::new(repository), &request.parse().unwrap())
        };
        assert_eq!(id("/a", "one"), id("/a", "one"));
        assert_ne!(id("/a", "one"), id("/b", "one"));
        assert_ne!(id("/a", "one"), id("/a", "two"));
        let text = id("/a", "one").to_string();
        assert_eq!(text.parse::<BatchId>().unwrap(), id("/a", "one"));
    }

    #[test]
    fn what_somebody_was_killed_over_is_swept_once_it_is_old() {
        let home = tempfile::tempdir().unwrap();
        let [fresh, old] = ["fresh", "old"].map(|name| home.path().join(format!("{MAKING}{name}")));
        for directory in [&fresh, &old] {
            create_private(directory).unwrap();
            files::write_new(&directory.join(setup::FILE), b"{}").unwrap();
        }
        let opened = fs::File::open(&old).unwrap();
        opened.set_modified(SystemTime::now() - 2 * MAKING_MAX).unwrap();
        sweep(home.path());
        assert!(fresh.exists() && !old.exists());
    }
}
