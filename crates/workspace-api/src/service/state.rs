//! The states of a service, and the only judge of legal steps.
//!
//! ```text
//!         start          run             pass            sicken
//! stopped ──────▶ waiting ───▶ starting ──────▶ ready ◀──────────▶ unhealthy
//!    ▲ ▲            │ ▲           │  retry       │       pass          │
//!    │ │            │ │ run       ▼              ▼                     ▼
//!    │ │            │ └────── backing off ◀──────┴─────────────────────┘
//!    │ └── finish, halt ─── starting, ready, unhealthy …
//!    │
//!    └─── stopped ─── stopping ◀─── stop ─── any of these
//!
//! any of these ─── give up ──▶ failed        any of these ─── lose ──▶ lost
//! ```

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServiceState {
    /// It waits until the services are ready that it comes after.
    Waiting,
    /// Its process runs and has not passed its check yet.
    Starting,
    /// Its process runs and has passed its check.
    Ready,
    /// Its process runs and does not pass its check any more.
    Unhealthy,
    /// Its process ended; another one is started soon.
    BackingOff,
    /// Its process was asked to end.
    Stopping,
    /// It was stopped, its process ended as it should, or its machine was
    /// stopped.
    Stopped,
    /// Its process failed, and no other is started.
    Failed,
    /// It is gone with its machine or its keeper.
    Lost,
}

/// Something that moves a service from one state to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServiceStep {
    /// Somebody has it started.
    Start,
    /// What it comes after is ready, or it waited long enough: its process is
    /// started.
    Run,
    /// Its check passed.
    Pass,
    /// Its check failed too often.
    Sicken,
    /// Its process ended, and another one is to be started.
    Retry,
    /// Its process ended as it should, by itself.
    Finish,
    /// It failed for good.
    GiveUp,
    /// Somebody has it stopped.
    Stop,
    /// Its process has ended after that.
    Stopped,
    /// Its machine was stopped or put back.
    Halt,
    /// Its machine or its keeper is gone.
    Lose,
}

/// The state after `step`, or the refusal of a step that is not legal.
///
/// # Errors
///
/// If the step is not legal in that state.
pub const fn next(state: ServiceState, step: ServiceStep) -> Result<ServiceState, IllegalStep> {
    use ServiceState as S;
    use ServiceStep as T;
    match (state, step) {
        (S::Stopped | S::Failed | S::Lost, T::Start) => Ok(S::Waiting),
        (S::Waiting | S::BackingOff, T::Run) => Ok(S::Starting),
        (S::Starting | S::Unhealthy, T::Pass) => Ok(S::Ready),
        (S::Ready, T::Sicken) => Ok(S::Unhealthy),
        (S::Starting | S::Ready | S::Unhealthy, T::Retry) => Ok(S::BackingOff),
        (S::Starting | S::Ready | S::Unhealthy, T::Finish) => Ok(S::Stopped),
        (S::Waiting | S::Starting | S::Ready | S::Unhealthy | S::BackingOff, T::GiveUp) => {
            Ok(S::Failed)
        }
        (S::Waiting | S::Starting | S::Ready | S::Unhealthy | S::BackingOff, T::Stop) => {
            Ok(S::Stopping)
        }
        (S::Stopping, T::Stopped) => Ok(S::Stopped),
        (
            S::Waiting | S::Starting | S::Ready | S::Unhealthy | S::BackingOff | S::Stopping,
            T::Halt,
        ) => Ok(S::Stopped),
        (
            S::Waiting | S::Starting | S::Ready | S::Unhealthy | S::BackingOff | S::Stopping,
            T::Lose,
        ) => Ok(S::Lost),
        (
            S::Waiting | S::Starting | S::Ready | S::Unhealthy | S::BackingOff | S::Stopping,
            T::Start,
        )
        | (
            S::Starting | S::Ready | S::Unhealthy | S::Stopping | S::Stopped | S::Failed | S::Lost,
            T::Run,
        )
        | (
            S::Waiting | S::Ready | S::BackingOff | S::Stopping | S::Stopped | S::Failed | S::Lost,
            T::Pass,
        )
        | (
            S::Waiting
            | S::Starting
            | S::Unhealthy
            | S::BackingOff
            | S::Stopping
            | S::Stopped
            | S::Failed
            | S::Lost,
            T::Sicken,
        )
        | (
            S::Waiting | S::BackingOff | S::Stopping | S::Stopped | S::Failed | S::Lost,
            T::Retry | T::Finish,
        )
        | (S::Stopping | S::Stopped | S::Failed | S::Lost, T::GiveUp | T::Stop)
        | (
            S::Waiting
            | S::Starting
            | S::Ready
            | S::Unhealthy
            | S::BackingOff
            | S::Stopped
            | S::Failed
            | S::Lost,
            T::Stopped,
        )
        | (S::Stopped | S::Failed | S::Lost, T::Halt | T::Lose) => Err(IllegalStep { state, step }),
    }
}

/// A step that is not legal in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{step:?}` is not possible while the service is {state}")]
pub struct IllegalStep {
    /// The state.
    pub state: ServiceState,
    /// The step.
    pub step: ServiceStep,
}

impl ServiceState {
    /// Whether somebody looks after it: it has a process, or is to have one.
    #[must_use]
    pub const fn is_live(self) -> bool {
        match self {
            Self::Waiting
            | Self::Starting
            | Self::Ready
            | Self::Unhealthy
            | Self::BackingOff
            | Self::Stopping => true,
            Self::Stopped | Self::Failed | Self::Lost => false,
        }
    }

    /// The state as words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Unhealthy => "unhealthy",
            Self::BackingOff => "backing off",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Lost => "lost",
        }
    }
}

impl fmt::Display for ServiceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [ServiceState; 9] = [
        ServiceState::Waiting,
        ServiceState::Starting,
        ServiceState::Ready,
        ServiceState::Unhealthy,
        ServiceState::BackingOff,
        ServiceState::Stopping,
        ServiceState::Stopped,
        ServiceState::Failed,
        ServiceState::Lost,
    ];

    #[test]
    fn what_is_live_can_be_lost_and_halted_and_what_is_not_can_be_started() {
        for state in STATES {
            assert_eq!(next(state, ServiceStep::Lose).is_ok(), state.is_live(), "{state}");
            assert_eq!(next(state, ServiceStep::Halt).is_ok(), state.is_live(), "{state}");
            assert_eq!(next(state, ServiceStep::Start).is_ok(), !state.is_live(), "{state}");
        }
    }

    #[test]
    fn whoever_is_asked_to_stop_does_nothing_else_first() {
        use ServiceStep::*;
        for step in [Start, Run, Pass, Sicken, Retry, Finish, GiveUp, Stop] {
            assert!(next(ServiceState::Stopping, step).is_err(), "{step:?}");
        }
        assert_eq!(next(ServiceState::Stopping, Stopped), Ok(ServiceState::Stopped));
    }
}
