//! One command in a machine of its own.

use operation::{Effect, Example, Operation, Present, Progress, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::WorkspaceId;
use crate::network::NetworkOptions;
use crate::output::{CapturedOutput, OutputBytes};
use crate::prepare::WorkProgress;
use crate::secret::SecretUse;
use crate::seed::{Seed, SeedReport};
use crate::spec::{Accelerator, EnvironmentRef, Shape, Variable};
use crate::time::TimeSpan;

/// Run a command in a new microVM that leaves nothing behind
///
/// Creates a machine from a warm template, runs the command, streams what it
/// writes, and deletes the machine. Exits with the command's exit code: 124 if
/// the timeout ended it, 126 or 127 if it could not be started, 128 plus the
/// number if a signal ended it. Fails with `unavailable` if the environment is
/// not prepared for this shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Environment to start from
    pub environment: EnvironmentRef,
    /// How large the machine is
    #[command(flatten)]
    #[serde(default)]
    pub shape: Shape,
    /// Which tree becomes /workspace
    #[command(flatten)]
    #[serde(default)]
    pub seed: Seed,
    /// What it may reach
    #[command(flatten)]
    #[serde(default)]
    pub network_policy: NetworkOptions,
    /// How the command runs
    #[command(flatten)]
    #[serde(default)]
    pub options: CommandOptions,
    /// Program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// How a command runs
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub struct CommandOptions {
    /// Kill the command and all its children after this time, such as 30s or 5m
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<TimeSpan>,
    /// Set a variable for the command (can be repeated)
    #[arg(long, value_name = "NAME=VALUE")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<Variable>,
    /// Give the command a secret, in the variable of that name or another one
    /// (can be repeated)
    #[arg(long, value_name = "NAME[=VARIABLE]")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secret: Vec<SecretUse>,
    /// Working directory in the guest [default: /workspace]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
}

impl Run {
    /// Runs `command` in a new machine of the default shape.
    #[must_use]
    pub fn new<S: Into<String>>(
        environment: EnvironmentRef,
        command: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            environment,
            shape: Shape::default(),
            seed: Seed::default(),
            network_policy: NetworkOptions::default(),
            options: CommandOptions::default(),
            command: command.into_iter().map(Into::into).collect(),
        }
    }

    /// The same on a machine of `shape`.
    #[must_use]
    pub fn with_shape(mut self, shape: Shape) -> Self {
        self.shape = shape;
        self
    }

    /// The same with a tree of the host as `/workspace`.
    #[must_use]
    pub fn with_seed(mut self, seed: Seed) -> Self {
        self.seed = seed;
        self
    }

    /// The same with a network.
    #[must_use]
    pub fn with_network(mut self, network: NetworkOptions) -> Self {
        self.network_policy = network;
        self
    }

    /// The same with other options of the command.
    #[must_use]
    pub fn with_options(mut self, options: CommandOptions) -> Self {
        self.options = options;
        self
    }
}

impl Operation for Run {
    type Output = RunResult;
    type Event = CommandEvent;
    const NAME: &'static str = "run";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[
        Example {
            argv: "debian:12 -- git --version",
            json: r#"{"environment": "debian:12", "command": ["git", "--version"]}"#,
        },
        Example {
            argv: "debian:12 --seed-path . --timeout 5m --env CI=1 -- make test",
            json: r#"{"environment": "debian:12", "seed": {"path": "."},
                      "options": {"timeout": "5m", "env": ["CI=1"]}, "command": ["make", "test"]}"#,
        },
        Example {
            argv: "debian:12 --allow deb.local.test -- apt-get update",
            json: r#"{"environment": "debian:12", "network_policy": {"allow": ["deb.local.test"]},
                      "command": ["apt-get", "update"]}"#,
        },
    ];
}

/// Something that a running command did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum CommandEvent {
    /// What its machine starts with is made. Only told when that takes long.
    Preparing {
        /// How far that is.
        progress: WorkProgress,
    },
    /// It runs.
    Started {
        /// The machine that it runs in.
        workspace: WorkspaceId,
    },
    /// It wrote to its standard output.
    Stdout {
        /// What it wrote.
        bytes: OutputBytes,
    },
    /// It wrote to its standard error.
    Stderr {
        /// What it wrote.
        bytes: OutputBytes,
    },
}

impl Present for CommandEvent {
    fn present(&self, screen: &mut Screen) {
        match self {
            Self::Preparing { progress } => progress.present(screen),
            Self::Started { .. } => {}
            Self::Stdout { bytes } => screen.out.extend_from_slice(&bytes.0),
            Self::Stderr { bytes } => screen.err.extend_from_slice(&bytes.0),
        }
    }

    fn progress(&self) -> Option<Progress> {
        match self {
            Self::Preparing { progress } => progress.progress(),
            Self::Started { .. } | Self::Stdout { .. } | Self::Stderr { .. } => None,
        }
    }
}

/// How a command ended and what it wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommandResult {
    /// The exit code that the command line passes on: the command's own, 124
    /// after a timeout, 128 plus the number after a signal.
    pub exit_code: u8,
    /// How it ended.
    pub end: CommandEnd,
    /// How long it ran, by the guest's clock, in milliseconds.
    pub duration_ms: u64,
    /// What it wrote to its standard output.
    pub stdout: CapturedOutput,
    /// What it wrote to its standard error.
    pub stderr: CapturedOutput,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum CommandEnd {
    /// It exited by itself.
    Exited,
    /// A signal ended it.
    Signaled {
        /// Number of the signal.
        signal: i32,
    },
    /// Its time was up; it and its children were killed.
    TimedOut,
}

impl Present for CommandResult {
    fn present(&self, screen: &mut Screen) {
        match self.end {
            CommandEnd::Exited => {}
            CommandEnd::Signaled { signal } => {
                screen.note(format!("hotcell: the command was ended by signal {signal}"));
            }
            CommandEnd::TimedOut => screen.note(format!(
                "hotcell: the command was killed after {:.1} s, its time was up",
                // Display only: precision beyond a tenth is of no interest here.
                std::time::Duration::from_millis(self.duration_ms).as_secs_f64()
            )),
        }
    }

    fn exit_code(&self) -> u8 {
        self.exit_code
    }
}

/// What became of a command in a machine of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunResult {
    /// Id that the machine had; it no longer exists.
    pub workspace: WorkspaceId,
    /// Name of the environment.
    pub environment: EnvironmentRef,
    /// Digest of the environment.
    pub environment_digest: Digest,
    /// What executed the guest.
    pub accelerator: Accelerator,
    /// How large the machine was.
    pub shape: Shape,
    /// What it was seeded with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<SeedReport>,
    /// From the request to a machine that accepts commands, in milliseconds.
    pub create_ms: u64,
    /// The command.
    pub result: CommandResult,
}

impl Present for RunResult {
    fn present(&self, screen: &mut Screen) {
        self.result.present(screen);
    }

    fn exit_code(&self) -> u8 {
        self.result.exit_code
    }
}
