//! An engine as a process: how it is started, and its life.
//!
//! ```text
//! creator ──▶ child ──▶ engine      whose parent is then the system's first process
//!    │          └ ends at once
//!    ├── orders ──▶ (standard input)
//!    ◀── began, owned or failed ──
//! ```
//!
//! Its standard output and error are the batch's log: what was there is put aside when
//! it has grown, and an engine writes only so much. Of its creator's environment it gets
//! what [`workspace::settings::handed_on`] names and nothing else: an agent's credentials
//! are not among it, they come with its orders.
//!
//! An engine that ends, for whatever reason, leaves everything in the journal and the
//! store. So nothing is done about a signal that ends it: the kernel frees the lock, and
//! the next engine takes over.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use batch_api::BatchId;
use batch_core::decide::Command as CoreCommand;
use batch_core::drive::{Engine, Failure};
use batch_core::fact::Reply;
use batch_core::journal::Journal as _;
use batch_core::state::Ending;
use operation::{ErrorKind, OpError};
use serde::{Deserialize, Serialize};
use workspace::Settings;
use workspace::settings::{HOME_VARIABLE, handed_on};
use workspace_api::spec::{EnvironmentRef, Shape};

use super::host::Credentials;
use super::place::Place;
use super::requests::{operator, refused};
use super::socket::{self, Answer, Ask};
use crate::engine::{self, Surroundings, World, door, go_on};
use crate::home::BatchesHome;
use crate::journal::{ClaimError, SqliteJournal};

/// The hidden subcommand that is an engine.
pub const SUBCOMMAND: &str = "batch-engine";

/// Its argument that makes it only start one.
const APART: &str = "apart";

/// The log within a batch's directory.
const LOG: &str = "engine.log";

/// What the log was before it had grown.
const LOG_BEFORE: &str = "engine.log.before";

/// From which size on the log is put aside, in bytes.
const LOG_BYTES_MAX: u64 = 1024 * 1024;

/// How much of the log an error tells, in bytes.
const LOG_TOLD_BYTES: u64 = 2048;

/// How long an engine may take to begin: it folds the whole journal.
const BEGIN_PATIENCE: Duration = Duration::from_secs(120);

/// The request that makes a batch what its setup says.
const START_REQUEST: &str = "start";

/// Starts engines.
#[derive(Debug, Clone)]
pub(crate) struct Starter(Arc<Settings>);

/// What an engine is to do first.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Orders {
    /// Whom it may replace.
    pub(super) replacing: Replacing,
    /// What it is asked.
    pub(super) ask: Option<Ask>,
}

impl Orders {
    /// Whether nothing is wanted but to bring somewhere what is merged.
    fn is_last_wish(&self) -> bool {
        let is_integration = |ask: &Ask| matches!(ask.command, CoreCommand::Integrate { .. });
        self.ask.as_ref().is_some_and(is_integration)
    }
}

/// All that an engine is told by whoever starts it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mandate<O> {
    orders: O,
    /// What the agent's processes get, written down nowhere; `None` for an engine that
    /// only brings somewhere what a batch that has ended has merged.
    credentials: Option<Credentials>,
}

/// Whom an engine may replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Replacing {
    OnlyTheDead,
    Anybody,
}

/// How an engine began.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Begun {
    /// It owns the batch, which is planned.
    Began {
        /// Its epoch.
        epoch: u64,
        /// What it answers.
        answer: Option<Answer>,
    },
    /// Another engine owns the batch, and lives.
    Owned {
        /// The epoch of that one.
        epoch: u64,
    },
    /// It cannot.
    Failed {
        /// Why.
        error: OpError,
    },
}

impl Starter {
    pub(crate) fn of(settings: &Settings) -> Self {
        Self(Arc::new(settings.clone()))
    }

    /// How much memory lanes may take in all, in MiB: what machines may, without that of
    /// one which verifies.
    pub(super) fn memory_mib(&self) -> Option<u64> {
        let verifying = u64::from(Shape::default().memory_mib);
        self.0.limits.memory_mib.map(|all| all.saturating_sub(verifying))
    }

    /// Whether lanes can be made of an environment.
    pub(super) fn check_prepared(&self, environment: &EnvironmentRef) -> Result<(), OpError> {
        let cells = workspace::Engine::open(self.0.as_ref().clone())?;
        cells.check_prepared(environment, Shape::default())
    }

    /// The machines that bear a batch's label: what each is for, and its name.
    pub(super) async fn lanes_of(
        &self,
        batch: BatchId,
    ) -> Result<BTreeMap<String, String>, OpError> {
        let cells = workspace::Engine::open(self.0.as_ref().clone())?;
        engine::workspaces_of(cells, batch).await
    }

    /// Starts an engine for a batch, and waits until it has begun.
    pub(super) fn start(&self, place: &Place, orders: &Orders) -> Result<Begun, OpError> {
        let credentials = match Credentials::of(&place.setup()?.setup.agent) {
            Ok(credentials) => Some(credentials),
            Err(_) if orders.is_last_wish() && place.look()?.0.ending.is_some() => None,
            Err(error) => return Err(error),
        };
        let begin = || -> io::Result<UnixStream> {
            let (ours, theirs) = UnixStream::pair()?;
            let log = open_log(place.directory())?;
            let mut child = Command::new(&self.0.program)
                .args([SUBCOMMAND, APART, &place.batch.to_string()])
                .env_clear()
                .envs(handed_on())
                .env(HOME_VARIABLE, &self.0.home)
                .current_dir("/")
                .stdin(OwnedFd::from(theirs))
                .stdout(Stdio::from(log.try_clone()?))
                .stderr(Stdio::from(log))
                .spawn()?;
            child.wait()?;
            ours.set_read_timeout(Some(BEGIN_PATIENCE))?;
            ours.set_write_timeout(Some(BEGIN_PATIENCE))?;
            Ok(ours)
        };
        let failed = |error: &io::Error| {
            OpError::new(ErrorKind::Internal, error)
                .during(format!("cannot start an engine for {}", place.batch))
        };
        let engine = begin().map_err(|error| failed(&error))?;
        let mandate = Mandate { orders, credentials };
        let heard = socket::say(&engine, &mandate).and_then(|()| socket::heard(&engine));
        let silent = || {
            let mut error = OpError::plain(ErrorKind::Internal, "the engine ended as it began");
            error.causes.extend(last_lines(place.directory()));
            error.hinted(format!("its log is {}", place.path(LOG).display()))
        };
        match heard {
            Ok(Some(begun)) => Ok(begun),
            Ok(None) => Err(silent()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let waited = BEGIN_PATIENCE.as_secs();
                let message = format!("the engine has not begun within {waited} s");
                Err(OpError::plain(ErrorKind::TimedOut, message)
                    .hinted("it may still begin: `hotcell batch status` says so"))
            }
            // What it was told it had not read, or would never read.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
                ) =>
            {
                Err(silent())
            }
            Err(error) => Err(failed(&error)),
        }
    }
}

/// The log, after what has grown was put aside.
fn open_log(directory: &Path) -> io::Result<File> {
    let path = directory.join(LOG);
    if path.symlink_metadata().is_ok_and(|found| found.len() > LOG_BYTES_MAX) {
        fs::rename(&path, directory.join(LOG_BEFORE))?;
    }
    let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    File::options().create(true).append(true).mode(0o600).custom_flags(flags).open(path)
}

/// The end of the log, for an error.
fn last_lines(directory: &Path) -> Option<String> {
    let mut file = File::open(directory.join(LOG)).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(io::SeekFrom::Start(length.saturating_sub(LOG_TOLD_BYTES))).ok()?;
    let mut text = Vec::new();
    file.take(LOG_TOLD_BYTES).read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text);
    let text: String = text.chars().filter(|c| *c == '\n' || !c.is_control()).collect();
    (!text.trim().is_empty()).then(|| text.trim().to_owned())
}

/// Runs an engine until its batch is over, or until it is replaced.
#[must_use]
pub fn run() -> ExitCode {
    let words: Vec<String> =
        env::args_os().skip(2).filter_map(|word| word.into_string().ok()).collect();
    let outcome = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [APART, batch] => start_apart(batch),
        [batch] => serve(batch),
        _ => Err("an engine is told which batch it is for".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error, "the engine failed");
            ExitCode::FAILURE
        }
    }
}

/// Starts the engine that this process was to be, with its descriptors, as nobody's child
/// once this process has ended.
fn start_apart(batch: &str) -> Result<(), Box<dyn std::error::Error>> {
    Command::new(env::current_exe()?).args([SUBCOMMAND, batch]).spawn()?;
    Ok(())
}

fn serve(batch: &str) -> Result<(), Box<dyn std::error::Error>> {
    let batch: BatchId = batch.parse()?;
    // It is nobody's foreground job; a failure only means it leads a session already.
    let _ = rustix::process::setsid();
    let creator = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    creator.set_read_timeout(Some(BEGIN_PATIENCE))?;
    creator.set_write_timeout(Some(BEGIN_PATIENCE))?;
    let mandate: Mandate<Orders> = socket::heard(&creator)?.ok_or("its creator said nothing")?;
    let (begun, living) = match begin(batch, mandate, &creator) {
        Ok((begun, living)) => (begun, living),
        Err(error) => (Begun::Failed { error }, None),
    };
    // A creator that has gone away learns it from the journal.
    if let Err(error) = socket::say(&creator, &begun) {
        tracing::warn!(%error, "nobody is told how the engine began");
    }
    drop(creator);
    match living.map(JoinHandle::join) {
        None => Ok(()),
        Some(Ok(Ok(ending))) => {
            tracing::info!(?ending, "the engine ends");
            Ok(())
        }
        Some(Ok(Err(failure))) => Err(failure.into()),
        Some(Err(_)) => Err("the engine's loop panicked".into()),
    }
}

/// The thread that an engine's loop is on.
type Living = JoinHandle<Result<Option<Ending>, Failure>>;

/// Takes the batch over, opens the door, and has it planned if no engine has done so.
fn begin(
    batch: BatchId,
    Mandate { orders, credentials }: Mandate<Orders>,
    creator: &UnixStream,
) -> Result<(Begun, Option<Living>), OpError> {
    let internal = |error: &dyn std::error::Error| OpError::new(ErrorKind::Internal, error);
    let program = env::current_exe().map_err(|error| internal(&error))?;
    let settings = Settings::from_environment(Some(program.clone()))?;
    let place = BatchesHome::within(&settings.home).place(batch);
    let file = place.setup()?;
    let creator =
        rustix::net::sockopt::socket_peercred(creator).map_err(|error| internal(&error))?;
    let cells = Arc::new(workspace::Engine::open(settings)?);
    let (door, visitors) = door();
    let (host, door, has_credentials) = match credentials {
        Some(credentials) => (credentials.host(&file.setup.agent, program)?, door, true),
        None => (None, door.for_integrations(), false),
    };
    let agent = file.setup.agent.clone();
    let mut world =
        World::new(file.setup, cells, door.clone()).map_err(|error| internal(&error))?;
    if let Some(agent) = host {
        world = world.with_host(agent);
    }

    let mut journal = SqliteJournal::create(place.directory(), batch)?;
    let claim = match orders.replacing {
        Replacing::Anybody => journal.claim().map_err(|error| internal(&error))?,
        Replacing::OnlyTheDead => match journal.claim_unowned() {
            Ok(claim) => claim,
            Err(ClaimError::Owned(epoch)) => return Ok((Begun::Owned { epoch: epoch.0 }, None)),
            Err(ClaimError::Journal(error)) => return Err(error.into()),
        },
    };
    // Whoever owns the journal owns the name of the socket.
    let listener = socket::listen(place.directory())?;
    let epoch = claim.epoch.0;
    let engine = Engine::owning(journal, claim, batch).map_err(|error| internal(&error))?;
    if !has_credentials && engine.state().is_none_or(|state| state.ending.is_none()) {
        // Somebody had it go on meanwhile, so this says what is missing.
        Credentials::of(&agent)?;
    }

    // What is brought before the loop begins is answered in its first turns, so an
    // engine that finds its batch over still hears what it was started for.
    let is_new = engine.state().is_none_or(|state| state.spec.is_none());
    let planned = is_new.then(|| {
        let request = START_REQUEST.parse().expect("it is a request's name");
        let command = CoreCommand::Start { spec: Box::new(file.spec) };
        let surroundings = Surroundings::default();
        socket::bring(&door, file.actor, Ask { request, command, surroundings })
    });
    let asked = orders.ask.map(|ask| socket::bring(&door, operator(creator.uid), ask));
    socket::serve(listener, door).map_err(|error| internal(&error))?;
    let living = thread::Builder::new()
        .name("engine".into())
        .spawn(move || go_on(world, engine, visitors))
        .map_err(|error| internal(&error))?;
    tracing::info!(epoch, %batch, "an engine has begun");
    if let Some(planned) = planned {
        check_planned(socket::awaited(planned))?;
    }
    Ok((Begun::Began { epoch, answer: asked.map(socket::awaited) }, Some(living)))
}

/// Fails unless the batch was planned.
fn check_planned(answer: Answer) -> Result<(), OpError> {
    match answer {
        Answer::Replied { reply: Reply::Accepted } => Ok(()),
        Answer::Replied { reply: Reply::Refused { refusal } } => Err(refused(&refusal)),
        other => {
            let message = format!("the batch was not planned: {other:?}");
            Err(OpError::plain(ErrorKind::Internal, message))
        }
    }
}
