//! The world that a simulated engine acts on: what is done, when, and what can
//! be found out about it afterwards. It notes every broken promise.

use std::collections::{BTreeMap, BTreeSet};

use batch_api::{CommitName, ConversationId, EffectId, Epoch, MessageId, UnitId};

use super::agents::Agent;
use super::coverage::Coverage;
use super::git::{Git, Lane, Piece, tree_name};
use super::plan::Scenario;
use super::random::Random;
use crate::effect::{Action, Effect, Found, Outcome};
use crate::spec::Receipts;

/// What happens at some time.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// An effect is done, unless something came in between.
    Do { epoch: Epoch, effect: Effect },
    /// An engine hears how an effect ended.
    Hear { epoch: Epoch, effect: Effect, outcome: Outcome },
    /// Something looks an effect up.
    LookUp { epoch: Epoch, effect: Effect },
    /// An engine hears what was found.
    HearFound { epoch: Epoch, effect: Effect, found: Found },
    /// An agent does something.
    Act(ConversationId),
    /// Something that an agent left running does something.
    Linger(ConversationId),
    /// An agent's request reaches whichever engine is there.
    Ask(super::client::Request),
    /// The client does something.
    Client,
    /// An engine takes over,
    Restart,
    /// and begins.
    Begin,
    /// An engine that was stopped goes on.
    Wake,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) random: Random,
    pub(super) now: u64,
    /// Until when things fail.
    pub(super) troubled_until: u64,
    pub(super) scenario: Scenario,
    queue: BTreeMap<(u64, u64), Event>,
    numbered: u64,
    /// The lowest epoch that may act.
    pub(super) fence: Epoch,
    pub(super) git: Git,
    pub(super) agents: BTreeMap<ConversationId, Agent>,
    /// How often a message came into a conversation.
    pub(super) seen: BTreeMap<(MessageId, ConversationId), u32>,
    /// Messages that somebody has had sent again, knowing that they may come twice.
    pub(super) again: BTreeSet<MessageId>,
    /// What agents were told is written.
    pub(super) written: BTreeSet<Piece>,
    pub(super) broken: Vec<String>,
    pub(super) coverage: Coverage,
}

impl World {
    pub(super) fn new(scenario: Scenario, random: Random) -> Self {
        Self {
            random,
            now: 0,
            troubled_until: scenario.troubled_until,
            scenario,
            queue: BTreeMap::new(),
            numbered: 0,
            fence: Epoch(0),
            git: Git::new(),
            agents: BTreeMap::new(),
            seen: BTreeMap::new(),
            again: BTreeSet::new(),
            written: BTreeSet::new(),
            broken: Vec::new(),
            coverage: Coverage::default(),
        }
    }

    /// Notes a broken promise.
    pub(super) fn broken(&mut self, what: String) {
        self.broken.push(format!("at {}: {what}", self.now));
    }

    pub(super) const fn is_troubled(&self) -> bool {
        self.now < self.troubled_until
    }

    /// Whether something goes wrong that does so often, while things go wrong.
    pub(super) const fn trouble(&mut self, per_mille: u64) -> bool {
        self.is_troubled() && self.random.chance(per_mille)
    }

    pub(super) fn after(&mut self, delay: u64, event: Event) {
        self.numbered += 1;
        self.queue.insert((self.now + delay, self.numbered), event);
    }

    pub(super) fn next_at(&self) -> Option<u64> {
        self.queue.keys().next().map(|(at, _)| *at)
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        let ((at, _), event) = self.queue.pop_first()?;
        self.now = self.now.max(at);
        Some(event)
    }

    /// Removes what `gone` says from what is to come.
    pub(super) fn withdraw(&mut self, mut gone: impl FnMut(&Event) -> bool) {
        self.queue.retain(|_, event| !gone(event));
    }

    pub(super) fn coming(&self) -> impl Iterator<Item = &Event> {
        self.queue.values()
    }

    /// An engine has something started. Whatever is still at the same is ended.
    pub(super) fn start(&mut self, epoch: Epoch, effect: Effect) {
        if epoch < self.fence {
            self.coverage.refused += 1;
            return;
        }
        let id = effect.id;
        self.withdraw(|event| matches!(event, Event::Do { effect, .. } if effect.id == id));
        let (is_slow, hangs) = (self.trouble(50), self.trouble(5));
        let longest = if hangs { 600_000 } else { 90_000 };
        let delay = self.random.between(1, if is_slow || hangs { longest } else { 400 });
        self.after(delay, Event::Do { epoch, effect });
    }

    /// An engine has something looked up. Nothing is still at it from then on.
    pub(super) fn find(&mut self, epoch: Epoch, effect: Effect) {
        if epoch < self.fence {
            self.coverage.refused += 1;
            return;
        }
        let delay = self.random.between(1, 200);
        self.after(delay, Event::LookUp { epoch, effect });
    }

    pub(super) fn do_effect(&mut self, epoch: Epoch, effect: Effect) {
        if epoch < self.fence {
            self.coverage.refused += 1;
            return;
        }
        let kind = effect.action.kind();
        if kind != crate::effect::Kind::Fence && self.trouble(30) {
            let outcome = Outcome::Failed { why: "it does not work today".to_owned() };
            return self.tell(epoch, effect, outcome);
        }
        let outcome = self.outcome_of(epoch, &effect);
        // Some answers are never given, by an engine that lives.
        if self.trouble(5) {
            return;
        }
        self.tell(epoch, effect, outcome);
    }

    fn tell(&mut self, epoch: Epoch, effect: Effect, outcome: Outcome) {
        let delay = self.random.between(1, 200);
        self.after(delay, Event::Hear { epoch, effect, outcome });
    }

    fn outcome_of(&mut self, epoch: Epoch, effect: &Effect) -> Outcome {
        let unit = effect.subject.unit.clone();
        let lane = unit.as_ref().and_then(|unit| self.lane_of(unit));
        match (&effect.action, unit, lane) {
            (Action::Fence, None, _) => {
                self.fence = self.fence.max(epoch);
                Outcome::Fenced
            }
            (Action::Fence, Some(_), lane) => {
                if let Some(lane) = lane.and_then(|lane| self.git.lanes.get_mut(&lane)) {
                    lane.admits = None;
                }
                Outcome::Fenced
            }
            (Action::Prepare { lane, carry }, Some(_), _) => {
                self.prepare(effect, *lane, carry.as_ref())
            }
            (Action::Start { conversation, opening }, Some(unit), lane) => {
                self.start_agent(epoch, &unit, lane, conversation, opening)
            }
            (Action::Inject { conversation, message }, ..) => self.inject(conversation, *message),
            (Action::Interrupt { conversation }, ..) => {
                if let Some(agent) = self.agents.get_mut(conversation) {
                    agent.is_interrupted = true;
                }
                Outcome::Interrupted
            }
            (Action::Stop { conversation }, ..) => {
                // A start that was given up may still be under way.
                let (attempt, id) = (&effect.subject.attempt, effect.id);
                let is_of = |other: &Effect| other.subject.attempt == *attempt && other.id != id;
                self.withdraw(|event| matches!(event, Event::Do { effect, .. } if is_of(effect)));
                if let Some(agent) = self.agents.get_mut(conversation) {
                    agent.is_alive = false;
                    agent.lingers = false;
                }
                Outcome::Stopped
            }
            (Action::Capture, Some(_), Some(lane)) => {
                let tree = self.git.lanes[&lane].tree.clone();
                let commit = self.git.commit(&effect.key(), tree.clone());
                self.git.references.insert(commit.clone());
                self.git.made.insert(effect.id, commit.clone());
                Outcome::Captured { commit, tree: tree_name(&tree) }
            }
            (Action::Commit, Some(_), Some(lane)) => {
                let tree = self.git.lanes[&lane].tree.clone();
                let commit = self.git.commit(&effect.key(), tree);
                self.git.made.insert(effect.id, commit.clone());
                Outcome::Committed { commit }
            }
            (Action::Merge { commit }, Some(unit), _) => self.merge(effect, &unit, commit),
            (Action::Verify { commit }, Some(unit), _) => self.verify(&unit, commit),
            (Action::Advance { from, to }, Some(unit), _) => self.advance(&unit, from, to),
            (Action::Finish, Some(unit), _) => {
                if !self.git.merged.contains_key(&unit) {
                    self.broken(format!("{unit} is done and not merged"));
                }
                *self.git.done.entry(unit).or_default() += 1;
                Outcome::Finished
            }
            (Action::Publish { .. }, ..) => Outcome::Published,
            (Action::Remove { lane, proof }, Some(unit), _) => {
                self.remove(&unit, *lane, proof.as_ref())
            }
            (Action::Integrate { request, commit, handover }, ..) => {
                if self.git.place(commit).is_none() {
                    self.broken(format!("{request} brings {commit}, which is not on the branch"));
                }
                self.git.integrate(commit, &handover.course)
            }
            (_, _, None | Some(_)) => Outcome::Failed { why: "there is no lane".to_owned() },
        }
    }

    fn lane_of(&self, unit: &UnitId) -> Option<u32> {
        let of = self.git.lanes.iter().find(|(_, lane)| lane.attempt.unit == *unit);
        of.map(|(number, _)| *number)
    }

    fn prepare(&mut self, effect: &Effect, number: u32, carry: Option<&CommitName>) -> Outcome {
        let Some(attempt) = effect.subject.attempt.clone() else {
            return Outcome::Failed { why: "no attempt".to_owned() };
        };
        if let Some(lane) = self.git.lanes.get(&number) {
            if lane.attempt == attempt {
                return Outcome::Prepared { base: lane.base.clone() };
            }
            let other = lane.attempt.clone();
            self.broken(format!("lane {number} belongs to {other} and is given to {attempt}"));
        }
        let apart: Vec<_> = self.scenario.apart(&attempt.unit);
        let near = self.git.lanes.values().find(|lane| apart.contains(&lane.attempt.unit.task));
        if let Some(near) = near.map(|lane| lane.attempt.clone()) {
            self.broken(format!("{attempt} and {near} touch the same files"));
        }
        for need in self.scenario.needs(&attempt.unit) {
            if !self.git.merged.contains_key(&need) {
                self.broken(format!("{attempt} starts before {need} is merged"));
            }
        }
        let base = self.git.tip.clone();
        let mut tree = self.git.tree(&base);
        tree.extend(carry.map(|carry| self.git.tree(carry)).unwrap_or_default());
        self.git.lanes.insert(number, Lane { attempt, base: base.clone(), tree, admits: None });
        Outcome::Prepared { base }
    }

    fn start_agent(
        &mut self,
        epoch: Epoch,
        unit: &UnitId,
        lane: Option<u32>,
        conversation: &ConversationId,
        opening: &[MessageId],
    ) -> Outcome {
        if self.agents.contains_key(conversation) {
            self.broken(format!("{conversation} was started twice"));
        }
        let other = self
            .agents
            .values()
            .find(|agent| agent.is_alive && agent.conversation.agent.attempt.unit == *unit);
        if let Some(other) = other.map(|agent| agent.conversation.clone()) {
            self.broken(format!("{conversation} starts while {other} is alive"));
        }
        let Some(lane) = lane.and_then(|lane| self.git.lanes.get_mut(&lane)) else {
            return Outcome::Failed { why: "there is no lane".to_owned() };
        };
        lane.admits = Some(conversation.clone());
        let agent = Agent::new(conversation.clone(), epoch, opening.to_vec());
        self.agents.insert(conversation.clone(), agent);
        for message in opening {
            self.sees(conversation, *message);
        }
        self.after(300, Event::Act(conversation.clone()));
        Outcome::Started
    }

    /// A message comes into a conversation.
    fn sees(&mut self, conversation: &ConversationId, message: MessageId) {
        let count = self.seen.entry((message, conversation.clone())).or_default();
        *count += 1;
        if *count > 1 && !self.again.contains(&message) {
            self.broken(format!("{message} came into {conversation} twice"));
        }
    }

    fn inject(&mut self, conversation: &ConversationId, message: MessageId) -> Outcome {
        let is_known = self.seen.contains_key(&(message, conversation.clone()));
        let Some(agent) = self.agents.get_mut(conversation).filter(|agent| agent.is_alive) else {
            return Outcome::Failed { why: "there is no agent".to_owned() };
        };
        if is_known && self.scenario.spec.receipts == Receipts::Dedupes {
            return Outcome::Injected;
        }
        if !agent.is_idle && !self.scenario.hears {
            return Outcome::Deferred;
        }
        agent.unanswered.push(message);
        let was_idle = std::mem::take(&mut agent.is_idle);
        if was_idle {
            self.after(200, Event::Act(conversation.clone()));
        }
        self.sees(conversation, message);
        Outcome::Injected
    }

    fn merge(&mut self, effect: &Effect, unit: &UnitId, commit: &CommitName) -> Outcome {
        let base = self.git.tip.clone();
        let mut tree = self.git.tree(&base);
        tree.extend(self.git.tree(commit));
        let merge = self.git.commit(&format!("merge {base} {commit}"), tree);
        // Whether it conflicts is a property of the two, however often it is tried.
        let is_hard = merge.as_str().as_bytes()[7] == b'0' && self.scenario.is_hard(unit);
        if is_hard {
            return Outcome::Conflict;
        }
        self.git.made.insert(effect.id, merge.clone());
        Outcome::Merged { base, commit: merge }
    }

    fn verify(&mut self, unit: &UnitId, commit: &CommitName) -> Outcome {
        let tree = self.git.tree(commit);
        let is_whole = self.scenario.pieces(unit).iter().all(|piece| tree.contains(piece));
        let is_hard = commit.as_str().as_bytes()[9] == b'0' && self.scenario.is_hard(unit);
        if !is_whole || is_hard {
            return Outcome::Red;
        }
        self.git.green.insert(commit.clone());
        Outcome::Green
    }

    fn advance(&mut self, unit: &UnitId, from: &CommitName, to: &CommitName) -> Outcome {
        if self.git.tip == *to {
            return Outcome::Advanced;
        }
        if self.git.tip != *from {
            return if self.git.history.contains(to) { Outcome::Advanced } else { Outcome::Behind };
        }
        if !self.git.green.contains(to) {
            self.broken(format!("{unit} came to the branch without being verified"));
        }
        if self.scenario.steps(unit) == 0 {
            self.broken(format!("{unit} has no step and came to the branch"));
        }
        self.git.tip = to.clone();
        self.git.history.push(to.clone());
        let times = self.git.merged.entry(unit.clone()).or_default();
        *times += 1;
        if *times > 1 {
            self.broken(format!("{unit} came to the branch twice"));
        }
        Outcome::Advanced
    }

    /// Removes a lane. That its content is elsewhere is the engine's business; the
    /// simulation checks it afterwards.
    fn remove(&mut self, unit: &UnitId, number: u32, proof: Option<&CommitName>) -> Outcome {
        let Some(lane) = self.git.lanes.get(&number) else { return Outcome::Removed };
        if lane.attempt.unit != *unit {
            return Outcome::Removed;
        }
        let is_kept = match proof {
            Some(proof) => self.git.is_kept(&lane.tree, proof),
            // Nobody was ever in it.
            None => !self.agents.keys().any(|of| of.agent.attempt == lane.attempt),
        };
        if !is_kept {
            self.broken(format!("{unit} gives its lane away with work that is nowhere else"));
            return Outcome::Unproved;
        }
        self.git.lanes.remove(&number);
        Outcome::Removed
    }

    /// Looks an effect up, after ending whatever is still at it.
    pub(super) fn look_up(&mut self, epoch: Epoch, effect: Effect) {
        if epoch < self.fence {
            self.coverage.refused += 1;
            return;
        }
        let id: EffectId = effect.id;
        self.withdraw(|event| matches!(event, Event::Do { effect, .. } if effect.id == id));
        let found = if self.trouble(20) { Found::Unknown } else { self.found(&effect) };
        let delay = self.random.between(1, 100);
        self.after(delay, Event::HearFound { epoch, effect, found });
    }

    fn found(&self, effect: &Effect) -> Found {
        let lane = |attempt: &batch_api::AttemptId| {
            self.git.lanes.values().find(|lane| lane.attempt == *attempt)
        };
        let done = match (&effect.action, &effect.subject.attempt) {
            (Action::Prepare { .. }, Some(attempt)) => {
                lane(attempt).map(|lane| Outcome::Prepared { base: lane.base.clone() })
            }
            (Action::Capture, _) => self.git.made.get(&effect.id).map(|commit| Outcome::Captured {
                commit: commit.clone(),
                tree: tree_name(&self.git.tree(commit)),
            }),
            (Action::Commit, _) => {
                let made = self.git.made.get(&effect.id);
                made.map(|commit| Outcome::Committed { commit: commit.clone() })
            }
            (Action::Advance { from, to }, _) => {
                let is_there = self.git.history.contains(to);
                let is_elsewhere = self.git.tip != *from;
                match (is_there, is_elsewhere) {
                    (true, _) => Some(Outcome::Advanced),
                    (false, true) => Some(Outcome::Behind),
                    (false, false) => None,
                }
            }
            (Action::Finish, Some(attempt)) => {
                self.git.done.contains_key(&attempt.unit).then_some(Outcome::Finished)
            }
            (Action::Integrate { commit, handover, .. }, _) => self
                .git
                .has_arrived(commit, &handover.course)
                .then(|| Outcome::Integrated { commit: commit.clone() }),
            (Action::Remove { .. }, Some(attempt)) => {
                lane(attempt).is_none().then_some(Outcome::Removed)
            }
            (Action::Inject { conversation, message }, _) => self
                .seen
                .contains_key(&(*message, conversation.clone()))
                .then_some(Outcome::Injected),
            _ => return Found::Unknown,
        };
        done.map_or(Found::NotDone, Found::Done)
    }
}
