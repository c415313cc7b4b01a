//! What has happened in a batch, in words.

use operation::{Effect, Example, Operation, Present, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Target, UnitRef};
use crate::actor::Actor;
use crate::id::{AttemptId, BatchId, UnitId};

/// Show what has happened in a batch, the oldest first
///
/// The facts of its journal: what was decided, begun and ended, who asked for what, and
/// what was answered. With or without an engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Events {
    /// Which batch
    #[command(flatten)]
    #[serde(default)]
    pub target: Target,
    /// Only events of this task, or unit
    #[arg(long, value_name = "UNIT")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitRef>,
    /// Only events after this sequence number; without it, the last ones
    #[arg(long, value_name = "SEQUENCE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// How many events at most, or of the past if it goes on
    #[arg(long, default_value_t = Events::LIMIT, value_parser = clap::value_parser!(u32).range(1..=1000))]
    #[serde(default = "limit")]
    #[schemars(range(min = 1, max = 1000))]
    pub limit: u32,
    /// Go on and tell events as they come, until the batch is over
    #[arg(long)]
    #[serde(default)]
    pub follow: bool,
}

impl Events {
    /// How many events there are at most unless more are asked for.
    pub const LIMIT: u32 = 100;

    /// The last events of a batch.
    #[must_use]
    pub const fn of(target: Target) -> Self {
        Self { target, unit: None, after: None, limit: Self::LIMIT, follow: false }
    }
}

const fn limit() -> u32 {
    Events::LIMIT
}

impl Operation for Events {
    type Output = BatchEvents;
    type Event = BatchEvent;
    const NAME: &'static str = "batch.events";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] = &[
        Example { argv: "", json: "{}" },
        Example {
            argv: "bat_0190 --unit TP-014 --after 12 --limit 50",
            json: r#"{"target": {"batch": "bat_0190"}, "unit": "TP-014", "after": 12, "limit": 50}"#,
        },
        Example { argv: "--follow", json: r#"{"follow": true}"# },
    ];
}

/// Some of what has happened in a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BatchEvents {
    /// The batch.
    pub id: BatchId,
    /// The oldest first; none if they were told as they came.
    pub events: Vec<BatchEvent>,
    /// Where to go on: pass it as `after`.
    pub next_after: u64,
}

/// Something that happened in a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BatchEvent {
    /// Counts the records of the journal, from 1.
    pub sequence: u64,
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// Under which engine.
    pub epoch: u64,
    /// Who caused it.
    pub actor: Actor,
    /// The earlier record because of which it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<u64>,
    /// The unit that it is about; the whole batch if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitId>,
    /// The attempt that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<AttemptId>,
    /// What happened.
    pub text: String,
}

impl Present for BatchEvent {
    fn is_followed(&self) -> bool {
        true
    }

    fn present(&self, screen: &mut Screen) {
        let Self { sequence, at, actor, text, .. } = self;
        let subject = match (&self.attempt, &self.unit) {
            (Some(attempt), _) => attempt.to_string(),
            (None, Some(unit)) => unit.to_string(),
            (None, None) => "batch".to_owned(),
        };
        let by = match actor {
            Actor::Engine => String::new(),
            actor => format!("  ({actor})"),
        };
        screen.line(format!("{sequence:>6}  {at}  {subject:<18}  {text}{by}"));
    }
}

impl Present for BatchEvents {
    fn present(&self, screen: &mut Screen) {
        self.events.iter().for_each(|event| event.present(screen));
        if self.events.is_empty() && self.next_after == 0 {
            screen.note("Nothing has happened yet");
        }
    }
}
