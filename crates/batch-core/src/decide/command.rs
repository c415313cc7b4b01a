//! Commands: who may ask for what, and what is answered.
//!
//! Whoever repeats a request gets the first answer, also a refusal. An answer is
//! a fact: it is given once it is in the journal, with what it promises.

use std::time::Duration;

use batch_api::{Actor, MessageId, RequestId, Role, UnitId, WaitId};
use serde::{Deserialize, Serialize};

use super::Decider;
use crate::defect::planted;
use crate::fact::{Fact, Refusal, Reply};
use crate::integration::{Handover, Stage};
use crate::journal::{Digest, Subject};
use crate::mail::{Desk, MailKind, Message, Receipt, Text, Urgency};
use crate::spec::BatchSpec;
use crate::state::{Halt, State};
use crate::time::Time;
use crate::unit::{Answer, Class, End, Goal, Phase, Reason, Skip};

/// Something that somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Start the batch.
    Start {
        /// What it is to be.
        spec: Box<BatchSpec>,
    },
    /// Open no more lanes and contexts; agents at work go on.
    Pause,
    /// Go on.
    Resume,
    /// Stop everything, and capture it.
    Abort,
    /// Try a unit that is over again, and what was skipped because of it.
    Retry {
        /// Which.
        unit: UnitId,
    },
    /// Leave a unit out.
    Skip {
        /// Which.
        unit: UnitId,
    },
    /// Stop a unit, at once.
    Stop {
        /// Which.
        unit: UnitId,
    },
    /// Bring what is merged to where the operator wants it.
    Integrate {
        /// Where to, and how.
        handover: Handover,
    },
    /// Send a message.
    Send {
        /// To whom.
        to: Address,
        /// Steer, query, info or abort; a desk takes query and info.
        kind: MailKind,
        /// The message that it answers.
        answers: Option<MessageId>,
        /// Whether it overtakes.
        urgent: Urgency,
        /// After how many milliseconds it is no longer worth delivering. It is no moment,
        /// so that whoever repeats the request says the same.
        lasts_ms: Option<u64>,
        /// What it says.
        text: Text,
    },
    /// Answer what something waits for.
    Rule {
        /// Which wait.
        wait: WaitId,
        /// The unit that waits, if whoever asks knows it; another one is an error.
        unit: Option<UnitId>,
        /// Go on, or give up.
        answer: Answer,
        /// What the agent is told.
        text: Text,
    },
    /// An agent answers a directive.
    Reply {
        /// Which.
        to: MessageId,
        /// What it says.
        text: Text,
    },
    /// An agent needs a decision.
    Escalate {
        /// What it says.
        text: Text,
    },
}

/// Whom a message is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Address {
    /// One unit.
    Unit(UnitId),
    /// Every unit that is not over.
    Everyone,
    /// Whoever has a role: for a unit, or for all. Workers are whom their units are.
    Role {
        /// The role.
        role: Role,
        /// For which unit.
        unit: Option<UnitId>,
    },
    /// The operator's desk.
    Operator,
}

/// Who receives a message.
enum Recipients {
    Units(Vec<UnitId>),
    Desk(Desk),
}

/// Whether the actor may ask for that at all. An agent speaks for itself and
/// decides nothing.
const fn may(actor: &Actor, command: &Command) -> bool {
    match (actor, command) {
        (Actor::Agent(_), Command::Reply { .. } | Command::Escalate { .. }) => true,
        (Actor::Agent(_) | Actor::Engine, _) => false,
        (_, Command::Reply { .. } | Command::Escalate { .. }) => false,
        (
            Actor::Supervisor(_),
            Command::Start { .. }
            | Command::Abort
            | Command::Integrate { .. }
            | Command::Send { kind: MailKind::Abort, to: Address::Everyone, .. },
        ) => false,
        (Actor::Supervisor(_) | Actor::Operator(_), _) => true,
    }
}

/// Whether a unit there receives mail: one that has been granted its merge reads
/// nothing any more.
fn receives(phase: Phase) -> bool {
    !phase.is_over() && !phase.is_merged() && phase != Phase::Advancing
}

impl Decider {
    /// Most messages that may be under way to one unit.
    const UNDER_WAY_MAX: usize = 64;
    /// Most waits that may be open for one unit.
    const WAITS_MAX: usize = 4;
    /// Most integrations that may be under way.
    const INTEGRATIONS_MAX: usize = 16;

    pub(super) fn command(&mut self, request: &RequestId, actor: Actor, command: &Command) {
        let text = serde_json::to_vec(&(&actor, command)).expect("commands are plain data");
        let digest = Digest::of(&text);
        if let Some((first, reply)) = self.state.answers.get(request)
            && !planted!(RequestCarriedOutAgain)
        {
            let reply = if *first == digest {
                reply.clone()
            } else {
                Reply::Refused { refusal: Refusal::RequestReused }
            };
            self.decision.answers.push((request.clone(), reply));
            return;
        }
        self.actor = actor.clone();
        let allowed = may(&actor, command) || planted!(AnybodyRules);
        let done = if allowed {
            self.carry_out(request, &actor, command)
        } else {
            Err(Refusal::NotAllowed)
        };
        let reply = done.unwrap_or_else(|refusal| Reply::Refused { refusal });
        let answered =
            Fact::Answered { request: request.clone(), command: digest, reply: reply.clone() };
        self.note(Subject::BATCH, answered);
        self.decision.answers.push((request.clone(), reply));
    }

    fn carry_out(
        &mut self,
        request: &RequestId,
        actor: &Actor,
        command: &Command,
    ) -> Result<Reply, Refusal> {
        if let Command::Start { spec } = command {
            return self.start(spec);
        }
        if self.state.spec.is_none() {
            return Err(Refusal::NotStarted);
        }
        match command {
            Command::Start { .. } => Err(Refusal::Started),
            Command::Pause => self.halt(Some(Halt::Paused), None),
            Command::Resume => self.halt(None, Some(Halt::Paused)),
            Command::Abort => {
                if self.state.halt != Some(Halt::Aborted) {
                    self.abort();
                }
                Ok(Reply::Accepted)
            }
            Command::Retry { unit } => self.retry(unit),
            Command::Skip { unit } => self.give_up(unit, Goal::Skip { why: Skip::Told }),
            Command::Integrate { handover } => self.integrate(request, handover),
            Command::Stop { unit } => self.give_up(unit, Goal::Fail { class: Class::Aborted }),
            Command::Send { .. } => self.send(actor, command),
            Command::Rule { wait, unit, answer, text } => {
                self.rule(actor, *wait, unit.as_ref(), *answer, text)
            }
            Command::Reply { to, text } => self.reply(actor, *to, text),
            Command::Escalate { text } => self.escalate(actor, text),
        }
    }

    fn start(&mut self, spec: &BatchSpec) -> Result<Reply, Refusal> {
        if self.state.spec.is_some() {
            return Err(Refusal::Started);
        }
        spec.judge().map_err(|error| Refusal::Spec { why: error.to_string() })?;
        self.note(Subject::BATCH, Fact::Planned { spec: Box::new(spec.clone()) });
        Ok(Reply::Accepted)
    }

    fn integrate(&mut self, request: &RequestId, to: &Handover) -> Result<Reply, Refusal> {
        let under_way = |stage: &Stage| matches!(stage, Stage::Asked | Stage::UnderWay);
        let all = self.state.integrations.values();
        if all.filter(|one| under_way(&one.stage)).count() >= Self::INTEGRATIONS_MAX {
            return Err(Refusal::TooMany);
        }
        let commit = self.state.tip.clone().ok_or(Refusal::NothingMerged)?;
        let (request, handover) = (request.clone(), to.clone());
        self.note(Subject::BATCH, Fact::Requested { request, commit, handover });
        Ok(Reply::Accepted)
    }

    fn halt(&mut self, halt: Option<Halt>, from: Option<Halt>) -> Result<Reply, Refusal> {
        if self.state.halt == halt {
            return Ok(Reply::Accepted);
        }
        if self.state.halt != from {
            return Err(Refusal::WrongPhase);
        }
        self.note(Subject::BATCH, Fact::Halted { halt });
        Ok(Reply::Accepted)
    }

    fn retry(&mut self, id: &UnitId) -> Result<Reply, Refusal> {
        let unit = self.unit(id).ok_or(Refusal::NoUnit)?;
        let is_lost = matches!(unit.phase, Phase::Failed { .. } | Phase::Skipped { .. });
        if !is_lost || self.state.halt == Some(Halt::Aborted) {
            return Err(Refusal::WrongPhase);
        }
        let mut again = vec![id.clone()];
        // What was skipped for want of it has a chance again, and so on.
        let mut at = 0;
        while let Some(task) = again.get(at).map(|id| id.task.clone()) {
            let skipped = Phase::Skipped { why: Skip::Dependency };
            let more = self
                .state
                .units
                .values()
                .filter(|unit| unit.phase == skipped && unit.spec.after.contains(&task));
            let more: Vec<UnitId> = more.map(|unit| unit.id().clone()).collect();
            again.extend(more.into_iter().filter(|id| !again.contains(id)).collect::<Vec<_>>());
            at += 1;
        }
        for id in &again {
            self.note_of(id, Fact::Revived);
            self.enter(id, Phase::Blocked);
        }
        Ok(Reply::Accepted)
    }

    fn give_up(&mut self, id: &UnitId, goal: Goal) -> Result<Reply, Refusal> {
        let unit = self.unit(id).ok_or(Refusal::NoUnit)?;
        if unit.phase.is_over() || unit.phase.is_merged() || unit.phase == Phase::Advancing {
            return Err(Refusal::WrongPhase);
        }
        self.note_of(id, Fact::Doomed { goal });
        Ok(Reply::Accepted)
    }

    fn send(&mut self, actor: &Actor, command: &Command) -> Result<Reply, Refusal> {
        let Command::Send { to, kind, answers, urgent, lasts_ms, text } = command else {
            return Err(Refusal::WrongKind);
        };
        if answers.is_some_and(|message| !self.state.mail.contains_key(&message)) {
            return Err(Refusal::NoMessage);
        }
        let recipients = self.recipients(to)?;
        let is_sent = match (&recipients, kind) {
            (_, MailKind::Query | MailKind::Info) => true,
            (Recipients::Units(_), MailKind::Steer | MailKind::Abort) => true,
            (Recipients::Desk(_), MailKind::Steer | MailKind::Abort)
            | (_, MailKind::Ruling | MailKind::Reply | MailKind::Escalate) => false,
        };
        if !is_sent {
            return Err(Refusal::WrongKind);
        }
        let (to, desk) = match recipients {
            Recipients::Units(units) => (units, None),
            Recipients::Desk(desk) => (Vec::new(), Some(desk)),
        };
        // All of its recipients have room for it, or none receives it. There is always
        // room for the end.
        let has_room = match desk {
            Some(_) => self.is_below_rate(&self.state.desks_mailed_at),
            None => *kind == MailKind::Abort || to.iter().all(|id| self.has_room(id)),
        };
        if !has_room {
            return Err(Refusal::TooMany);
        }
        let id = self.next_message();
        let message = Message {
            id,
            from: actor.clone(),
            kind: *kind,
            to,
            desk,
            answers: *answers,
            expires: lasts_ms.map(|span| self.now.after(Duration::from_millis(span))),
            urgent: *urgent,
            text: text.clone(),
        };
        let subject = match message.to.as_slice() {
            [one] => Subject::unit(one),
            _ => Subject::BATCH,
        };
        let to = message.to.clone();
        self.mail(subject, message);
        if *kind == MailKind::Abort && !planted!(AbortIsOnlyMail) {
            for unit in &to {
                self.receipt(id, unit, Receipt::Answered);
                self.note_of(unit, Fact::Doomed { goal: Goal::Fail { class: Class::Aborted } });
            }
        }
        Ok(Reply::Mailed { message: id })
    }

    /// Who receives what is sent to an address now.
    fn recipients(&self, to: &Address) -> Result<Recipients, Refusal> {
        let one = match to {
            Address::Unit(unit) | Address::Role { role: Role::Worker, unit: Some(unit) } => unit,
            Address::Everyone | Address::Role { role: Role::Worker, unit: None } => {
                let units = self.state.units.values().filter(|unit| receives(unit.phase));
                let all: Vec<UnitId> = units.map(|unit| unit.id().clone()).collect();
                return if all.is_empty() {
                    Err(Refusal::NoUnit)
                } else {
                    Ok(Recipients::Units(all))
                };
            }
            Address::Operator => return Ok(Recipients::Desk(Desk::Operator)),
            Address::Role { role: Role::Supervisor, unit: None } => {
                return Ok(Recipients::Desk(Desk::Supervisor));
            }
            Address::Role { .. } => return Err(Refusal::NoAgent),
        };
        let is_there = self.unit(one).is_some_and(|unit| receives(unit.phase));
        if is_there { Ok(Recipients::Units(vec![one.clone()])) } else { Err(Refusal::NoUnit) }
    }

    /// Whether fewer messages than the rate allows were sent of late.
    fn is_below_rate<'a>(&self, times: impl IntoIterator<Item = &'a Time>) -> bool {
        let recent = times.into_iter().filter(|time| self.now.since(**time) < State::RATE_SPAN);
        recent.count() < State::RATE_MAX
    }

    fn has_room(&self, id: &UnitId) -> bool {
        let under_way = self.state.mail.values().filter(|mail| {
            let receipt = mail.receipts.get(id);
            receipt.is_some_and(|r| *r == Receipt::Queued) || mail.is_in_force(id)
        });
        let sent = self.state.mailed_at.get(id).into_iter().flatten();
        under_way.count() < Self::UNDER_WAY_MAX && self.is_below_rate(sent)
    }

    fn rule(
        &mut self,
        actor: &Actor,
        wait: WaitId,
        unit: Option<&UnitId>,
        answer: Answer,
        text: &Text,
    ) -> Result<Reply, Refusal> {
        let open = self.state.waits.get(&wait).ok_or(Refusal::NoWait)?;
        if unit.is_some() && open.unit.as_ref() != unit {
            return Err(Refusal::NoWait);
        }
        let unit = open.unit.clone();
        let asked = match &open.wait.reason {
            Reason::Escalated { message } | Reason::Undelivered { message } => Some(*message),
            Reason::Stuck { .. } | Reason::Deadly { .. } | Reason::Ceiling => None,
        };
        // Only an agent that asked, and goes on, has it told; of others it is on record.
        let is_told = matches!(open.wait.reason, Reason::Escalated { .. }) && answer == Answer::Go;
        let id = self.next_message();
        let ruling = Message {
            id,
            from: actor.clone(),
            kind: MailKind::Ruling,
            to: unit.iter().filter(|_| is_told).cloned().collect(),
            desk: None,
            answers: asked,
            expires: None,
            urgent: Urgency::Urgent,
            text: text.clone(),
        };
        self.mail(unit.as_ref().map_or(Subject::BATCH, Subject::unit), ruling);
        self.answer(wait, answer);
        Ok(Reply::Mailed { message: id })
    }

    /// The unit of an agent that speaks for an attempt that is still going on.
    fn speaker(&self, actor: &Actor) -> Result<UnitId, Refusal> {
        let Actor::Agent(agent) = actor else { return Err(Refusal::NotAllowed) };
        let unit = self.unit(&agent.attempt.unit).ok_or(Refusal::NoUnit)?;
        let is_its = unit.attempt == agent.attempt.number && unit.phase.has_lane();
        let id = unit.id().clone();
        if is_its { Ok(id) } else { Err(Refusal::WrongPhase) }
    }

    fn reply(&mut self, actor: &Actor, to: MessageId, text: &Text) -> Result<Reply, Refusal> {
        let unit = self.speaker(actor)?;
        let mail = self.state.mail.get(&to).ok_or(Refusal::NoMessage)?;
        let receipt = mail.receipts.get(&unit).ok_or(Refusal::NoMessage)?;
        if !mail.message.kind.is_directive() || receipt.conversation().is_none() {
            return Err(Refusal::NoMessage);
        }
        let id = self.next_message();
        let reply = Message {
            id,
            from: actor.clone(),
            kind: MailKind::Reply,
            to: Vec::new(),
            desk: None,
            answers: Some(to),
            expires: None,
            urgent: Urgency::Normal,
            text: text.clone(),
        };
        self.mail(Subject::unit(&unit), reply);
        self.receipt(to, &unit, Receipt::Answered);
        Ok(Reply::Mailed { message: id })
    }

    fn escalate(&mut self, actor: &Actor, text: &Text) -> Result<Reply, Refusal> {
        let unit = self.speaker(actor)?;
        let phase = self.unit(&unit).map(|unit| unit.phase).ok_or(Refusal::NoUnit)?;
        if !phase.has_agent() {
            return Err(Refusal::WrongPhase);
        }
        if self.waits_of(&unit).len() >= Self::WAITS_MAX {
            return Err(Refusal::TooMany);
        }
        let id = self.next_message();
        let message = Message {
            id,
            from: actor.clone(),
            kind: MailKind::Escalate,
            to: Vec::new(),
            desk: None,
            answers: None,
            expires: None,
            urgent: Urgency::Normal,
            text: text.clone(),
        };
        self.mail(Subject::unit(&unit), message);
        self.ask(Subject::unit(&unit), Reason::Escalated { message: id }, Answer::GiveUp);
        if phase == Phase::Working {
            self.enter(&unit, Phase::Interrupting { end: End::Escalated });
        }
        Ok(Reply::Mailed { message: id })
    }
}
