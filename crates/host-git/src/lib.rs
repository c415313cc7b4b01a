//! git as a program of the host, run so that nothing it looks at runs in turn.
//!
//! ```text
//! Git::of_operator(checkout) ── the user's settings count: credentials, proxies,
//!                               which owners are trusted
//! Git::of_engine(repository) ── nobody's settings count: it holds what agents made
//! ```
//!
//! Either way no hook, no file monitor and no prompt runs, no variable of ours
//! makes git look elsewhere, and nothing that it prints is believed to be short.
//! A git that is run ends with the thread that runs it, so a client that is killed
//! leaves none behind.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt as _};
use tokio::process::{Child, Command};

/// Settings that win over the repository's: no program of its choice runs.
const HARMLESS: &[&str] = &[
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "protocol.ext.allow=never",
];

/// Settings over a repository of the engine's. Everything is synced before git
/// says that it is done, and nothing is thrown away behind the engine's back.
const ENGINES: &[&str] = &[
    "-c",
    "core.fsync=all",
    "-c",
    "gc.auto=0",
    "-c",
    "maintenance.auto=false",
    "-c",
    "core.attributesFile=/dev/null",
    "-c",
    "core.logAllRefUpdates=false",
    "-c",
    "pack.threads=1",
    "-c",
    "submodule.recurse=false",
];

/// Variables that would make git look somewhere else than where it is told to, or
/// run something else than it is told to.
const MISLEADING: &[&str] = &[
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_COUNT",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_GRAFT_FILE",
    "GIT_REPLACE_REF_BASE",
    "GIT_ATTR_SOURCE",
    "GIT_TEMPLATE_DIR",
    "GIT_EXTERNAL_DIFF",
    "GIT_DEFAULT_HASH",
    "GIT_DEFAULT_REF_FORMAT",
];

/// Variables by which a user gives commits a name and a date.
const NAMING: &[&str] = &[
    "GIT_AUTHOR_NAME",
    "GIT_AUTHOR_EMAIL",
    "GIT_AUTHOR_DATE",
    "GIT_COMMITTER_NAME",
    "GIT_COMMITTER_EMAIL",
    "GIT_COMMITTER_DATE",
    "EMAIL",
];

/// Most bytes that are taken of one answer: two million names of 256 bytes.
pub const ANSWER_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Most bytes that are kept of what it complains.
const COMPLAINT_BYTES_MAX: u64 = 64 * 1024;

/// What `setpriv` exits with if it cannot start the program.
const NOT_STARTED: i32 = 127;

/// Whose settings count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settings {
    Operators,
    Nobodys,
}

/// git in one place.
#[derive(Debug, Clone)]
pub struct Git {
    place: PathBuf,
    settings: Settings,
    variables: Vec<(&'static str, OsString)>,
    /// What it finds in the environment, but for what would mislead it.
    surroundings: Vec<(String, String)>,
    patience: Option<Duration>,
}

/// What git said, whether it did what it was asked or not.
#[derive(Debug)]
pub struct Answer {
    /// What it exited with; none if it was killed.
    pub code: Option<i32>,
    /// What it printed.
    pub out: Vec<u8>,
    /// What it complained, the beginning.
    pub complaint: String,
}

/// Why git gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There is none.
    #[error("the program git is missing")]
    Missing,
    /// It, or `setpriv`, which starts it, cannot be run.
    #[error("git cannot be run")]
    Start(#[source] std::io::Error),
    /// It refused.
    #[error("git said: {0}")]
    Said(String),
    /// Its answer has no end.
    #[error("git said more than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
    /// It took longer than it was given, and was ended.
    #[error("git took longer than {} s", .0.as_secs())]
    TooSlow(Duration),
}

impl Git {
    /// git in a checkout of the operator's, with the operator's settings.
    #[must_use]
    pub fn of_operator(checkout: &Path) -> Self {
        Self {
            place: checkout.to_owned(),
            settings: Settings::Operators,
            variables: Vec::new(),
            surroundings: Vec::new(),
            patience: None,
        }
    }

    /// git over a bare repository of ours, with nobody's settings.
    #[must_use]
    pub fn of_engine(repository: &Path) -> Self {
        Self {
            place: repository.to_owned(),
            settings: Settings::Nobodys,
            variables: Vec::new(),
            surroundings: Vec::new(),
            patience: None,
        }
    }

    /// With a variable more.
    #[must_use]
    pub fn with(mut self, variable: &'static str, value: impl AsRef<OsStr>) -> Self {
        self.variables.push((variable, value.as_ref().to_owned()));
        self
    }

    /// In an environment that has these, too. What would mislead git is left out.
    #[must_use]
    pub fn among(mut self, surroundings: impl IntoIterator<Item = (String, String)>) -> Self {
        self.surroundings.extend(surroundings);
        self
    }

    /// Ended if it takes longer.
    #[must_use]
    pub fn within(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    /// Where it runs.
    #[must_use]
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Asks git and takes what it prints.
    ///
    /// # Errors
    ///
    /// [`Failure::Said`] if it exits with anything but 0.
    pub async fn run(&self, question: &[&str]) -> Result<Vec<u8>, Failure> {
        self.ask(question, Vec::new()).await
    }

    /// Asks git about what it is given on its standard input.
    ///
    /// # Errors
    ///
    /// [`Failure::Said`] if it exits with anything but 0.
    pub async fn ask(&self, question: &[&str], input: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let answer = self.call(question, input).await?;
        match answer.code {
            Some(0) => Ok(answer.out),
            _ => Err(Failure::Said(answer.complaint)),
        }
    }

    /// The first line of an answer; none if git refuses or says nothing.
    ///
    /// # Errors
    ///
    /// As of [`Self::call`].
    pub async fn line(&self, question: &[&str]) -> Result<Option<String>, Failure> {
        let answer = self.call(question, Vec::new()).await?;
        let text = String::from_utf8_lossy(&answer.out);
        Ok((answer.code == Some(0)).then(|| text.lines().next().map(str::to_owned)).flatten())
    }

    /// Asks git, whatever it exits with.
    ///
    /// # Errors
    ///
    /// If it cannot be run, or goes on for too long.
    pub async fn call(&self, question: &[&str], input: Vec<u8>) -> Result<Answer, Failure> {
        let stdin = if input.is_empty() { Stdio::null() } else { Stdio::piped() };
        let mut child = self.command(question).stdin(stdin).spawn().map_err(started)?;
        let answer = answer(&mut child, input);
        let answer = match self.patience {
            None => answer.await?,
            Some(patience) => tokio::time::timeout(patience, answer)
                .await
                .unwrap_or(Err(Failure::TooSlow(patience)))?,
        };
        if answer.code == Some(NOT_STARTED) { Err(Failure::Missing) } else { Ok(answer) }
    }

    fn command(&self, question: &[&str]) -> Command {
        // It ends with the thread that started it: nothing is left behind by a
        // client that is killed.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "git"]).args(HARMLESS);
        command.envs(self.surroundings.iter().map(|(name, value)| (name, value)));
        for variable in MISLEADING {
            command.env_remove(variable);
        }
        command
            .current_dir(&self.place)
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_LFS_SKIP_SMUDGE", "1")
            .env("LC_ALL", "C.UTF-8");
        match self.settings {
            Settings::Operators => {
                command.env("GIT_ALLOW_PROTOCOL", "file:git:http:https:ssh");
            }
            Settings::Nobodys => {
                command.args(ENGINES).arg("--git-dir").arg(&self.place);
                for variable in NAMING {
                    command.env_remove(variable);
                }
                command
                    .env("GIT_CONFIG_NOSYSTEM", "1")
                    .env("GIT_CONFIG_GLOBAL", "/dev/null")
                    .env("GIT_ATTR_NOSYSTEM", "1")
                    .env("GIT_NO_REPLACE_OBJECTS", "1")
                    .env("GIT_ALLOW_PROTOCOL", "file")
                    .env("TZ", "UTC");
            }
        }
        command
            .args(question)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .kill_on_drop(true)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

fn started(source: std::io::Error) -> Failure {
    match source.kind() {
        std::io::ErrorKind::NotFound => Failure::Missing,
        _ => Failure::Start(source),
    }
}

async fn answer(child: &mut Child, input: Vec<u8>) -> Result<Answer, Failure> {
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (Some(mut out), Some(mut err)) = (out, err) else { return Err(Failure::Missing) };
    let (mut answer, mut said) = (Vec::new(), Vec::new());
    let stdin = child.stdin.take();
    let all = async {
        let answered = async { (&mut out).take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await };
        // More than this is not shown, but has to be read so that git goes on.
        let complained = async {
            (&mut err).take(COMPLAINT_BYTES_MAX).read_to_end(&mut said).await?;
            tokio::io::copy(&mut err, &mut tokio::io::sink()).await
        };
        let told = async {
            if let Some(mut stdin) = stdin {
                // One that stops listening says why.
                let _ = stdin.write_all(&input).await;
            }
            Ok(())
        };
        tokio::try_join!(answered, complained, told)
    };
    all.await.map_err(Failure::Start)?;
    if answer.len() as u64 == ANSWER_BYTES_MAX {
        return Err(Failure::TooLong);
    }
    let status = child.wait().await.map_err(Failure::Start)?;
    let complaint = String::from_utf8_lossy(&said).trim().to_owned();
    Ok(Answer { code: status.code(), out: answer, complaint })
}
