//! Agents: they work, answer, and escalate; and they crash, hang, lie, repeat
//! themselves and leave things running.

use batch_api::{Actor, ConversationId, Epoch, MessageId, WaitId};

use super::client::Request;
use super::plan::Scenario;
use super::world::{Event, World};
use crate::decide::{Command, Observation};
use crate::mail::Text;
use crate::time::Time;
use crate::unit::{Answer, Status, Usage};

#[derive(Debug)]
pub(super) struct Agent {
    pub(super) conversation: ConversationId,
    epoch: Epoch,
    pub(super) is_alive: bool,
    /// Whether something it started is still running.
    pub(super) lingers: bool,
    pub(super) is_interrupted: bool,
    /// Whether it has ended its turn.
    pub(super) is_idle: bool,
    /// Since when it does nothing any more.
    hung_at: Option<u64>,
    pub(super) unanswered: Vec<MessageId>,
    acts: u32,
    asks: u32,
}

impl Agent {
    pub(super) const fn new(
        conversation: ConversationId,
        epoch: Epoch,
        unanswered: Vec<MessageId>,
    ) -> Self {
        Self {
            conversation,
            epoch,
            is_alive: true,
            lingers: false,
            is_interrupted: false,
            is_idle: false,
            hung_at: None,
            unanswered,
            acts: 0,
            asks: 0,
        }
    }
}

impl World {
    /// An agent's turn goes on. What the engine sees of it is returned.
    pub(super) fn act(&mut self, conversation: &ConversationId) -> Vec<Observation> {
        let Some(agent) = self.agents.get_mut(conversation) else { return Vec::new() };
        if !agent.is_alive || agent.is_idle || agent.hung_at.is_some() {
            return Vec::new();
        }
        if agent.is_interrupted {
            agent.is_idle = true;
            return vec![Observation::TurnEnded];
        }
        agent.acts += 1;
        let acts = agent.acts;
        if self.trouble(20) {
            return self.leave(conversation, Observation::Exited);
        }
        if self.trouble(15) {
            let now = self.now;
            self.change(conversation, |agent| agent.hung_at = Some(now));
            return Vec::new();
        }
        if self.trouble(15) {
            let until = Time(self.now + 600_000);
            return vec![Observation::Limited { until }];
        }
        let mut seen =
            vec![Observation::Used { usage: Usage { tokens: 100, money_micros: 200, calls: 1 } }];
        if self.trouble(40) {
            let percent = if self.random.chance(500) { 86 } else { 96 };
            seen.push(Observation::Context { percent });
        }
        let unanswered = self.agents.get(conversation).and_then(|agent| agent.unanswered.first());
        if let Some(message) = unanswered.copied() {
            seen.push(Observation::Saw { message });
            self.change(conversation, |agent| {
                agent.unanswered.remove(0);
            });
            if !self.trouble(150) {
                let text = "done as you say".parse().expect("a text");
                self.ask(conversation, Command::Reply { to: message, text });
            }
        } else if acts > 2 && self.trouble(30) {
            let text = "which of the two is meant?".parse().expect("a text");
            self.ask(conversation, Command::Escalate { text });
        } else if self.trouble(25) {
            self.rule_for_itself(conversation);
        } else {
            seen.extend(self.work(conversation));
        }
        let is_over = matches!(seen.last(), Some(Observation::TurnEnded | Observation::Exited));
        if !is_over {
            let delay = self.random.between(500, 20_000);
            self.after(delay, Event::Act(conversation.clone()));
        }
        seen
    }

    /// An agent that does nothing any more is noticed, once engines stop dying.
    pub(super) fn check_hung(&mut self) {
        // The clock may have been set back.
        const NOTICED_MS: u64 = 600_000 + Scenario::CLOCK_MS_MAX;
        let latest = self.scenario.spec.limits.stall_ms + NOTICED_MS;
        let is_old = |at: u64| self.now > at.max(self.troubled_until) + latest;
        let of = |agent: &&Agent| agent.is_alive && agent.hung_at.is_some_and(is_old);
        let unnoticed = self.agents.values().find(of).map(|agent| agent.conversation.clone());
        if let Some(conversation) = unnoticed {
            self.broken(format!("{conversation} hangs, and nobody notices"));
        }
    }

    fn change(&mut self, conversation: &ConversationId, change: impl FnOnce(&mut Agent)) {
        if let Some(agent) = self.agents.get_mut(conversation) {
            change(agent);
        }
    }

    /// The agent's process ends; what it started may not.
    fn leave(&mut self, conversation: &ConversationId, how: Observation) -> Vec<Observation> {
        self.change(conversation, |agent| agent.is_alive = false);
        vec![how]
    }

    fn ask(&mut self, conversation: &ConversationId, command: Command) {
        let Some(agent) = self.agents.get_mut(conversation) else { return };
        agent.asks += 1;
        let number = agent.asks;
        let name = conversation.to_string().replace(['@', '/', '#', ':', '~'], "_");
        let request = Request {
            request: format!("{name}_{number}").parse().expect("an id"),
            actor: Actor::Agent(conversation.agent.clone()),
            command,
            epoch: Some(agent.epoch),
        };
        // The gateway repeats what was not answered, and sometimes what was.
        let is_repeated = self.trouble(200);
        self.after(50, Event::Ask(request.clone()));
        if is_repeated {
            self.after(5_000, Event::Ask(request));
        }
    }

    /// An agent that asks, and would rather decide for itself.
    fn rule_for_itself(&mut self, conversation: &ConversationId) {
        let text: Text = "may I go on?".parse().expect("a text");
        self.ask(conversation, Command::Escalate { text: text.clone() });
        let unit = Some(conversation.agent.attempt.unit.clone());
        let wait = WaitId::numbered(self.random.between(1, 3));
        self.ask(conversation, Command::Rule { wait, unit, answer: Answer::Go, text });
    }

    /// Does the next step, or lies about it, or ends its turn.
    fn work(&mut self, conversation: &ConversationId) -> Vec<Observation> {
        let unit = conversation.agent.attempt.unit.clone();
        let pieces = self.scenario.pieces(&unit);
        let steps = self.scenario.steps(&unit);
        if self.trouble(40) {
            let status = Status { steps, checked: steps, revise: 0 };
            return self.end_turn(conversation, vec![Observation::Status { status }]);
        }
        if self.trouble(40) {
            self.change(conversation, |agent| agent.lingers = true);
            self.after(2_000, Event::Linger(conversation.clone()));
        }
        let missing = pieces.iter().find(|piece| !self.holds(conversation, piece)).cloned();
        match missing {
            Some(piece) => {
                self.write(conversation, piece);
                let checked = pieces.iter().filter(|p| self.holds(conversation, p)).count();
                let checked = u32::try_from(checked).expect("few steps");
                let revise = u32::from(self.trouble(100));
                let mut seen =
                    vec![Observation::Status { status: Status { steps, checked, revise } }];
                if self.trouble(60) {
                    seen = self.end_turn(conversation, seen);
                }
                seen
            }
            None => {
                let status = Status { steps, checked: steps, revise: 0 };
                self.end_turn(conversation, vec![Observation::Status { status }])
            }
        }
    }

    fn end_turn(
        &mut self,
        conversation: &ConversationId,
        mut seen: Vec<Observation>,
    ) -> Vec<Observation> {
        self.change(conversation, |agent| agent.is_idle = true);
        seen.push(Observation::TurnEnded);
        seen
    }

    fn holds(&self, conversation: &ConversationId, piece: &str) -> bool {
        let attempt = &conversation.agent.attempt;
        let lane = self.git.lanes.values().find(|lane| lane.attempt == *attempt);
        lane.is_some_and(|lane| lane.tree.contains(piece))
    }

    /// Writes through the gateway, which lets only the agent of now through.
    fn write(&mut self, conversation: &ConversationId, piece: String) {
        let (attempt, fence) = (&conversation.agent.attempt, self.fence);
        let epoch = self.agents.get(conversation).map(|agent| agent.epoch);
        let lane = self.git.lanes.values_mut().find(|lane| lane.attempt == *attempt);
        let Some(lane) = lane else { return };
        if lane.admits.as_ref() == Some(conversation) && epoch.is_some_and(|epoch| epoch >= fence) {
            lane.tree.insert(piece.clone());
            self.written.insert(piece);
        } else {
            self.coverage.refused += 1;
        }
    }

    /// Something that an agent left running writes, inside its lane.
    pub(super) fn linger(&mut self, conversation: &ConversationId) {
        let lingers = self.agents.get(conversation).is_some_and(|agent| agent.lingers);
        if !lingers {
            return;
        }
        let attempt = &conversation.agent.attempt;
        let lane = self.git.lanes.values_mut().find(|lane| lane.attempt == *attempt);
        if let Some(lane) = lane {
            let piece = format!("{conversation} left at {}", self.now);
            lane.tree.insert(piece.clone());
            self.written.insert(piece);
        }
        let delay = self.random.between(200, 3_000);
        self.after(delay, Event::Linger(conversation.clone()));
    }
}
