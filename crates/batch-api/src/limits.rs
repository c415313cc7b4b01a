//! When a batch gives up, as it is told.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When a batch gives up, and on what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BatchLimits {
    /// What one task may use before its owner is asked.
    pub task: CeilingLimits,
    /// What the batch may use before its owner is asked.
    pub batch: CeilingLimits,
    /// How long an agent may show no progress, in milliseconds.
    pub stall_timeout_ms: u64,
    /// How long somebody has to answer what waits before its default is taken, in
    /// milliseconds.
    pub hold_timeout_ms: u64,
    /// How many contexts an attempt may have.
    pub max_worker_iterations: u32,
    /// How often a task is tried again after failures of the same kind, at most.
    pub max_retries: u32,
    /// What happens to the others when a task fails: `skip-dependents`, `stop-new` or
    /// `stop-all`.
    pub on_task_failure: String,
}

/// What may be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CeilingLimits {
    /// Time with an agent at work, in milliseconds.
    pub time_ms: u64,
    /// Tokens, in and out.
    pub tokens: u64,
    /// Money, in millionths of a dollar.
    pub money_micros: u64,
}
