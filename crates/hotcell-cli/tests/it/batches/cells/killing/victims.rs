//! What is killed: processes that a batch has on the host, of all kinds.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde::Serialize;

use super::super::scene::Scene;
use crate::support::*;

/// How often an agent of a unit may have crashed when another crash is caused: with the
/// ones that are not in the journal yet it stays within what a unit is allowed.
const CRASHES_BORNE: usize = 1;

/// How long after a crash was caused it is in the journal.
const CRASH_TOLD: Duration = Duration::from_secs(10);

/// A kind of process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Victim {
    Engine,
    /// An agent, its warden, or a tool that it has started.
    Agent,
    Keeper,
    /// The monitor of a workspace, which is its machine.
    Machine,
    Model,
}

/// What was killed how often, and how often somebody was asked something because of it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Killed {
    engines: u32,
    agents: u32,
    keepers: u32,
    machines: u32,
    models: u32,
    pub(super) asked: usize,
}

impl Killed {
    pub(super) const fn all(&self) -> u32 {
        self.engines + self.agents + self.keepers + self.machines + self.models
    }

    pub(super) fn count(&mut self, victim: Victim, is_dead: bool) {
        let count = match victim {
            Victim::Engine => &mut self.engines,
            Victim::Agent => &mut self.agents,
            Victim::Keeper => &mut self.keepers,
            Victim::Machine => &mut self.machines,
            Victim::Model => &mut self.models,
        };
        *count += u32::from(is_dead);
    }
}

impl Victim {
    pub(super) fn any(chance: &mut Rng) -> Self {
        match chance.u8(0..10) {
            0..=2 => Self::Engine,
            3..=4 => Self::Agent,
            5..=6 => Self::Keeper,
            7 => Self::Machine,
            _ => Self::Model,
        }
    }

    /// Whether agents cannot go on without it.
    pub(super) const fn crashes_agents(self) -> bool {
        matches!(self, Self::Agent | Self::Model)
    }

    /// Kills one of those that a batch has, if it has any.
    pub(super) fn kill(self, scene: &Scene, chance: &mut Rng) -> bool {
        let mut pids = match self {
            Self::Agent => scene.agents(),
            Self::Keeper => named(scene.workspaces(), "hotcell"),
            Self::Machine => named(scene.workspaces(), "qemu"),
            Self::Engine | Self::Model => Vec::new(),
        };
        chance.shuffle(&mut pids);
        pids.into_iter().any(|pid| {
            let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).is_ok()
        })
    }
}

impl Scene {
    /// Whether another crash of agents takes no unit beyond what it is allowed; `last`
    /// is when one was caused.
    pub(super) fn bears_a_crash(&self, last: Option<Instant>) -> bool {
        let is_told = last.is_none_or(|last| last.elapsed() > CRASH_TOLD);
        is_told && self.failures_max() <= CRASHES_BORNE
    }
}

/// The processes of workspaces that bear a name.
fn named(workspaces: Vec<PathBuf>, name: &str) -> Vec<u32> {
    let all = workspaces.iter().flat_map(|directory| processes_of(directory));
    all.filter(|pid| is_named(*pid, name)).collect()
}

fn is_named(pid: u32, name: &str) -> bool {
    let file = Path::new("/proc").join(pid.to_string()).join("comm");
    std::fs::read_to_string(file).unwrap_or_default().starts_with(name)
}
