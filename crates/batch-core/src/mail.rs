//! Messages, and how far each has come with each of its recipients.
//!
//! ```text
//!            ┌──────────── conversation over, still in force ───────────┐
//!            ▼                                                          │
//!  ───▶ Queued ──▶ Injecting ──▶ Injected ──▶ Seen ──────▶ Answered     │
//!         │            │             │          │                       │
//!         │            ▼             ▼          └───────────────────────┤
//!         │        Uncertain ◀───────┘ conversation over, cannot be proved
//!         ▼            │
//!      Expired       Dead: uncertain and given up, or nobody is left to read it
//! ```
//!
//! A message is accepted when it is in the journal. It is uniquely delivered per
//! conversation: at most one injection or opening of a conversation carries it.
//!
//! A **directive** (steer, query, ruling) is in force until it is answered. A
//! fresh context knows nothing of an earlier one, so directives in force open
//! every context, marked as such, and stand against completion. An **info** is
//! read once: if its conversation ends before it was seen, nobody knows, so it
//! becomes uncertain and is not sent again.
//!
//! An **abort** is carried out and never injected: the unit is given up in the same
//! decision, so the message is answered as it is accepted.
//!
//! **Recipients** are units, not agents; which attempt and conversation reads a
//! message is settled when it is injected. Who is addressed by a role or as everyone
//! is settled when the message is accepted: the units that are not over and whose
//! merge has not been granted. Of **late joiners**,
//!
//! * a unit whose agent starts later, or is started again, receives it then, if it
//!   has not expired;
//! * a unit that was over receives nothing, also if it is tried again: what was sent
//!   to it in its earlier life is dead, and stays so.
//!
//! A message may be for people instead: a **desk** reads it in its inbox. So are all
//! messages of agents, for whoever sent what they answer, and for the owner.

use std::collections::BTreeMap;

pub use batch_api::mailbox::MessageText as Text;
use batch_api::{Actor, ConversationId, MessageId, UnitId};
use serde::{Deserialize, Serialize};

use crate::time::Time;

/// What a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailKind {
    /// Changes the course.
    Steer,
    /// Asks for a reply.
    Query,
    /// Is only to be known.
    Info,
    /// Stops the unit, whatever its agent thinks of it.
    Abort,
    /// Answers an escalation.
    Ruling,
    /// An agent's answer to a directive.
    Reply,
    /// An agent needs a decision.
    Escalate,
}

impl MailKind {
    /// Whether it is in force until it is answered.
    #[must_use]
    pub const fn is_directive(self) -> bool {
        matches!(self, Self::Steer | Self::Query | Self::Ruling)
    }
}

/// A message, as it was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// Who sent it.
    pub from: Actor,
    /// What it is for.
    pub kind: MailKind,
    /// The units that receive it; none if it is for the owner.
    pub to: Vec<UnitId>,
    /// The desk that receives it, instead of units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desk: Option<Desk>,
    /// What it answers.
    pub answers: Option<MessageId>,
    /// When it is no longer worth delivering.
    pub expires: Option<Time>,
    /// Delivered before others.
    pub urgent: Urgency,
    /// What it says.
    pub text: Text,
}

/// Where people, and programs in their place, read their mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Desk {
    /// Whoever has the right to everything.
    Operator,
    /// Whatever watches over the batch.
    Supervisor,
}

/// In which order messages are delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// Before normal ones.
    Urgent,
    /// In the order in which they were accepted.
    Normal,
}

/// How far a message has come with one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[expect(missing_docs, reason = "the diagram of the module says what each is")]
pub enum Receipt {
    Queued,
    Injecting { conversation: ConversationId },
    Injected { conversation: ConversationId },
    Seen { conversation: ConversationId },
    Answered,
    Uncertain { conversation: ConversationId },
    Expired,
    Dead,
}

impl Receipt {
    /// The conversation in which it now is, for one that is under way.
    #[must_use]
    pub const fn conversation(&self) -> Option<&ConversationId> {
        match self {
            Self::Injecting { conversation }
            | Self::Injected { conversation }
            | Self::Seen { conversation }
            | Self::Uncertain { conversation } => Some(conversation),
            Self::Queued | Self::Answered | Self::Expired | Self::Dead => None,
        }
    }

    /// Whether the step is legal. Total: every pair has an answer.
    #[must_use]
    pub const fn may_become(&self, next: &Self) -> bool {
        use Receipt::{Answered, Dead, Expired, Injected, Injecting, Queued, Seen, Uncertain};
        match self {
            Queued => matches!(next, Injecting { .. } | Expired | Dead | Answered),
            Injecting { .. } => {
                matches!(
                    next,
                    Injected { .. } | Seen { .. } | Queued | Uncertain { .. } | Dead | Answered
                )
            }
            Injected { .. } => {
                matches!(next, Seen { .. } | Answered | Queued | Uncertain { .. } | Dead)
            }
            Seen { .. } => matches!(next, Answered | Queued | Dead),
            Uncertain { .. } => matches!(next, Queued | Seen { .. } | Answered | Dead),
            Answered | Expired | Dead => false,
        }
    }
}

/// A message and its receipts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// The message.
    pub message: Message,
    /// How far it has come, by recipient.
    pub receipts: BTreeMap<UnitId, Receipt>,
    /// Into how many conversations of each recipient it was sent, at least on its way.
    pub sent: BTreeMap<UnitId, u32>,
    /// When it was accepted.
    pub at: Time,
}

impl Mail {
    /// A message that was just accepted.
    #[must_use]
    pub fn new(message: Message, at: Time) -> Self {
        let receipts = message.to.iter().map(|unit| (unit.clone(), Receipt::Queued)).collect();
        Self { message, receipts, sent: BTreeMap::new(), at }
    }

    /// Whether an earlier conversation of the unit may have had it: a directive that
    /// opens another one is marked as such.
    #[must_use]
    pub fn is_repeated(&self, unit: &UnitId) -> bool {
        self.sent.get(unit).is_some_and(|times| *times > 1)
    }

    /// Whether it is a directive that the unit has not fulfilled.
    #[must_use]
    pub fn is_in_force(&self, unit: &UnitId) -> bool {
        let settled = |receipt: &Receipt| {
            matches!(receipt, Receipt::Answered | Receipt::Expired | Receipt::Dead)
        };
        self.message.kind.is_directive() && self.receipts.get(unit).is_some_and(|r| !settled(r))
    }
}
