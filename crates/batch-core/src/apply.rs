//! Folding: how a fact changes the state. Total, and without any policy: a fact
//! that makes no sense here changes nothing.

use std::collections::VecDeque;

use batch_api::{Actor, EffectId, Epoch, RequestId, Sequence, UnitId};

use crate::effect::{Action, Effect, EffectState, Kind, Outcome};
use crate::fact::{Fact, Nudge};
use crate::integration::{Integration, Stage};
use crate::journal::{Record, Subject};
use crate::mail::{Mail, Receipt};
use crate::state::{OpenWait, State};
use crate::time::Time;
use crate::unit::{Capture, End, Phase, Unit};

/// When and under whom a fact was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Its position.
    pub sequence: Sequence,
    /// When.
    pub at: Time,
    /// Under which engine.
    pub epoch: Epoch,
}

impl State {
    /// Folds one record of the journal.
    pub fn fold(&mut self, record: &Record<Fact>) {
        let stamp = Stamp { sequence: record.sequence, at: record.at, epoch: record.epoch };
        self.apply(stamp, &record.subject, &record.fact);
    }

    /// Folds one fact.
    pub fn apply(&mut self, stamp: Stamp, subject: &Subject, fact: &Fact) {
        self.sequence = stamp.sequence;
        self.at = stamp.at;
        match fact {
            Fact::EngineStarted => {
                self.epoch = stamp.epoch;
                self.fenced = false;
            }
            Fact::Planned { spec } => {
                for (order, unit) in spec.units.iter().enumerate() {
                    self.units.insert(unit.unit.clone(), Unit::new(unit.clone(), order));
                    self.tasks.insert(unit.unit.task.clone(), unit.unit.clone());
                }
                self.spec = Some(spec.as_ref().clone());
                self.view += 1;
            }
            Fact::Answered { request, command, reply } => {
                if self.answers.insert(request.clone(), (*command, reply.clone())).is_none() {
                    self.answers_order.push_back(request.clone());
                }
                if self.answers_order.len() > Self::ANSWERS_MAX
                    && let Some(oldest) = self.answers_order.pop_front()
                {
                    self.answers.remove(&oldest);
                    self.integrations.remove(&oldest);
                }
            }
            Fact::Halted { halt } => {
                self.halt = *halt;
                self.view += 1;
            }
            Fact::Limited { until } => self.limited_until = self.limited_until.max(*until),
            Fact::BatchEnded { ending } => {
                self.ending = Some(*ending);
                self.view += 1;
            }
            Fact::Granted if subject.unit.is_none() => self.grants += 1,
            Fact::Mailed { message } => {
                if message.from != Actor::Engine {
                    for unit in &message.to {
                        remember(self.mailed_at.entry(unit.clone()).or_default(), stamp.at);
                    }
                    if message.desk.is_some() {
                        remember(&mut self.desks_mailed_at, stamp.at);
                    }
                }
                for unit in &message.to {
                    let queued = self.queued.entry(unit.clone()).or_default();
                    queued.insert((message.urgent, message.id));
                }
                self.mail.insert(message.id, Mail::new(message.clone(), stamp.at));
            }
            Fact::Receipted { message, receipt } => {
                if let (Some(mail), Some(unit)) = (self.mail.get_mut(message), &subject.unit) {
                    let place = (mail.message.urgent, mail.message.id);
                    let queued = self.queued.entry(unit.clone()).or_default();
                    if *receipt == Receipt::Queued {
                        queued.insert(place);
                    } else {
                        queued.remove(&place);
                    }
                    if let Receipt::Injecting { .. } = receipt {
                        *mail.sent.entry(unit.clone()).or_default() += 1;
                    }
                    mail.receipts.insert(unit.clone(), receipt.clone());
                }
            }
            Fact::WaitOpened { wait } => {
                self.waits_count += 1;
                self.view += 1;
                let open =
                    OpenWait { wait: wait.clone(), unit: subject.unit.clone(), since: stamp.at };
                self.waits.insert(wait.id, open);
            }
            Fact::WaitClosed { wait, .. } => {
                self.waits.remove(wait);
                self.view += 1;
            }
            Fact::Requested { request, commit, handover } => {
                let merged = self.units.values().filter(|unit| unit.phase.is_merged()).count();
                let (commit, handover) = (commit.clone(), handover.clone());
                let integration = Integration { commit, handover, merged, stage: Stage::Asked };
                self.integrations.insert(request.clone(), integration);
            }
            Fact::Intended { effect, action } => {
                if let Action::Integrate { request, .. } = action {
                    self.integration_is(request, Stage::UnderWay);
                }
                self.effects_count += 1;
                let effect = Effect {
                    trouble: None,
                    id: *effect,
                    subject: subject.clone(),
                    action: action.clone(),
                    intended: stamp.sequence,
                    epoch: stamp.epoch,
                    tries: 1,
                    deaths: 0,
                    state: EffectState::Running { since: stamp.at },
                };
                self.effects.insert(effect.id, effect);
            }
            Fact::Sought { effect, deaths } => {
                self.effect_stands(*effect, EffectState::Seeking { since: stamp.at });
                if let Some(effect) = self.effects.get_mut(effect) {
                    effect.deaths = *deaths;
                }
            }
            Fact::Postponed { effect, until, why } => {
                self.effect_stands(*effect, EffectState::Resting { until: *until });
                if let Some(effect) = self.effects.get_mut(effect) {
                    effect.trouble = Some(why.clone());
                }
            }
            Fact::Blocked { effect, wait } => {
                self.effect_stands(*effect, EffectState::Waiting { wait: *wait });
            }
            Fact::Restarted { effect, tries, deaths } => {
                self.effect_stands(*effect, EffectState::Running { since: stamp.at });
                if let Some(effect) = self.effects.get_mut(effect) {
                    effect.epoch = stamp.epoch;
                    effect.tries = *tries;
                    effect.deaths = *deaths;
                }
            }
            Fact::Ended { effect, outcome } => self.end(*effect, outcome, stamp.at),
            Fact::Traced { .. } => {}
            Fact::Moved { .. }
            | Fact::Began { .. }
            | Fact::Failure { .. }
            | Fact::Doomed { .. }
            | Fact::Granted
            | Fact::Revived
            | Fact::StatusRead { .. }
            | Fact::Used { .. }
            | Fact::Deaf { .. }
            | Fact::Nudged { .. } => {
                if let Some(id) = &subject.unit {
                    self.apply_to_unit(stamp, id, fact);
                }
            }
        }
    }

    fn integration_is(&mut self, request: &RequestId, stage: Stage) {
        if let Some(integration) = self.integrations.get_mut(request) {
            integration.stage = stage;
        }
    }

    fn effect_stands(&mut self, effect: EffectId, state: EffectState) {
        if let Some(effect) = self.effects.get_mut(&effect) {
            effect.state = state;
        }
    }

    fn apply_to_unit(&mut self, stamp: Stamp, id: &UnitId, fact: &Fact) {
        let Some(unit) = self.units.get_mut(id) else { return };
        match fact {
            Fact::Moved { to } => {
                self.worked_ms += unit.moved(*to, stamp.at);
                self.view += 1;
            }
            Fact::Began { lane } => {
                unit.attempt += 1;
                unit.lane = *lane;
                unit.contexts = 0;
                unit.orphans = 0;
                unit.captured = None;
                unit.commit = None;
                unit.merge = None;
                unit.verified = None;
            }
            Fact::Failure { class, rest_until } => {
                unit.rest_until = *rest_until;
                match unit.failures.iter_mut().find(|(known, _)| known == class) {
                    Some((_, count)) => *count += 1,
                    None => unit.failures.push((*class, 1)),
                }
            }
            Fact::Doomed { goal } => unit.doom = Some(*goal),
            Fact::Granted => unit.grants += 1,
            Fact::Revived => {
                unit.failures.clear();
                unit.rest_until = stamp.at;
                self.ending = None;
            }
            Fact::StatusRead { status } => unit.status = *status,
            Fact::Used { usage } => {
                unit.usage.add(*usage);
                unit.progress_at = stamp.at;
                self.usage.add(*usage);
            }
            Fact::Deaf { until } => unit.deaf_until = *until,
            Fact::Nudged { nudge: Nudge::Continue } => unit.intercepts += 1,
            Fact::Nudged { nudge: Nudge::WrapUp } => unit.wrapping_up = true,
            _ => {}
        }
    }

    /// What an outcome leaves behind. Where its unit goes is another fact.
    fn end(&mut self, effect: EffectId, outcome: &Outcome, at: Time) {
        let Some(effect) = self.effects.remove(&effect) else { return };
        match (effect.action.kind(), outcome) {
            (Kind::Fence, Outcome::Fenced) if effect.subject.attempt.is_none() => {
                self.fenced = true;
            }
            (Kind::Publish, Outcome::Published) => {
                self.published_at = at;
                if let Action::Publish { view } = effect.action {
                    self.published = view;
                }
            }
            (Kind::Integrate, outcome) => {
                if let Action::Integrate { request, .. } = &effect.action {
                    self.view += 1;
                    self.integration_is(request, Stage::Over(outcome.clone()));
                }
            }
            _ => {}
        }
        if let (Action::Inject { message, .. }, Outcome::Deferred, Some(unit)) =
            (&effect.action, outcome, &effect.subject.unit)
            && let Some(times) = self.mail.get_mut(message).and_then(|mail| mail.sent.get_mut(unit))
        {
            *times = times.saturating_sub(1);
        }
        let Some(unit) = effect.subject.unit.as_ref().and_then(|id| self.units.get_mut(id)) else {
            return;
        };
        match outcome {
            Outcome::Prepared { base } => self.tip = Some(base.clone()),
            Outcome::Captured { commit, tree } => {
                unit.captured = Some(Capture { commit: commit.clone(), tree: tree.clone() });
                unit.carry = Some(commit.clone());
            }
            Outcome::Committed { commit } => unit.commit = Some(commit.clone()),
            Outcome::Merged { base, commit } => {
                unit.merge = Some((base.clone(), commit.clone()));
                unit.verified = None;
            }
            Outcome::Green => unit.verified = unit.merge.as_ref().map(|(_, merge)| merge.clone()),
            Outcome::Red | Outcome::Conflict | Outcome::Behind => unit.verified = None,
            Outcome::Advanced => self.tip = unit.merge.as_ref().map(|(_, merge)| merge.clone()),
            _ => {}
        }
    }
}

/// Notes the time of a message, for the rate.
fn remember(times: &mut VecDeque<Time>, at: Time) {
    times.push_back(at);
    if times.len() > State::RATE_MAX {
        times.pop_front();
    }
}

impl Unit {
    /// Enters a phase; returns how long an agent was at work that is no longer.
    fn moved(&mut self, to: Phase, at: Time) -> u64 {
        let mut worked_ms = 0;
        match to {
            Phase::Opening => {
                self.contexts += 1;
                self.intercepts = 0;
                self.wrapping_up = false;
                self.deaf_until = Time(0);
                self.status_before = self.status;
                self.progress_at = at;
                // An agent that may write makes the last capture an old one.
                self.tree_before = self.captured.take().map(|capture| capture.tree);
            }
            Phase::Working => {
                self.working_since = Some(at);
                self.progress_at = at;
            }
            Phase::Blocked => self.doom = None,
            _ => {
                if to == (Phase::Fencing { end: End::Orphaned }) {
                    self.orphans += 1;
                }
                if let Some(since) = self.working_since.take() {
                    worked_ms = at.0.saturating_sub(since.0);
                    self.worked_ms += worked_ms;
                }
            }
        }
        self.phase = to;
        worked_ms
    }
}
