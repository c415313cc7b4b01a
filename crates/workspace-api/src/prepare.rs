//! All one-time work, done ahead.

use std::fmt;

use operation::{Effect, Example, Operation, Present, Progress, ProgressState, Screen, Unit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::spec::{Accelerator, EnvironmentRef, Shape};

/// Do all one-time work, so that workspaces start at once and offline
///
/// Builds the environment, fetches the kernel, boots a machine once and saves it
/// as the template that workspaces of this shape start from. What is there
/// already is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Prepare {
    /// Environment to prepare
    #[arg(default_value_t)]
    #[serde(default)]
    pub environment: EnvironmentRef,
    /// How large the machines are
    #[command(flatten)]
    #[serde(default)]
    pub shape: Shape,
    /// Do the work again even if it is done
    #[arg(long)]
    #[serde(default)]
    pub force: bool,
}

impl Operation for Prepare {
    type Output = Prepared;
    type Event = WorkProgress;
    const NAME: &'static str = "prepare";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[
        Example { argv: "", json: "{}" },
        Example {
            argv: "debian:12-build --cpus 2 --memory-mib 4096",
            json: r#"{"environment": "debian:12-build", "shape": {"cpus": 2, "memory_mib": 4096}}"#,
        },
    ];
}

/// How far a piece of long work is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkProgress {
    /// The piece of work.
    pub task: Task,
    /// What is being done right now.
    pub note: String,
    /// How much is done, in bytes or steps.
    pub done: u64,
    /// How much there is, if that is known.
    pub total: Option<u64>,
    /// Whether this piece of work is finished.
    pub finished: bool,
}

/// A piece of long work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Building or pulling an environment.
    Environment,
    /// Fetching the kernel.
    Kernel,
    /// Booting a machine and saving it.
    Template,
    /// Taking the tree that a workspace starts with.
    Seed,
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "environment",
            Self::Kernel => "kernel",
            Self::Template => "template",
            Self::Seed => "seed",
        })
    }
}

impl Present for WorkProgress {
    fn present(&self, screen: &mut Screen) {
        screen.note(format!("{}: {}", self.task, self.note));
    }

    fn progress(&self) -> Option<Progress> {
        Some(Progress {
            task: self.task.to_string(),
            note: self.note.clone(),
            done: self.done,
            total: self.total,
            unit: Unit::Items,
            state: if self.finished { ProgressState::Finished } else { ProgressState::Running },
        })
    }
}

/// What was done, and how warm the machine is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Prepared {
    /// The environment.
    pub environment: EnvironmentRef,
    /// Its digest.
    pub environment_digest: Digest,
    /// What executes the guests.
    pub accelerator: Accelerator,
    /// The shape that was prepared.
    pub shape: Shape,
    /// What was done, in order.
    pub steps: Vec<PreparedStep>,
    /// How warm the machine is for this environment and shape.
    pub warmth: Warmth,
    /// Disk space of the template, in bytes.
    pub template_disk_bytes: u64,
}

/// One piece of work of a `prepare`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PreparedStep {
    /// The piece of work.
    pub task: Task,
    /// What became of it.
    pub outcome: StepOutcome,
    /// What it took, in milliseconds.
    pub duration_ms: u64,
}

/// What became of a piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// It was done.
    Done,
    /// It had been done before.
    AlreadyDone,
}

/// How warm the machine is for one environment and shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Warmth {
    /// A template is there; workspaces start at once.
    Warm,
    /// A template is there, but something that it was made from has changed.
    Stale,
    /// There is no template.
    Cold,
}

impl fmt::Display for Warmth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warm => "warm",
            Self::Stale => "stale",
            Self::Cold => "cold",
        })
    }
}

impl Present for Prepared {
    fn present(&self, screen: &mut Screen) {
        for step in &self.steps {
            let outcome = match step.outcome {
                StepOutcome::Done => {
                    let seconds = std::time::Duration::from_millis(step.duration_ms).as_secs_f64();
                    format!("done in {seconds:.1} s")
                }
                StepOutcome::AlreadyDone => "already there".to_owned(),
            };
            screen.line(format!("{:<12} {outcome}", step.task.to_string()));
        }
        screen.line(format!(
            "{} is {} for {} ({})",
            self.environment, self.warmth, self.shape, self.accelerator
        ));
    }
}
