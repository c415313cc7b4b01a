//! The simulated world, held to the contract of the real one.

use std::ops::ControlFlow;

use batch_api::{AttemptId, CommitName, ConversationId, Epoch};

use super::{Crashes, Live, Run};
use crate::decide::Input;
use crate::drive::contract::{Holder, Rig, check};
use crate::drive::{Order, Ports};
use crate::integration::Course;
use crate::simulation::plan::Scenario;
use crate::simulation::random::Random;
use crate::spec::BatchSpec;
use crate::state::State;
use crate::time::Time;

/// A world in which nothing goes wrong but what the contract does wrong: the
/// simulation's own judgement of that is not asked.
struct Calm(Run);

impl Ports for Calm {
    fn now(&self) -> Time {
        self.0.now()
    }

    fn carry_out(&mut self, epoch: Epoch, orders: Vec<Order>, state: &State) -> ControlFlow<()> {
        self.0.live = Some(Live { epoch, inbox: Vec::new() });
        self.0.carry_out(epoch, orders, state)
    }

    fn wait(&mut self, state: &State, wake: Option<Time>) -> Option<Vec<Input>> {
        loop {
            let inputs = self.0.wait(state, wake);
            self.0.client.broken.clear();
            if inputs.is_some() || self.0.world.broken.is_empty() {
                return inputs;
            }
            self.0.world.broken.clear();
        }
    }
}

impl Rig for Calm {
    type Ports = Self;

    fn spec(&self) -> BatchSpec {
        self.0.world.scenario.spec.clone()
    }

    fn ports(&mut self, epoch: Epoch) -> &mut Self {
        if !self.0.is_live(epoch) {
            self.0.live = Some(Live { epoch, inbox: Vec::new() });
        }
        self
    }

    fn wanted(&self) -> [String; 2] {
        let scenario = &self.0.world.scenario;
        scenario.pieces(&scenario.spec.units[0].unit).try_into().expect("two pieces")
    }

    fn write(&mut self, attempt: &AttemptId, piece: &str) {
        let lanes = self.0.world.git.lanes.values_mut();
        for lane in lanes.filter(|lane| lane.attempt == *attempt) {
            lane.tree.insert(piece.to_owned());
        }
    }

    fn lane_holds(&mut self, attempt: &AttemptId, piece: &str) -> bool {
        let mut lanes = self.0.world.git.lanes.values();
        lanes.any(|lane| lane.attempt == *attempt && lane.tree.contains(piece))
    }

    fn commit_holds(&mut self, commit: &CommitName, piece: &str) -> bool {
        self.0.world.git.tree(commit).contains(piece)
    }

    fn operator_holds(&mut self, at: Holder, commit: &CommitName) -> bool {
        let name = |text: &str| text.parse().expect("a name");
        let course = match at {
            Holder::Main => Course::Forward { into: name("main") },
            Holder::Origin => Course::Push { remote: name("origin") },
        };
        self.0.world.git.has_arrived(commit, &course)
    }

    fn operator_moves_on(&mut self) {
        self.0.world.git.operator.has_moved_on = true;
    }

    fn is_alive(&mut self, conversation: &ConversationId) -> bool {
        let agent = self.0.world.agents.get(conversation);
        agent.is_some_and(|agent| agent.is_alive || agent.lingers)
    }
}

#[test]
fn the_simulated_world_keeps_the_contract() {
    for seed in 0..50 {
        let mut random = Random::of(seed);
        let scenario = Scenario::calm(&mut random);
        check(Calm(Run::new(scenario, random, Crashes::At(0))));
    }
}
