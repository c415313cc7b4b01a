//! Who gets a lane, and who a context in it.
//!
//! A unit starts as soon as what it needs is merged, a lane is free, and there is
//! memory for it. Among the ready the one that has been ready longest comes first.
//! It is overtaken only while it touches the same files as one in a lane, and never
//! by one that touches the same files as itself; nobody overtakes one that waits for
//! memory, for small ones could keep a large one waiting for ever. So nobody starves.

use std::collections::BTreeSet;

use batch_api::UnitId;

use super::Decider;
use crate::defect::planted;
use crate::fact::Fact;
use crate::unit::{Phase, Skip, Unit};

impl Decider {
    /// Units whose needs are met become ready; those whose needs cannot be met
    /// any more are skipped.
    pub(super) fn unblock(&mut self) {
        let mut next = Vec::new();
        for unit in self.state.units.values().filter(|unit| unit.phase == Phase::Blocked) {
            let of = |task| self.unit(self.state.tasks.get(task)?);
            let needs = || unit.spec.after.iter().filter_map(of);
            let is_lost = |need: &Unit| need.phase.is_over() && !need.phase.is_merged();
            if needs().any(is_lost) {
                next.push((unit.id().clone(), Phase::Skipped { why: Skip::Dependency }));
            } else if needs().all(|need| need.phase.is_merged()) || planted!(DependenciesIgnored) {
                next.push((unit.id().clone(), Phase::Ready { since: self.now }));
            }
        }
        for (id, phase) in next {
            self.enter(&id, phase);
        }
    }

    /// Gives free lanes to ready units.
    pub(super) fn give_lanes(&mut self) {
        let Some(spec) = &self.state.spec else { return };
        let lanes = spec.lanes;
        let in_use = u32::try_from(self.state.in_lanes().count()).unwrap_or(u32::MAX);
        if in_use >= lanes && !planted!(LaneTwice) {
            return;
        }
        // One that was given up in this decision leaves in its next round.
        let wanted = self.state.units.values().filter(|unit| unit.doom.is_none());
        let ready = wanted.filter_map(|unit| match unit.phase {
            Phase::Ready { since } => Some((since, unit.order, unit.id().clone())),
            _ => None,
        });
        let mut ready: Vec<_> = ready.collect();
        ready.sort();
        if planted!(Overtaken) {
            ready.reverse();
        }
        let mut passed: Vec<UnitId> = Vec::new();
        for (_, _, id) in ready {
            let taken: BTreeSet<u32> = self.state.in_lanes().map(|unit| unit.lane).collect();
            let free = (1..=lanes).find(|lane| !taken.contains(lane) || planted!(LaneTwice));
            let (Some(lane), Some(unit)) = (free, self.unit(&id)) else { return };
            let in_lanes = self.state.in_lanes().map(|other| other.id());
            let is_apart = in_lanes.chain(&passed).all(|other| !self.touch(&id, other));
            if unit.rest_until > self.now {
                continue;
            }
            if !is_apart && !planted!(ConflictsTogether) {
                passed.push(id);
                continue;
            }
            if unit.spec.memory_mib > self.free_memory_mib() && !planted!(MemoryIgnored) {
                return;
            }
            self.note_of(&id, Fact::Began { lane });
            self.enter(&id, Phase::Preparing);
        }
    }

    /// How much memory further lanes may take.
    fn free_memory_mib(&self) -> u64 {
        let has = self.state.spec.as_ref().and_then(|spec| spec.memory_mib).unwrap_or(u64::MAX);
        let taken = self.state.in_lanes().map(|unit| unit.spec.memory_mib);
        taken.fold(has, u64::saturating_sub)
    }

    /// Whether two units touch the same files.
    fn touch(&self, one: &UnitId, other: &UnitId) -> bool {
        let says = |one: &UnitId, other: &UnitId| {
            self.unit(one).is_some_and(|unit| unit.spec.apart.contains(&other.task))
        };
        says(one, other) || says(other, one)
    }

    /// Opens contexts in lanes that have work and no agent. What became of a message on
    /// its way into the context before has to be known: if it is in force still, it opens
    /// this one.
    pub(super) fn open_contexts(&mut self) {
        if self.state.limited_until > self.now && !planted!(LimitForgotten) {
            return;
        }
        let idle: Vec<UnitId> = self
            .state
            .in_lanes()
            .filter(|unit| unit.phase == Phase::Resting)
            .filter(|unit| unit.rest_until <= self.now || planted!(RestIgnored))
            .filter(|unit| unit.doom.is_none())
            .filter(|unit| !self.is_injecting(unit.id()))
            .filter(|unit| !self.state.is_waiting(unit.id()) || planted!(WaitIgnored))
            .map(|unit| unit.id().clone())
            .collect();
        for id in &idle {
            self.enter(id, Phase::Opening);
        }
    }
}
