//! The mailbox: what is delivered when, and what becomes of it.

use batch_api::{Actor, ConversationId, MessageId, UnitId};

use super::Decider;
use crate::defect::planted;
use crate::effect::{Action, EffectState, Outcome};
use crate::fact::Nudge;
use crate::journal::Subject;
use crate::mail::{MailKind, Message, Receipt, Text, Urgency};
use crate::unit::Phase;

impl Decider {
    /// Starts an agent; everything that waits for it opens its context.
    pub(super) fn open_context(&mut self, id: &UnitId) {
        let Some(unit) = self.unit(id) else { return };
        let conversation = unit.conversation();
        let opening = if planted!(DirectivesForgotten) { Vec::new() } else { self.queued(id) };
        for message in &opening {
            let conversation = conversation.clone();
            self.receipt(*message, id, Receipt::Injecting { conversation });
        }
        self.intend_of(id, Action::Start { conversation, opening });
    }

    /// Whether something is to be delivered to a unit.
    pub(super) fn has_queued(&self, id: &UnitId) -> bool {
        self.state.queued.get(id).is_some_and(|queued| !queued.is_empty())
    }

    /// What is to be delivered to a unit, in order.
    fn queued(&self, id: &UnitId) -> Vec<MessageId> {
        self.state.queued.get(id).into_iter().flatten().map(|(_, message)| *message).collect()
    }

    /// Whether a message is on its way into a conversation of a unit, or nobody knows yet
    /// whether it is there.
    pub(super) fn is_injecting(&self, id: &UnitId) -> bool {
        self.state.effects_of(id).any(|effect| matches!(effect.action, Action::Inject { .. }))
    }

    /// Gives each agent at work the next message, one at a time.
    pub(super) fn deliver(&mut self) {
        let at_work: Vec<UnitId> = self
            .state
            .units
            .values()
            .filter(|unit| unit.phase == Phase::Working && unit.deaf_until <= self.now)
            .map(|unit| unit.id().clone())
            .collect();
        for id in &at_work {
            let is_busy = self.is_injecting(id);
            let queued = self.state.queued.get(id);
            let next = queued.and_then(|queued| queued.first()).map(|(_, message)| *message);
            let conversation = self.unit(id).map(super::Unit::conversation);
            if let (false, Some(message), Some(conversation)) = (is_busy, next, conversation) {
                let injecting = Receipt::Injecting { conversation: conversation.clone() };
                self.receipt(message, id, injecting);
                self.intend_of(id, Action::Inject { conversation, message });
            }
        }
    }

    /// An injection ended. Evidence of the agent may have come before it.
    pub(super) fn injected(
        &mut self,
        id: &UnitId,
        message: MessageId,
        conversation: &ConversationId,
        outcome: &Outcome,
    ) {
        if *outcome == Outcome::Injected {
            let conversation = conversation.clone();
            self.receipt(message, id, Receipt::Injected { conversation });
        }
        let is_over = self
            .unit(id)
            .is_none_or(|unit| unit.conversation() != *conversation || !unit.phase.has_agent());
        if is_over {
            self.settle(id, conversation);
        }
    }

    /// A conversation is over: what was on its way into it is looked up or given
    /// up, and the rest is settled.
    pub(super) fn conversation_over(&mut self, id: &UnitId) {
        let Some(conversation) = self.unit(id).map(super::Unit::conversation) else { return };
        let open: Vec<_> = self
            .state
            .effects_of(id)
            .filter(|effect| matches!(effect.action, Action::Inject { .. }))
            .cloned()
            .collect();
        for effect in &open {
            match effect.state {
                EffectState::Running { .. } => self.unknown(effect),
                // It certainly is not there, or somebody has been asked in vain.
                EffectState::Resting { .. } | EffectState::Waiting { .. } => {
                    self.close_wait_of(effect);
                    self.end(effect, Outcome::GivenUp);
                }
                EffectState::Seeking { .. } => {}
            }
        }
        self.settle(id, &conversation);
    }

    /// What became of the messages of a conversation that is over: directives are
    /// in force still; of the rest, what was not seen is uncertain.
    fn settle(&mut self, id: &UnitId, conversation: &ConversationId) {
        let under_way: Vec<MessageId> = self
            .state
            .effects_of(id)
            .filter_map(|effect| match &effect.action {
                Action::Inject { message, .. } => Some(*message),
                _ => None,
            })
            .collect();
        let of: Vec<(MessageId, MailKind, Receipt)> = self
            .state
            .mail
            .values()
            .filter_map(|mail| {
                let receipt = mail.receipts.get(id)?;
                let is_of = receipt.conversation() == Some(conversation)
                    && !under_way.contains(&mail.message.id);
                is_of.then(|| (mail.message.id, mail.message.kind, receipt.clone()))
            })
            .collect();
        for (message, kind, receipt) in of {
            let next = match receipt {
                _ if kind.is_directive() => Receipt::Queued,
                Receipt::Injecting { conversation } | Receipt::Injected { conversation } => {
                    Receipt::Uncertain { conversation }
                }
                _ => continue,
            };
            self.receipt(message, id, next);
        }
    }

    /// Mail that nobody is left to read.
    pub(super) fn bury_mail(&mut self, id: &UnitId) {
        if planted!(DeadLettersForgotten) {
            return;
        }
        let left: Vec<MessageId> = self
            .state
            .mail
            .values()
            .filter(|mail| match mail.receipts.get(id) {
                Some(Receipt::Queued) => true,
                Some(_) => mail.is_in_force(id),
                None => false,
            })
            .map(|mail| mail.message.id)
            .collect();
        for message in left {
            self.receipt(message, id, Receipt::Dead);
        }
    }

    /// Mail that is no longer worth delivering.
    pub(super) fn expire(&mut self) {
        if planted!(ExpiryIgnored) {
            return;
        }
        let late: Vec<(MessageId, UnitId)> = self
            .state
            .queued
            .iter()
            .flat_map(|(unit, queued)| queued.iter().map(move |(_, message)| (*message, unit)))
            .filter(|(message, _)| {
                let expires = self.state.mail.get(message).and_then(|mail| mail.message.expires);
                expires.is_some_and(|expires| expires <= self.now)
            })
            .map(|(message, unit)| (message, unit.clone()))
            .collect();
        for (message, unit) in late {
            self.receipt(message, &unit, Receipt::Expired);
        }
    }

    /// The engine says something to an agent at work.
    pub(super) fn nudge(&mut self, id: &UnitId, nudge: Nudge) {
        let text = match nudge {
            Nudge::Continue => {
                "Your packet still has steps that are not checked, or directives that you have not \
                 answered. Go on, or escalate if you cannot."
            }
            Nudge::WrapUp => {
                "Your context is nearly full. Finish the step you are at, check what is done in \
                 STATUS.md, note what comes next, and end your turn."
            }
        };
        let message = Message {
            id: self.next_message(),
            from: Actor::Engine,
            kind: MailKind::Info,
            to: vec![id.clone()],
            desk: None,
            answers: None,
            expires: None,
            urgent: Urgency::Urgent,
            text: text.parse::<Text>().expect("it is short"),
        };
        self.mail(Subject::unit(id), message);
    }
}
