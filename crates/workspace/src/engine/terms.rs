//! Small translations between the contract's words and those of other crates.

use std::time::Instant;

use environment::{BuildOutcome, CuratedEnvironment, EnvironmentRecord, catalog};
use jiff::Timestamp;
use operation::{ErrorKind, OpError};
use workspace_api::digest::Digest;
use workspace_api::prepare::StepOutcome;
use workspace_api::spec::{Accelerator, EnvironmentRef, Shape};

/// A moment as it is told: RFC 3339 in UTC, to the second.
pub(super) fn shown(moment: Timestamp) -> String {
    Timestamp::from_second(moment.as_second()).unwrap_or(moment).to_string()
}

/// Whole milliseconds since `begun`.
pub(super) fn milliseconds(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// What the contract calls an environment's content.
pub(super) fn digest(environment: &EnvironmentRecord) -> Digest {
    format!("sha256:{}", environment.manifest.digest.digits())
        .parse()
        .expect("the library's digests are digests")
}

/// The contract's accelerator, for a machine.
pub(super) const fn to_machine(accelerator: Accelerator) -> machine::Accelerator {
    match accelerator {
        Accelerator::Kvm => machine::Accelerator::Kvm,
        Accelerator::Tcg => machine::Accelerator::Tcg,
    }
}

/// A machine's accelerator, for the contract.
pub(super) const fn from_machine(accelerator: machine::Accelerator) -> Accelerator {
    match accelerator {
        machine::Accelerator::Kvm => Accelerator::Kvm,
        machine::Accelerator::Tcg => Accelerator::Tcg,
    }
}

/// The contract's size of a machine, for a machine.
pub(super) const fn to_shape(shape: Shape) -> machine::Shape {
    machine::Shape { cpus: shape.cpus, memory_mib: shape.memory_mib }
}

/// A machine's size, for the contract.
pub(super) const fn from_shape(shape: machine::Shape) -> Shape {
    Shape { cpus: shape.cpus, memory_mib: shape.memory_mib }
}

/// What became of a build, for the contract.
pub(super) const fn to_outcome(outcome: BuildOutcome) -> StepOutcome {
    match outcome {
        BuildOutcome::Built => StepOutcome::Done,
        BuildOutcome::AlreadyPresent => StepOutcome::AlreadyDone,
    }
}

/// The catalog's entry of that name.
pub(super) fn curated(name: &EnvironmentRef) -> Option<&'static CuratedEnvironment> {
    catalog().iter().find(|curated| curated.name == name.as_str())
}

/// The error of a name that means nothing and can be built neither.
pub(super) fn unknown(name: &EnvironmentRef) -> OpError {
    let names: Vec<&str> = catalog().iter().map(|curated| curated.name).collect();
    OpError::plain(ErrorKind::NotFound, format!("there is no environment `{name}`"))
        .hinted(format!("those that can be built are {}", names.join(", ")))
}
