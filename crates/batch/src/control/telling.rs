//! The state of a batch in the words of the contract.

use batch_api::control::status::{
    AgentStatus, BatchState, BatchStatus, BatchSummary, EngineState, FailureCount, UnitState,
    UnitStatus, UsageStatus, WaitStatus,
};
use batch_core::effect::Effect;
use batch_core::state::{Ending, Halt, OpenWait, State};
use batch_core::time::Time;
use batch_core::unit::{Phase, Unit, Usage};
use jiff::Timestamp;
use operation::{ErrorKind, OpError};

use super::setup::SetupFile;
use crate::configuration::limits_told;
use crate::engine::AgentSetup;
use crate::journal::Owner;

/// A moment as the contract tells it.
pub(crate) fn moment(time: Time) -> Result<String, OpError> {
    let milliseconds = i64::try_from(time.0).unwrap_or(i64::MAX);
    let moment = Timestamp::from_millisecond(milliseconds);
    let moment = moment.map_err(|error| OpError::new(ErrorKind::Internal, &error))?;
    Ok(format!("{moment:.3}"))
}

/// Where a batch is.
pub(super) fn state(state: &State) -> BatchState {
    match (state.ending, state.halt) {
        (Some(Ending::Completed), _) => BatchState::Completed,
        (Some(Ending::Partial), _) => BatchState::Partial,
        (Some(Ending::Failed), _) => BatchState::Failed,
        (None, _) if state.spec.is_none() => BatchState::New,
        (None, Some(Halt::Paused)) => BatchState::Paused,
        (None, Some(Halt::Ceiling)) => BatchState::Ceiling,
        (None, Some(Halt::Aborted)) => BatchState::Aborting,
        (None, None) => BatchState::Running,
    }
}

/// Whether a batch has an engine.
pub(super) const fn engine(owner: Owner) -> EngineState {
    match owner {
        Owner::Nobody => EngineState::Never,
        Owner::Alive(_) => EngineState::Alive,
        Owner::Dead(_) => EngineState::Gone,
    }
}

/// A batch in a list.
pub(super) fn summary(
    file: &SetupFile,
    state: &State,
    owner: Owner,
) -> Result<BatchSummary, OpError> {
    let done = state.units.values().filter(|unit| unit.phase == Phase::Done);
    Ok(BatchSummary {
        id: file.setup.batch,
        repository: Some(file.setup.operator.display().to_string()),
        created: Some(moment(file.created)?),
        state: Some(self::state(state)),
        engine: engine(owner),
        units: number(file.spec.units.len()),
        done: number(done.count()),
        waits: number(state.waits.len()),
        trouble: None,
    })
}

/// All that is known of a batch.
pub(super) fn status(
    file: &SetupFile,
    state: &State,
    owner: Owner,
) -> Result<BatchStatus, OpError> {
    // What no engine has planned yet will be what the setup says.
    let unplanned: Vec<Unit> = match state.spec {
        Some(_) => Vec::new(),
        None => {
            file.spec.units.iter().cloned().zip(0..).map(|(spec, at)| Unit::new(spec, at)).collect()
        }
    };
    let mut units: Vec<&Unit> = state.units.values().chain(&unplanned).collect();
    units.sort_by_key(|unit| unit.order);
    Ok(BatchStatus {
        id: file.setup.batch,
        repository: file.setup.operator.display().to_string(),
        created: moment(file.created)?,
        state: self::state(state),
        engine: engine(owner),
        epoch: state.epoch.0,
        owner: file.spec.owner.clone(),
        lanes: file.spec.lanes,
        agent: agent(&file.setup.agent),
        limits: limits_told(&file.spec.limits, file.spec.policy),
        base: file.setup.base.parse().map_err(|error| OpError::new(ErrorKind::Internal, &error))?,
        integration: state.tip.clone(),
        units: units.into_iter().map(|it| unit(it, state)).collect(),
        waits: state.waits.values().map(wait).collect::<Result<_, _>>()?,
        usage: usage(state.usage, state.worked_ms),
        trouble: trouble(state.effects.values().filter(|it| it.subject.unit.is_none())),
        sequence: state.sequence.0,
        followed_until: None,
    })
}

fn agent(agent: &AgentSetup) -> AgentStatus {
    AgentStatus {
        kind: agent.kind.as_str().to_owned(),
        lane: agent.lane.as_str().to_owned(),
        leaves_open: agent.lane.lane().leaves_open().to_owned(),
    }
}

fn unit(unit: &Unit, state: &State) -> UnitStatus {
    UnitStatus {
        id: unit.id().clone(),
        state: unit_state(unit.phase),
        about: unit.phase.to_string(),
        home: unit.spec.home.clone(),
        after: unit.spec.after.clone(),
        lane: unit.phase.has_lane().then_some(unit.lane),
        attempt: unit.attempt,
        contexts: unit.contexts,
        steps: unit.status.steps,
        steps_complete: unit.status.checked,
        usage: usage(unit.usage, unit.worked_ms),
        failures: unit
            .failures
            .iter()
            .map(|(class, times)| FailureCount { what: class.to_string(), times: *times })
            .collect(),
        trouble: trouble(state.effects_of(unit.id())),
    }
}

/// What could not be done the last time, and is tried again.
fn trouble<'e>(effects: impl Iterator<Item = &'e Effect>) -> Option<String> {
    let mut troubled = effects.filter_map(|effect| Some((effect, effect.trouble.as_ref()?)));
    let (effect, why) = troubled.next()?;
    let why: String = why.chars().filter(|c| !c.is_control()).collect();
    Some(format!("{} failed, try {}: {why}", effect.action.kind(), effect.tries))
}

const fn unit_state(phase: Phase) -> UnitState {
    match phase {
        Phase::Blocked => UnitState::Blocked,
        Phase::Ready { .. } => UnitState::Ready,
        Phase::Preparing => UnitState::Preparing,
        Phase::Resting => UnitState::Resting,
        Phase::Opening => UnitState::Opening,
        Phase::Working => UnitState::Working,
        Phase::Interrupting { .. }
        | Phase::Fencing { .. }
        | Phase::Stopping { .. }
        | Phase::Capturing { .. } => UnitState::Ending,
        Phase::Committing => UnitState::Committing,
        Phase::Queued { .. } => UnitState::Queued,
        Phase::Merging | Phase::Verifying | Phase::Advancing => UnitState::Merging,
        Phase::Finishing | Phase::Clearing { .. } => UnitState::Clearing,
        Phase::Done => UnitState::Done,
        Phase::Failed { .. } => UnitState::Failed,
        Phase::Skipped { .. } => UnitState::Skipped,
    }
}

fn wait(open: &OpenWait) -> Result<WaitStatus, OpError> {
    Ok(WaitStatus {
        id: open.wait.id,
        unit: open.unit.clone(),
        reason: open.wait.reason.to_string(),
        owner: open.wait.owner.clone(),
        since: moment(open.since)?,
        deadline: moment(open.wait.deadline)?,
        default: open.wait.default.to_string(),
    })
}

const fn usage(usage: Usage, worked_ms: u64) -> UsageStatus {
    let Usage { tokens, money_micros, calls } = usage;
    UsageStatus { tokens, money_micros, calls, worked_ms }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
