//! batch-state.json, in version 4 of its schema.

use std::collections::BTreeMap;

use batch_api::{RepositoryName, TaskId};
use batch_core::state::{Ending, Halt};
use batch_core::time::Time;
use batch_core::unit::{Class, Phase, Skip, Unit};
use serde::Serialize;

use super::Projection;
use super::events::Totals;

/// The version of the schema.
const SCHEMA_VERSION: u32 = 4;

/// The branch that holds what was merged, in the batch's own repository.
const INTEGRATION: &str = "integration";

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BatchState<'a> {
    schema_version: u32,
    phase: &'static str,
    batch_id: String,
    base_branch: &'a str,
    orch_branch: &'static str,
    mode: &'static str,
    started_at: Time,
    updated_at: Time,
    ended_at: Option<Time>,
    current_wave_index: usize,
    total_waves: usize,
    wave_plan: &'a [Vec<TaskId>],
    lanes: Vec<Lane<'a>>,
    tasks: Vec<Task<'a>>,
    segments: [(); 0],
    merge_results: Vec<MergeResult>,
    #[serde(flatten)]
    totals: Totals,
    blocked_task_ids: Vec<&'a TaskId>,
    last_error: Option<LastError<'a>>,
    errors: &'a [String],
    resilience: Resilience<'a>,
    diagnostics: Diagnostics<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Lane<'a> {
    lane_number: u32,
    lane_id: String,
    lane_session_id: String,
    worktree_path: &'static str,
    branch: String,
    task_ids: Vec<&'a TaskId>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Task<'a> {
    task_id: &'a TaskId,
    lane_number: u32,
    session_name: String,
    status: &'static str,
    task_folder: &'a str,
    started_at: Option<Time>,
    ended_at: Option<Time>,
    done_file_found: bool,
    exit_reason: &'a str,
    repo_id: &'a RepositoryName,
    resolved_repo_id: &'a RepositoryName,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_diagnostic: Option<ExitDiagnostic<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ExitDiagnostic<'a> {
    classification: &'static str,
    exit_code: Option<i32>,
    error_message: &'a str,
    tokens_used: u64,
    context_pct: Option<u8>,
    partial_progress_commits: u32,
    partial_progress_branch: Option<String>,
    duration_sec: u64,
    last_known_step: Option<u32>,
    last_known_checkbox: Option<&'static str>,
    repo_id: &'a RepositoryName,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct MergeResult {
    wave_index: usize,
    status: &'static str,
    failed_lane: Option<u32>,
    failure_reason: Option<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LastError<'a> {
    code: &'static str,
    message: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Resilience<'a> {
    resume_forced: bool,
    retry_count_by_scope: BTreeMap<&'a TaskId, u32>,
    last_failure_class: Option<&'static str>,
    repair_history: [(); 0],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Diagnostics<'a> {
    task_exits: BTreeMap<&'a TaskId, TaskExit>,
    batch_cost: f64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TaskExit {
    classification: &'static str,
    cost: f64,
    duration_sec: u64,
    retries: u32,
}

impl Projection {
    /// The batch as its state file.
    pub(super) fn batch_state(&self) -> BatchState<'_> {
        let units: Vec<&Unit> = self.ordered().collect();
        let is_blocked = |unit: &&&Unit| status(unit.phase) == Status::Blocked;
        let mut failed = units.iter().filter_map(|unit| match unit.phase {
            Phase::Failed { class } => Some(classification(class)),
            _ => None,
        });
        let exits = units.iter().filter(|unit| unit.phase.is_over() && unit.attempt > 0);
        BatchState {
            schema_version: SCHEMA_VERSION,
            phase: self.phase(),
            batch_id: self.batch.to_string(),
            base_branch: &self.base,
            orch_branch: INTEGRATION,
            mode: "repo",
            started_at: self.started,
            updated_at: self.updated,
            ended_at: self.ended,
            current_wave_index: self.wave(),
            total_waves: self.waves.len(),
            wave_plan: &self.waves,
            lanes: self.lanes(&units),
            tasks: units.iter().map(|unit| self.task(unit)).collect(),
            segments: [],
            merge_results: self.merge_results(),
            totals: self.totals(),
            blocked_task_ids: units
                .iter()
                .filter(is_blocked)
                .map(|unit| &unit.spec.unit.task)
                .collect(),
            last_error: self.errors.last().map(|message| LastError { code: "EXEC", message }),
            errors: &self.errors,
            resilience: Resilience {
                resume_forced: false,
                retry_count_by_scope: units
                    .iter()
                    .filter(|unit| unit.attempt > 1)
                    .map(|unit| (&unit.spec.unit.task, unit.attempt - 1))
                    .collect(),
                last_failure_class: failed.next_back(),
                repair_history: [],
            },
            diagnostics: Diagnostics {
                task_exits: exits.map(|unit| (&unit.spec.unit.task, exit(unit))).collect(),
                batch_cost: dollars(self.state.usage.money_micros),
            },
        }
    }

    /// The units in the order in which they are preferred.
    fn ordered(&self) -> impl Iterator<Item = &Unit> {
        let mut units: Vec<&Unit> = self.state.units.values().collect();
        units.sort_by_key(|unit| unit.order);
        units.into_iter()
    }

    /// Taskplane's word for where the batch is.
    pub(super) fn phase(&self) -> &'static str {
        match (self.state.ending, self.state.halt) {
            (Some(Ending::Completed), _) => "completed",
            (Some(_), Some(Halt::Aborted)) | (None, Some(Halt::Aborted)) => "stopped",
            (Some(Ending::Partial | Ending::Failed), _) => "failed",
            (None, Some(Halt::Paused | Halt::Ceiling)) => "paused",
            (None, None) if self.state.spec.is_none() => "launching",
            (None, None) => "executing",
        }
    }

    pub(super) fn totals(&self) -> Totals {
        let mut totals = Totals { total_tasks: self.state.units.len(), ..Totals::default() };
        for unit in self.state.units.values() {
            match status(unit.phase) {
                Status::Succeeded => totals.succeeded_tasks += 1,
                Status::Failed | Status::Stalled => totals.failed_tasks += 1,
                Status::Skipped => totals.skipped_tasks += 1,
                Status::Blocked => totals.blocked_tasks += 1,
                Status::Pending | Status::Running => {}
            }
        }
        totals
    }

    /// The lanes that were ever used, and what was in each.
    fn lanes<'a>(&self, units: &[&'a Unit]) -> Vec<Lane<'a>> {
        let mut lanes: BTreeMap<u32, Lane<'_>> = BTreeMap::new();
        for unit in units.iter().filter(|unit| unit.attempt > 0) {
            let lane_number = self.units.get(unit.id()).map_or(unit.lane, |passage| passage.lane);
            let lane = lanes.entry(lane_number).or_insert_with(|| Lane {
                lane_number,
                lane_id: format!("lane-{lane_number}"),
                lane_session_id: String::new(),
                worktree_path: "",
                branch: String::new(),
                task_ids: Vec::new(),
            });
            lane.task_ids.push(&unit.spec.unit.task);
            if unit.phase.has_lane() || lane.branch.is_empty() {
                lane.branch = unit.attempt_id().to_string();
                lane.lane_session_id = unit.conversation().agent.to_string();
            }
        }
        lanes.into_values().collect()
    }

    fn task<'a>(&'a self, unit: &'a Unit) -> Task<'a> {
        let passage = self.units.get(unit.id());
        let id = &unit.spec.unit;
        let reason = passage.map_or("", |passage| &*passage.reason);
        let has_run = unit.attempt > 0;
        let exit_diagnostic = (unit.phase.is_over() && has_run).then(|| ExitDiagnostic {
            classification: exit(unit).classification,
            exit_code: None,
            error_message: if unit.phase == Phase::Done { "" } else { reason },
            tokens_used: unit.usage.tokens,
            context_pct: None,
            partial_progress_commits: u32::from(unit.phase != Phase::Done && unit.carry.is_some()),
            partial_progress_branch: unit
                .carry
                .as_ref()
                .filter(|_| unit.phase != Phase::Done)
                .map(ToString::to_string),
            duration_sec: unit.worked_ms / 1000,
            last_known_step: (unit.status.steps > 0).then_some(unit.status.checked),
            last_known_checkbox: None,
            repo_id: &id.repository,
        });
        Task {
            task_id: &id.task,
            lane_number: passage.map_or(0, |passage| passage.lane),
            session_name: if has_run {
                unit.conversation().agent.to_string()
            } else {
                String::new()
            },
            status: status(unit.phase).as_str(),
            task_folder: &unit.spec.home,
            started_at: passage.and_then(|passage| passage.started),
            ended_at: passage.and_then(|passage| passage.ended),
            done_file_found: matches!(unit.phase, Phase::Done),
            exit_reason: if unit.phase.is_over() { reason } else { "" },
            repo_id: &id.repository,
            resolved_repo_id: &id.repository,
            exit_diagnostic,
        }
    }

    /// How the merges of each wave went that is over.
    fn merge_results(&self) -> Vec<MergeResult> {
        let result = |(wave_index, wave): (usize, &Vec<TaskId>)| {
            let phases: Vec<Phase> = self.phases(wave).collect();
            if !phases.iter().all(|phase| phase.is_over()) {
                return None;
            }
            let merged = phases.iter().filter(|phase| **phase == Phase::Done).count();
            let status = match merged {
                0 => "failed",
                all if all == phases.len() => "succeeded",
                _ => "partial",
            };
            let failure_reason = (merged < phases.len()).then_some("not every task was merged");
            Some(MergeResult { wave_index, status, failed_lane: None, failure_reason })
        };
        self.waves.iter().enumerate().filter_map(result).collect()
    }
}

/// Taskplane's words for where a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Pending,
    Running,
    Succeeded,
    Failed,
    Stalled,
    Skipped,
    /// Skipped because of what it needs; Taskplane counts these apart.
    Blocked,
}

impl Status {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Stalled => "stalled",
            Self::Skipped | Self::Blocked => "skipped",
        }
    }
}

const fn status(phase: Phase) -> Status {
    match phase {
        Phase::Blocked | Phase::Ready { .. } => Status::Pending,
        Phase::Done => Status::Succeeded,
        Phase::Failed { class: Class::Stalled } => Status::Stalled,
        Phase::Failed { .. } => Status::Failed,
        Phase::Skipped { why: Skip::Dependency } => Status::Blocked,
        Phase::Skipped { .. } => Status::Skipped,
        _ => Status::Running,
    }
}

/// Taskplane's word for a kind of failure.
const fn classification(class: Class) -> &'static str {
    match class {
        Class::Lane | Class::Start => "spawn_failure",
        Class::Crashed | Class::Orphaned => "process_crash",
        Class::Stalled => "stall_timeout",
        Class::Aborted => "user_killed",
        Class::Idle
        | Class::Contexts
        | Class::Conflict
        | Class::Red
        | Class::Trouble
        | Class::Unanswered => "unknown",
    }
}

fn exit(unit: &Unit) -> TaskExit {
    let classification = match unit.phase {
        Phase::Done => "completed",
        Phase::Failed { class } => classification(class),
        _ => "unknown",
    };
    let cost = dollars(unit.usage.money_micros);
    let retries = unit.attempt.saturating_sub(1);
    TaskExit { classification, cost, duration_sec: unit.worked_ms / 1000, retries }
}

/// Millionths of a dollar as dollars.
#[expect(clippy::cast_precision_loss, reason = "readers take a floating point number")]
fn dollars(micros: u64) -> f64 {
    micros as f64 / 1_000_000.0
}
