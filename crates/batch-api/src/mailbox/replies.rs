//! What was answered.

use operation::{Effect, Example, Operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::MessageTold;
use crate::control::Target;
use crate::id::{BatchId, MessageId};

/// Show the answers to messages that you have sent
///
/// The oldest first. Pass the last id as `--after` to read what came later, or follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Replies {
    /// Answers to anybody's messages
    #[arg(long)]
    #[serde(default)]
    pub all: bool,
    /// Only what was said after this message
    #[arg(long, value_name = "MESSAGE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<MessageId>,
    /// How many answers at most
    #[arg(long, default_value_t = Replies::LIMIT, value_parser = clap::value_parser!(u32).range(1..=1000))]
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1, max = 1000))]
    pub limit: u32,
    /// Go on and tell answers as they come, until the batch is over
    #[arg(long)]
    #[serde(default)]
    pub follow: bool,
    /// Which batch
    #[command(flatten)]
    #[serde(default)]
    pub target: Target,
}

impl Replies {
    /// How many answers there are at most unless more are asked for.
    pub const LIMIT: u32 = 100;
}

impl Default for Replies {
    fn default() -> Self {
        let target = Target::default();
        Self { all: false, after: None, limit: Self::LIMIT, follow: false, target }
    }
}

const fn default_limit() -> u32 {
    Replies::LIMIT
}

impl Operation for Replies {
    type Output = ReplyList;
    type Event = MessageTold;
    const NAME: &'static str = "batch.replies";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] = &[
        Example { argv: "", json: "{}" },
        Example {
            argv: "bat_0190 --all --after msg_12 --limit 10",
            json: r#"{"all": true, "after": "msg_12", "limit": 10, "target": {"batch": "bat_0190"}}"#,
        },
    ];
}

/// Answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplyList {
    /// The batch.
    pub id: BatchId,
    /// The oldest first; none of those that were told as events.
    pub replies: Vec<MessageTold>,
    /// Where to go on: pass it as `after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<MessageId>,
}
