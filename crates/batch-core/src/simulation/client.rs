//! Whoever gives commands: repeats what was not answered, and remembers what was
//! promised.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use batch_api::{Actor, Epoch, MessageId, RequestId, Role, UnitId};

use super::random::Random;
use crate::decide::{Address, Command};
use crate::fact::{Refusal, Reply};
use crate::integration::{Course, Handover};
use crate::mail::{MailKind, Receipt, Urgency};
use crate::state::State;
use crate::unit::{Answer, Reason};

#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) request: RequestId,
    pub(super) actor: Actor,
    pub(super) command: Command,
    /// The engine through whose gateway it comes; any, if it is not an agent's.
    pub(super) epoch: Option<Epoch>,
}

#[derive(Debug, Default)]
pub(super) struct Client {
    pub(super) open: BTreeMap<RequestId, Request>,
    /// Everything that was ever asked.
    asked: BTreeMap<RequestId, Request>,
    pub(super) answers: BTreeMap<RequestId, Reply>,
    count: u64,
    /// Until when a unit waits, by what was promised to its agent.
    escalated: BTreeMap<UnitId, u64>,
    /// Directives that were accepted, when, and for whom.
    directives: BTreeMap<MessageId, (u64, Vec<UnitId>)>,
    /// Directives that were replied to, if the reply has arrived.
    replied: BTreeSet<(MessageId, UnitId)>,
    /// Units that were aborted by a message, and when.
    aborted: BTreeMap<UnitId, u64>,
    /// When the provider takes something again, as it was known before this turn.
    pub(super) limited_until: u64,
    pub(super) broken: Vec<String>,
}

impl Client {
    pub(super) fn ask(&mut self, actor: Actor, command: Command) -> Request {
        self.count += 1;
        let request: RequestId = format!("c{}", self.count).parse().expect("an id");
        let asked = Request { request: request.clone(), actor, command, epoch: None };
        self.open.insert(request, asked.clone());
        asked
    }

    /// A request has reached an engine. Whether it hears the answer or not, what
    /// it asked for may be the case from now on.
    pub(super) fn note(&mut self, request: &Request) {
        match (&request.actor, &request.command) {
            (Actor::Agent(agent), Command::Reply { to, .. }) => {
                self.replied.insert((*to, agent.attempt.unit.clone()));
            }
            (Actor::Operator(_) | Actor::Supervisor(_), Command::Rule { unit: Some(unit), .. }) => {
                self.escalated.remove(unit);
            }
            // A unit that was over, and its waits with it, may go on.
            (_, Command::Retry { .. }) => {
                self.escalated.clear();
                self.aborted.clear();
            }
            _ => {}
        }
        self.asked.insert(request.request.clone(), request.clone());
    }

    /// Something to ask for, given what can be seen.
    pub(super) fn whim(
        &mut self,
        random: &mut Random,
        state: &State,
        whims: Range<u64>,
    ) -> Option<Request> {
        let units: Vec<&UnitId> = state.units.keys().collect();
        let count = u64::try_from(units.len()).ok().filter(|count| *count > 0)?;
        let unit = units[usize::try_from(random.below(count)).ok()?].clone();
        let text = "look at the second step again".parse().expect("a text");
        let urgent = if random.chance(300) { Urgency::Urgent } else { Urgency::Normal };
        let lasts_ms = random.chance(300).then(|| random.between(1_000, 300_000));
        let command = match random.between(whims.start, whims.end - 1) {
            0 => Command::Pause,
            1 => Command::Resume,
            2 => Command::Skip { unit },
            3 if random.chance(500) => {
                let (to, kind) = (Address::Unit(unit), MailKind::Abort);
                Command::Send { to, kind, answers: None, urgent, lasts_ms, text }
            }
            3 => Command::Stop { unit },
            4 => Command::Retry { unit },
            5 | 6 => {
                let (to, kind) = (Address::Everyone, MailKind::Info);
                Command::Send { to, kind, answers: None, urgent, lasts_ms, text }
            }
            7 => {
                let to = Address::Role { role: Role::Worker, unit: None };
                Command::Send { to, kind: MailKind::Steer, answers: None, urgent, lasts_ms, text }
            }
            12 => Command::Abort,
            number => {
                let kind = match number {
                    8 => MailKind::Query,
                    9 => MailKind::Info,
                    _ => MailKind::Steer,
                };
                let to = Address::Unit(unit);
                Command::Send { to, kind, answers: None, urgent, lasts_ms, text }
            }
        };
        let actor = Actor::Operator("anna".parse().expect("a name"));
        Some(self.ask(actor, command))
    }

    /// Wants what is merged to be brought somewhere, or to bring it himself, who may not.
    pub(super) fn want_integration(&mut self, random: &mut Random) -> Request {
        let name = |text: &str| text.parse().expect("a name");
        let course = match random.below(3) {
            0 => Course::Forward { into: name("main") },
            1 => Course::Merge { into: name("main") },
            _ => Course::Push { remote: name("origin") },
        };
        let handover = Handover { branch: name("hotcell/batch"), course };
        let name = |text: &str| text.parse().expect("a name");
        let actor = match random.chance(100) {
            true => Actor::Supervisor(name("night")),
            false => Actor::Operator(name("anna")),
        };
        self.ask(actor, Command::Integrate { handover })
    }

    /// Answers something that is asked of the owner.
    pub(super) fn rule(&mut self, random: &mut Random, state: &State) -> Option<(Request, Reason)> {
        let open = state.waits.values().next()?;
        let is_asked = self.open.values().any(
            |request| matches!(&request.command, Command::Rule { wait, .. } if *wait == open.wait.id),
        );
        if is_asked {
            return None;
        }
        let give_up = match open.wait.reason {
            Reason::Stuck { .. } | Reason::Deadly { .. } => 200,
            Reason::Escalated { .. } | Reason::Undelivered { .. } | Reason::Ceiling => 300,
        };
        let answer = if random.chance(give_up) { Answer::GiveUp } else { Answer::Go };
        let text = "the first of the two".parse().expect("a text");
        let command = Command::Rule { wait: open.wait.id, unit: open.unit.clone(), answer, text };
        let supervisor = Actor::Supervisor("night".parse().expect("a name"));
        Some((self.ask(supervisor, command), open.wait.reason.clone()))
    }

    /// An answer comes: the same for the same request, for ever.
    pub(super) fn answered(&mut self, request: &RequestId, reply: &Reply, now: u64, state: &State) {
        self.open.remove(request);
        if let Some(first) = self.answers.get(request) {
            if first != reply {
                self.broken.push(format!("{request} was answered {first:?}, and then {reply:?}"));
            }
            return;
        }
        if *reply == (Reply::Refused { refusal: Refusal::RequestReused }) {
            self.broken.push(format!("{request} was taken for another one"));
        }
        self.answers.insert(request.clone(), reply.clone());
        let Some(asked) = self.asked.get(request) else { return };
        match (&asked.actor, &asked.command, reply) {
            (_, _, Reply::Refused { .. }) => {}
            (Actor::Agent(agent), Command::Escalate { .. }, _) => {
                let wait_ms = state.spec.as_ref().map_or(0, |spec| spec.limits.wait_ms);
                self.escalated.insert(agent.attempt.unit.clone(), now + wait_ms);
            }
            (Actor::Agent(_), Command::Reply { .. }, _) => {}
            (Actor::Supervisor(name), command @ Command::Integrate { .. }, _) => {
                self.broken.push(format!("{name} was let do {command:?}"));
            }
            (Actor::Agent(agent), command, _) => {
                self.broken.push(format!("{agent} was let do {command:?}"));
            }
            (_, Command::Send { kind: MailKind::Abort, .. }, Reply::Mailed { message }) => {
                let to = state.mail.get(message).map(|mail| mail.message.to.clone());
                self.aborted.extend(to.unwrap_or_default().into_iter().map(|unit| (unit, now)));
            }
            (_, Command::Send { kind, .. }, Reply::Mailed { message }) if kind.is_directive() => {
                let to = state.mail.get(message).map(|mail| mail.message.to.clone());
                self.directives.insert(*message, (now, to.unwrap_or_default()));
            }
            _ => {}
        }
    }

    /// A unit's agent is started: nothing it asked for may be open, and what it was
    /// told comes with its opening.
    pub(super) fn check_start(&mut self, unit: &UnitId, now: u64, state: &State) {
        if now < self.limited_until {
            self.broken.push(format!("at {now}: {unit} asks a provider that takes nothing"));
        }
        if let (Some(spec), Some(known)) = (&state.spec, state.units.get(unit)) {
            let (limit, used) = (spec.limits.unit, known.usage);
            if used.tokens >= limit.tokens.saturating_mul(known.grants + 1) {
                self.broken.push(format!("at {now}: {unit} goes on with {} tokens", used.tokens));
            }
        }
        let is_left_out = |message: &MessageId| {
            let receipt = state.mail.get(message).and_then(|mail| mail.receipts.get(unit));
            receipt == Some(&Receipt::Queued)
        };
        let left_out = self.directives.iter().find(|(message, (accepted, to))| {
            *accepted < now && to.contains(unit) && is_left_out(message)
        });
        if let Some((message, _)) = left_out {
            self.broken.push(format!("at {now}: {unit} goes on without knowing {message}"));
        }
        if self.aborted.get(unit).is_some_and(|accepted| *accepted < now) {
            self.broken.push(format!("at {now}: {unit} goes on although it was aborted"));
        }
        if self.escalated.get(unit).is_some_and(|deadline| now < *deadline) {
            self.broken.push(format!("at {now}: {unit} goes on without the answer it waits for"));
        }
    }

    /// A message is sent into a conversation for the first time.
    pub(super) fn check_sent(&mut self, message: MessageId, now: u64, state: &State) {
        let expires = state.mail.get(&message).and_then(|mail| mail.message.expires);
        if expires.is_some_and(|expires| expires.0 <= now) {
            self.broken.push(format!("at {now}: {message} is sent, and has expired"));
        }
    }

    /// A unit's merge is taken: nothing that it was told may be open.
    pub(super) fn check_merge(&mut self, unit: &UnitId, state: &State) {
        if state.units.get(unit).is_some_and(|unit| unit.status.revise > 0) {
            self.broken.push(format!("{unit} is merged against its latest review"));
        }
        let settled = |message: &MessageId| {
            let receipt = state.mail.get(message).and_then(|mail| mail.receipts.get(unit));
            let is_answered = self.replied.contains(&(*message, unit.clone()));
            matches!(receipt, Some(Receipt::Dead | Receipt::Expired))
                || receipt == Some(&Receipt::Answered) && is_answered
        };
        let open = self
            .directives
            .iter()
            .find(|(message, (_, to))| to.contains(unit) && !settled(message));
        if let Some((message, _)) = open {
            self.broken.push(format!("{unit} is merged and has not answered {message}"));
        }
    }
}
