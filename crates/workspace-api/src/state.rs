//! The states of a workspace, and the only judge of legal steps.
//!
//! ```text
//!           ready          stop, machine ended
//! creating ───────▶ running ─────────────────▶ stopped ◀─────────────┐
//!                    ▲   │ hibernate             │  ▲ stop           │ machine ended
//!                    │   ▼                 start │  │                │
//!              ready │  hibernated ──────────────│──┘                │
//!                    │   ▲  │ start              ▼                   │
//!                    │   │  └───────────────▶ starting ──────────────┘
//!                    │   └── put back ──────────┘ │
//!                    └────────────────────────────┘
//!
//! any but deleted ── delete ──▶ deleted (tombstone)
//! ```

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The state of a workspace.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum WorkspaceState {
    /// Its keeper is starting the machine.
    Creating,
    /// Its machine runs.
    Running,
    /// Its disks exist, its machine does not.
    Stopped,
    /// Its disks and its memory exist, its machine does not.
    Hibernated,
    /// Its keeper is booting a machine from its disks, or resumes it from its
    /// memory.
    Starting,
    /// Nothing is left but the record.
    Deleted,
}

/// Something that moves a workspace from one state to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The machine runs.
    Ready,
    /// The machine is gone: it failed, or its keeper did.
    MachineEnded,
    /// The machine was stopped, or its memory given up.
    Stop,
    /// The machine was put aside with its memory.
    Hibernate,
    /// It could not be resumed, and is as it was before.
    PutBack,
    /// Somebody has it started again.
    Start,
    /// Somebody deleted it.
    Delete,
}

/// The state after `step`, or the refusal of a step that is not legal.
///
/// # Errors
///
/// If the step is not legal in that state.
pub const fn next(state: WorkspaceState, step: Step) -> Result<WorkspaceState, IllegalStep> {
    use WorkspaceState::{Creating, Deleted, Hibernated, Running, Starting, Stopped};
    match (state, step) {
        (Creating | Starting, Step::Ready) => Ok(Running),
        (Creating | Starting | Running, Step::MachineEnded)
        | (Running | Hibernated, Step::Stop) => Ok(Stopped),
        (Running, Step::Hibernate) | (Starting, Step::PutBack) => Ok(Hibernated),
        (Stopped | Hibernated, Step::Start) => Ok(Starting),
        (Creating | Starting | Running | Stopped | Hibernated, Step::Delete) => Ok(Deleted),
        (Running | Stopped | Hibernated | Deleted, Step::Ready)
        | (Stopped | Hibernated | Deleted, Step::MachineEnded)
        | (Creating | Starting | Stopped | Deleted, Step::Stop)
        | (Creating | Starting | Stopped | Hibernated | Deleted, Step::Hibernate)
        | (Creating | Running | Stopped | Hibernated | Deleted, Step::PutBack)
        | (Creating | Starting | Running | Deleted, Step::Start)
        | (Deleted, Step::Delete) => Err(IllegalStep { state, step }),
    }
}

/// A step that is not legal in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{step:?}` is not possible while the workspace is {state}")]
pub struct IllegalStep {
    /// The state.
    pub state: WorkspaceState,
    /// The step.
    pub step: Step,
}

impl WorkspaceState {
    /// The state as a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Hibernated => "hibernated",
            Self::Starting => "starting",
            Self::Deleted => "deleted",
        }
    }
}

impl fmt::Display for WorkspaceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
