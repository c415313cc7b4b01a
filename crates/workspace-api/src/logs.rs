//! The history of a workspace: its ledger, read.

use std::fmt;
use std::str::FromStr;

use operation::{Effect, Example, Operation, Present, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{WorkspaceId, WorkspaceRef};
use crate::ledger::LedgerEvent;
use operation::text_value;

/// Show what happened in a workspace
///
/// Every command, edit, crossing between host and guest, service, snapshot and
/// decision of policy, the oldest first. Works for deleted workspaces as well,
/// for as long as `workspace list --deleted` shows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Logs {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// Only events of this kind, such as `command_ended` (can be repeated)
    #[arg(long, value_name = "KIND")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kind: Vec<EventKind>,
    /// Only events after this sequence number; without it, the last ones
    #[arg(long, value_name = "SEQUENCE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// How many events at most
    #[arg(long, default_value_t = Logs::LIMIT, value_parser = clap::value_parser!(u32).range(1..=1000))]
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1, max = 1000))]
    pub limit: u32,
    /// Go on and tell events as they come, until the workspace is deleted
    #[arg(long)]
    #[serde(default)]
    pub follow: bool,
}

impl Logs {
    /// How many events there are at most unless more are asked for.
    pub const LIMIT: u32 = 100;
    /// How many may be asked for.
    pub const LIMIT_MAX: u32 = 1000;

    /// The last events of a workspace.
    #[must_use]
    pub fn new(workspace: WorkspaceRef) -> Self {
        Self { workspace, kind: Vec::new(), after: None, limit: Self::LIMIT, follow: false }
    }
}

fn default_limit() -> u32 {
    Logs::LIMIT
}

impl Operation for Logs {
    type Output = Log;
    type Event = LoggedEvent;
    const NAME: &'static str = "workspace.logs";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] = &[
        Example { argv: "demo", json: r#"{"workspace": "demo"}"# },
        Example {
            argv: "demo --kind command_ended --after 12 --limit 50",
            json: r#"{"workspace": "demo", "kind": ["command_ended"], "after": 12, "limit": 50}"#,
        },
    ];
}

/// The kind of an event: lower-case words joined by `_`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventKind(String);

impl EventKind {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EventKind {
    type Err = NotAKind;

    fn from_str(text: &str) -> Result<Self, NotAKind> {
        let valid = (1..=64).contains(&text.len())
            && text.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        if valid { Ok(Self(text.to_owned())) } else { Err(NotAKind(text.to_owned())) }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no kind of event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no kind of event: write a word such as `command_ended`")]
pub struct NotAKind(String);

text_value!(EventKind, "^[a-z_]{1,64}$");

/// Some of a workspace's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Log {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The oldest first.
    pub events: Vec<LoggedEvent>,
    /// Where to go on: pass it as `after`.
    pub next_after: u64,
}

/// An event and when it happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LoggedEvent {
    /// Counts the events of the workspace, from 1.
    pub sequence: u64,
    /// When it happened, RFC 3339 in UTC.
    pub at: String,
    /// What happened.
    pub event: LedgerEvent,
}

impl Present for LoggedEvent {
    fn present(&self, screen: &mut Screen) {
        let Self { sequence, at, event } = self;
        let mut line = format!("{sequence:>6}  {at}  {:<18}", event.kind());
        let mut last_lines = None;
        // As JSON, so that nothing in a value can reach the terminal.
        if let Ok(Value::Object(mut fields)) = serde_json::to_value(event) {
            last_lines = fields.remove("output_end");
            for (key, value) in fields.iter().filter(|(key, _)| *key != "kind") {
                line.push_str(&[" ", key, "=", &value.to_string()].concat());
            }
        }
        screen.line(line.trim_end());
        let last_lines = last_lines.as_ref().and_then(Value::as_str).unwrap_or_default();
        for line in last_lines.lines() {
            let printable: String = line.chars().filter(|c| !c.is_control()).collect();
            screen.line(format!("        | {printable}"));
        }
    }
}

impl Present for Log {
    fn present(&self, screen: &mut Screen) {
        self.events.iter().for_each(|event| event.present(screen));
        if self.events.is_empty() && self.next_after == 0 {
            screen.note("No such events");
        }
    }
}
