//! What was said and printed in a batch: kept beside its journal, whose facts name it by
//! its digest and never need it.

mod present;

use std::fmt;
use std::str::FromStr;

use operation::{Effect, Example, NoEvents, Operation, text_value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use workspace_api::time::TimeSpan;

use crate::control::{Target, UnitRef};
use crate::id::{AttemptId, BatchId, ConversationId, EffectId, NotAnId};

/// Means one trace: its digest, or a unique beginning of it of at least eight digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceRef(String);

impl TraceRef {
    /// Fewest digits of a digest that mean it.
    pub const DIGITS_MIN: usize = 8;

    /// Whether it can mean the trace with that digest.
    #[must_use]
    pub fn means(&self, digest: &str) -> bool {
        digest.starts_with(&self.0)
    }
}

impl FromStr for TraceRef {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        const FORM: &str = "`sha256:` and 8 to 64 hexadecimal digits";
        let digits = text.strip_prefix("sha256:").filter(|digits| {
            (Self::DIGITS_MIN..=64).contains(&digits.len())
                && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        });
        digits.map(|_| Self(text.to_owned())).ok_or_else(|| NotAnId::of("trace", text, FORM))
    }
}

impl fmt::Display for TraceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(TraceRef, "^sha256:[0-9a-f]{8,64}$");

/// List what was said and printed in a batch: transcripts, and the output of verification
///
/// With or without an engine. Each is named by its digest, which the journal has; what was
/// pruned is listed, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Traces {
    /// Which batch
    #[command(flatten)]
    #[serde(default)]
    pub target: Target,
    /// Only of this task, or unit
    #[arg(long, value_name = "UNIT")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitRef>,
}

impl Operation for Traces {
    type Output = TraceList;
    type Event = NoEvents;
    const NAME: &'static str = "batch.traces";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] = &[
        Example { argv: "", json: "{}" },
        Example {
            argv: "bat_0190 --unit TP-014",
            json: r#"{"target": {"batch": "bat_0190"}, "unit": "TP-014"}"#,
        },
    ];
}

/// The traces of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TraceList {
    /// The batch.
    pub id: BatchId,
    /// The oldest first.
    pub traces: Vec<TraceEntry>,
}

/// A trace, as the journal names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TraceEntry {
    /// The digest of what was kept.
    pub trace: String,
    /// What it is.
    pub kind: TraceKind,
    /// Whose.
    pub attempt: AttemptId,
    /// In which conversation it was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<ConversationId>,
    /// Of which effect it is the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<EffectId>,
    /// How many bytes were kept.
    pub bytes: u64,
    /// How many bytes more there were.
    pub cut_bytes: u64,
    /// What of it is there.
    pub state: TraceState,
    /// The record that names it.
    pub sequence: u64,
}

/// What a trace is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TraceKind {
    /// What an agent was told and has said.
    Transcript,
    /// What the verification commands have printed.
    Verification,
}

/// What of a trace is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TraceState {
    /// All of it.
    Kept,
    /// All but what was hidden.
    Redacted,
    /// Nothing.
    Pruned,
}

/// Show a transcript, or the output of a verification
///
/// Its last bytes, by the digest that `batch events` and `batch traces` show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Trace {
    /// Which: its digest, or the beginning of it
    pub trace: TraceRef,
    /// Which batch
    #[command(flatten)]
    #[serde(default)]
    pub target: Target,
    /// How many bytes at most, from the end
    #[arg(long, default_value_t = Trace::BYTES, value_parser = clap::value_parser!(u32).range(1..=67_108_864))]
    #[serde(default = "bytes")]
    #[schemars(range(min = 1, max = 67_108_864))]
    pub max_bytes: u32,
}

impl Trace {
    /// How many bytes there are unless more are asked for.
    pub const BYTES: u32 = 1024 * 1024;
}

const fn bytes() -> u32 {
    Trace::BYTES
}

impl Operation for Trace {
    type Output = TraceContent;
    type Event = NoEvents;
    const NAME: &'static str = "batch.trace";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] = &[
        Example { argv: "sha256:3f9c01de", json: r#"{"trace": "sha256:3f9c01de"}"# },
        Example {
            argv: "sha256:3f9c01de bat_0190 --max-bytes 4096",
            json: r#"{"trace": "sha256:3f9c01de", "target": {"batch": "bat_0190"}, "max_bytes": 4096}"#,
        },
    ];
}

/// What of a trace is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TraceContent {
    /// The batch.
    pub id: BatchId,
    /// The digest of what was kept.
    pub trace: String,
    /// What of it is there.
    pub state: TraceState,
    /// How many bytes of it come before the text, and are not shown.
    pub omitted_bytes: u64,
    /// Its end. What is no text is shown as `�`.
    pub text: String,
}

/// Remove what was said and printed, and leave the journal as it is
///
/// Facts name traces by their digests, and nothing is decided by what they hold: so the
/// chain of the journal stays whole. An engine removes the oldest by itself when a batch
/// has more than 512 MiB of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Prune {
    /// Which batch
    #[command(flatten)]
    #[serde(default)]
    pub target: Target,
    /// This trace, by its digest; may be given several times
    #[arg(long = "trace", value_name = "TRACE")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traces: Vec<TraceRef>,
    /// Those that were kept longer ago, such as `7d`
    #[arg(long, value_name = "SPAN")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub older_than: Option<TimeSpan>,
}

impl Operation for Prune {
    type Output = TracesPruned;
    type Event = NoEvents;
    const NAME: &'static str = "batch.prune";
    const EFFECT: Effect = Effect::Destroys;
    const EXAMPLES: &'static [Example] = &[
        Example { argv: "--older-than 7d", json: r#"{"older_than": "7d"}"# },
        Example {
            argv: "bat_0190 --trace sha256:3f9c01de",
            json: r#"{"target": {"batch": "bat_0190"}, "traces": ["sha256:3f9c01de"]}"#,
        },
    ];
}

/// What was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TracesPruned {
    /// The batch.
    pub id: BatchId,
    /// How many traces.
    pub traces: u32,
    /// How many bytes they had.
    pub bytes: u64,
}

/// Hide a secret in all that was said and printed in a batch
///
/// The value of a variable of your environment, so that it is in no argument. It is hidden
/// as it is, and encoded as hexadecimal digits, base64, JSON or in a URL. What was kept in
/// clear is removed; the journal stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Redact {
    /// Variable that holds the secret, of at least 8 bytes
    pub variable: VariableName,
    /// Which batch
    #[command(flatten)]
    #[serde(default)]
    pub target: Target,
}

impl Operation for Redact {
    type Output = TracesRedacted;
    type Event = NoEvents;
    const NAME: &'static str = "batch.redact";
    const EFFECT: Effect = Effect::Destroys;
    const EXAMPLES: &'static [Example] = &[
        Example { argv: "DEPLOY_KEY", json: r#"{"variable": "DEPLOY_KEY"}"# },
        Example {
            argv: "DEPLOY_KEY bat_0190",
            json: r#"{"variable": "DEPLOY_KEY", "target": {"batch": "bat_0190"}}"#,
        },
    ];
}

/// The name of a variable of an environment: letters, digits and `_`, at most 200.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VariableName(String);

impl VariableName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VariableName {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        const FORM: &str = "a letter or `_`, then letters, digits and `_`, at most 200";
        let is_word = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let is_one = is_word && begins && text.len() <= 200;
        if is_one { Ok(Self(text.to_owned())) } else { Err(NotAnId::of("variable", text, FORM)) }
    }
}

impl fmt::Display for VariableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(VariableName, "^[A-Za-z_][A-Za-z0-9_]{0,199}$");

/// What was hidden.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TracesRedacted {
    /// The batch.
    pub id: BatchId,
    /// In how many traces it was found.
    pub traces: u32,
    /// How many were looked through.
    pub looked_through: u32,
}
