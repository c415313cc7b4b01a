//! Who gets a lane, and who a context in it.
//!
//! A unit starts as soon as what it needs is merged. Among the ready the one that
//! has been ready longest comes first, and nobody who touches the same files as
//! one before him overtakes: so nobody starves.

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
        let ready = self.state.units.values().filter_map(|unit| match unit.phase {
            Phase::Ready { since } => Some((since, unit.order, unit.id().clone())),
            _ => None,
        });
        let mut ready: Vec<_> = ready.collect();
        ready.sort();
        let mut passed: Vec<UnitId> = Vec::new();
        for (_, _, id) in ready {
            let taken: BTreeSet<u32> = self.state.in_lanes().map(|unit| unit.lane).collect();
            let free = (1..=lanes).find(|lane| !taken.contains(lane) || planted!(LaneTwice));
            let (Some(lane), Some(unit)) = (free, self.unit(&id)) else { return };
            let in_lanes = self.state.in_lanes().map(|other| other.id());
            let is_apart = in_lanes.chain(&passed).all(|other| !self.touch(&id, other));
            if unit.rest_until <= self.now && (is_apart || planted!(ConflictsTogether)) {
                self.note_of(&id, Fact::Began { lane });
                self.enter(&id, Phase::Preparing);
            } else if unit.rest_until <= self.now {
                passed.push(id);
            }
        }
    }

    /// Whether two units touch the same files.
    fn touch(&self, one: &UnitId, other: &UnitId) -> bool {
        let says = |one: &UnitId, other: &UnitId| {
            self.unit(one).is_some_and(|unit| unit.spec.apart.contains(&other.task))
        };
        says(one, other) || says(other, one)
    }

    /// Opens contexts in lanes that have work and no agent.
    pub(super) fn open_contexts(&mut self) {
        if self.state.limited_until > self.now && !planted!(LimitForgotten) {
            return;
        }
        let idle: Vec<UnitId> = self
            .state
            .in_lanes()
            .filter(|unit| unit.phase == Phase::Resting && unit.rest_until <= self.now)
            .filter(|unit| unit.doom.is_none())
            .filter(|unit| !self.state.is_waiting(unit.id()) || planted!(WaitIgnored))
            .map(|unit| unit.id().clone())
            .collect();
        for id in &idle {
            self.enter(id, Phase::Opening);
        }
    }
}
