//! Messages on their way in.

use operation::{Effect, Example, NoEvents, Operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use workspace_api::time::TimeSpan;

use super::{MessageKind, MessageText, Recipient, ReplyTo};
use crate::control::Target;
use crate::id::{BatchId, MessageId, RequestId, UnitId, WaitId};

/// Send a message to an agent of a batch, or to people
///
/// It is accepted once it is durable, and read by the agent of then: one that is not
/// started yet reads it first of all, and one that hears nothing while it works reads it
/// when its turn is over. A directive (steer, query, ruling) is in force until it is
/// answered: it opens every new context until then, and nothing is done before.
/// `batch replies` shows the answers, `batch inbox` what could not be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Send {
    /// Task or unit, with `:worker` or without; `everyone`, `supervisor` or `operator`
    #[arg(value_name = "TO")]
    pub to: Recipient,
    /// What it says, up to 4096 bytes
    pub text: MessageText,
    /// What it is for
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub kind: SentKind,
    /// Whether it overtakes others that wait
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub priority: Priority,
    /// Do not deliver it later than this from now, such as `10m`
    #[arg(long, value_name = "TIME")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<TimeSpan>,
    /// The message that it answers; for a ruling the wait
    #[arg(long, value_name = "ID")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<ReplyTo>,
    /// Which batch
    #[command(flatten)]
    #[serde(default)]
    pub target: Target,
    /// Name of this request: repeated, it gets the first answer
    #[arg(long, value_name = "ID")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
}

impl Send {
    /// A steer to somebody in the batch of the current directory.
    #[must_use]
    pub fn new(to: Recipient, text: MessageText) -> Self {
        Self {
            to,
            text,
            kind: SentKind::default(),
            priority: Priority::default(),
            expires: None,
            reply_to: None,
            target: Target::default(),
            request_id: None,
        }
    }
}

/// What can be sent.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum SentKind {
    /// Changes what the agent does; in force until it is answered
    #[default]
    Steer,
    /// Asks for an answer; in force until there is one
    Query,
    /// Is only to be known, and read once
    Info,
    /// Stops the unit, whatever its agent thinks of it; its work is captured
    Abort,
    /// Lets go on what waits (`--reply-to wait_…`)
    Ruling,
}

/// In which order messages are delivered.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// In the order in which they were accepted
    #[default]
    Normal,
    /// Before normal ones
    Urgent,
}

impl Operation for Send {
    type Output = Sent;
    type Event = NoEvents;
    const NAME: &'static str = "batch.send";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[
        Example {
            argv: "TP-014 'Leave the old parser in place.'",
            json: r#"{"to": "TP-014", "text": "Leave the old parser in place."}"#,
        },
        Example {
            argv: "TP-014 'Which format did you choose?' --kind query --priority urgent --expires 30m",
            json: r#"{"to": "TP-014", "text": "Which format did you choose?", "kind": "query",
                "priority": "urgent", "expires": "30m"}"#,
        },
        Example {
            argv: "TP-014 'No longer needed.' bat_0190 --kind abort",
            json: r#"{"to": "TP-014", "text": "No longer needed.", "kind": "abort",
                "target": {"batch": "bat_0190"}}"#,
        },
    ];
}

/// Send a message to every unit of a batch that is not over
///
/// Either all of them have room for it, or none receives it. A unit whose agent starts
/// later receives it then; one that was over receives nothing, also if it is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Broadcast {
    /// What it says, up to 4096 bytes
    pub text: MessageText,
    /// What it is for: not a ruling
    #[arg(long, value_enum, default_value_t = SentKind::Info)]
    #[serde(default = "info")]
    pub kind: SentKind,
    /// Whether it overtakes others that wait
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub priority: Priority,
    /// Do not deliver it later than this from now, such as `10m`
    #[arg(long, value_name = "TIME")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<TimeSpan>,
    /// Which batch
    #[command(flatten)]
    #[serde(default)]
    pub target: Target,
    /// Name of this request: repeated, it gets the first answer
    #[arg(long, value_name = "ID")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
}

const fn info() -> SentKind {
    SentKind::Info
}

impl Operation for Broadcast {
    type Output = Sent;
    type Event = NoEvents;
    const NAME: &'static str = "batch.broadcast";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[
        Example {
            argv: "'The registry is down until noon.' --expires 2h",
            json: r#"{"text": "The registry is down until noon.", "expires": "2h"}"#,
        },
        Example {
            argv: "'Log nothing secret.' --kind steer",
            json: r#"{"text": "Log nothing secret.", "kind": "steer"}"#,
        },
    ];
}

/// A message that is in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sent {
    /// The batch.
    pub id: BatchId,
    /// The message.
    pub message: MessageId,
    /// What it is for.
    pub kind: MessageKind,
    /// The units that receive it; none if it is for people.
    pub units: Vec<UnitId>,
    /// The name under which it can be repeated.
    pub request_id: RequestId,
}

/// Answer what a batch waits for
///
/// Only this closes an escalation before its deadline. With `go`, an agent that asked is
/// started anew with the text as its ruling, and with its own question; what is said to
/// other waits is on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// What waits, as `batch inbox` shows it
    pub wait: WaitId,
    /// Whether it goes on
    #[arg(value_enum)]
    pub answer: WaitAnswer,
    /// What is said, up to 4096 bytes
    pub text: MessageText,
    /// Which batch
    #[command(flatten)]
    #[serde(default)]
    pub target: Target,
    /// Name of this request: repeated, it gets the first answer
    #[arg(long, value_name = "ID")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
}

/// What a wait is answered with.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum WaitAnswer {
    /// Go on; do it again; use as much again
    Go,
    /// Give it up
    GiveUp,
}

impl Operation for Answer {
    type Output = Answered;
    type Event = NoEvents;
    const NAME: &'static str = "batch.answer";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[
        Example {
            argv: "wait_1 go 'Use the second format.'",
            json: r#"{"wait": "wait_1", "answer": "go", "text": "Use the second format."}"#,
        },
        Example {
            argv: "wait_2 give-up 'Too expensive.' bat_0190",
            json: r#"{"wait": "wait_2", "answer": "give_up", "text": "Too expensive.",
                "target": {"batch": "bat_0190"}}"#,
        },
    ];
}

/// An answer that is in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Answered {
    /// The batch.
    pub id: BatchId,
    /// What had waited.
    pub wait: WaitId,
    /// What it was answered with.
    pub answer: WaitAnswer,
    /// The message that says so.
    pub message: MessageId,
    /// The name under which it can be repeated.
    pub request_id: RequestId,
}
