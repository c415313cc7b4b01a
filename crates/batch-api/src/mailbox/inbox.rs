//! What waits for people.

use operation::{Effect, Example, NoEvents, Operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::MessageTold;
use crate::actor::Actor;
use crate::control::Target;
use crate::id::{BatchId, UnitId, WaitId};

/// Show what waits for somebody: questions of agents, messages, failed deliveries
///
/// Reads the journal, and disturbs nobody. Each thing that waits has an owner, a deadline,
/// and what happens then if nobody answers; `batch answer` answers it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Inbox {
    /// Whose messages
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub desk: DeskName,
    /// Which batch
    #[command(flatten)]
    #[serde(default)]
    pub target: Target,
}

/// A desk of people, or of programs in their place.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum DeskName {
    /// Of whoever has the right to everything
    #[default]
    Operator,
    /// Of whatever watches over the batch
    Supervisor,
}

impl Operation for Inbox {
    type Output = InboxContent;
    type Event = NoEvents;
    const NAME: &'static str = "batch.inbox";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] = &[
        Example { argv: "", json: "{}" },
        Example {
            argv: "bat_0190 --desk supervisor",
            json: r#"{"desk": "supervisor", "target": {"batch": "bat_0190"}}"#,
        },
    ];
}

/// What waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InboxContent {
    /// The batch.
    pub id: BatchId,
    /// What somebody has to answer, the oldest first.
    pub waits: Vec<InboxWait>,
    /// Messages to the desk that nobody has answered, the oldest first.
    pub messages: Vec<MessageTold>,
    /// Messages that did not arrive, or of which nobody knows whether they did; the last
    /// hundred.
    pub undelivered: Vec<Undelivered>,
}

/// Something that somebody has to answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InboxWait {
    /// Which.
    pub id: WaitId,
    /// The unit that waits; the whole batch if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitId>,
    /// What has to be said.
    pub reason: String,
    /// The message that it is about: an agent's question, or one that may not have arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageTold>,
    /// Who has to say it.
    pub owner: Actor,
    /// Since when, RFC 3339 in UTC.
    pub since: String,
    /// Until when, RFC 3339 in UTC.
    pub deadline: String,
    /// What happens then.
    pub default: String,
}

/// A message that one of its recipients did not get, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Undelivered {
    /// The message.
    pub message: MessageTold,
    /// The recipient.
    pub to: UnitId,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a message that did not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It may have arrived, and is not sent again unless somebody says so.
    Uncertain,
    /// It was too late.
    Expired,
    /// Nobody is left to read it, or to answer it.
    Dead,
}
