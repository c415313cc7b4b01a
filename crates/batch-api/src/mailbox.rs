//! Mail: what agents are told, what they say, and what somebody has to decide.
//!
//! * [`send`]: messages and rulings, on their way in.
//! * [`inbox`]: what waits for people.
//! * [`replies`]: what was answered.
//! * `words`: how recipients and texts are written.

pub mod inbox;
mod present;
pub mod replies;
pub mod send;
mod words;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use words::{MessageText, NotAText, Recipient, ReplyTo};

use crate::actor::Actor;
use crate::id::{MessageId, UnitId};

/// What a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// Changes the course.
    Steer,
    /// Asks for a reply.
    Query,
    /// Is only to be known.
    Info,
    /// Stops a unit.
    Abort,
    /// Answers an escalation.
    Ruling,
    /// Answers a message.
    Reply,
    /// Asks for a decision.
    Escalate,
}

impl fmt::Display for MessageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Steer => "steer",
            Self::Query => "query",
            Self::Info => "info",
            Self::Abort => "abort",
            Self::Ruling => "ruling",
            Self::Reply => "reply",
            Self::Escalate => "escalation",
        })
    }
}

/// A message, as it was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageTold {
    /// Which.
    pub id: MessageId,
    /// When it was accepted, RFC 3339 in UTC.
    pub at: String,
    /// Who sent it, as the transport stamped it.
    pub from: Actor,
    /// The unit it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitId>,
    /// What it is for.
    pub kind: MessageKind,
    /// What it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<MessageId>,
    /// What it says. An agent's text may hold anything.
    pub text: String,
}
