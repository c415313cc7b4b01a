//! Reading what a service wrote.

use operation::{Effect, Example, Operation, Present, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ServiceName, ServiceState};
use crate::command::{READ_DEFAULT, read_default};
use crate::id::WorkspaceRef;
use crate::output::OutputBytes;

/// Which outputs of a service are read.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum LogChannel {
    /// Both, one after the other.
    #[default]
    Both,
    /// Its standard output.
    Stdout,
    /// Its standard error.
    Stderr,
}

/// Read what a service wrote
///
/// The last lines, or from a position on that an earlier call gave. Positions go
/// on counting when the service is started again. Works after the service and
/// even its machine have ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Logs {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// Name of the service
    pub service: ServiceName,
    /// Which of its outputs
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub channel: LogChannel,
    /// Read the last lines, so many of each output [default: 200]
    #[arg(long, value_name = "LINES", conflicts_with = "cursor")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<u32>,
    /// Read from this position on, in bytes; 0 means all that is kept
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<u64>,
    /// Read at most so many bytes of each output
    #[arg(long, default_value_t = READ_DEFAULT, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    #[serde(default = "read_default")]
    #[schemars(range(min = 1, max = 1_048_576))]
    pub max_bytes: u32,
    /// Go on with what it writes until it ends
    #[arg(long, short)]
    #[serde(default)]
    pub follow: bool,
}

impl Operation for Logs {
    type Output = ServiceLogs;
    type Event = LogEvent;
    const NAME: &'static str = "service.logs";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] = &[
        Example {
            argv: "demo web --tail 20",
            json: r#"{"workspace": "demo", "service": "web", "tail": 20}"#,
        },
        Example {
            argv: "demo web --channel stderr --cursor 4096",
            json: r#"{"workspace": "demo", "service": "web", "channel": "stderr", "cursor": 4096}"#,
        },
        Example {
            argv: "demo web --follow",
            json: r#"{"workspace": "demo", "service": "web", "follow": true}"#,
        },
    ];
}

/// Something that a service wrote while its log was followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum LogEvent {
    /// To its standard output.
    Stdout {
        /// What it wrote.
        bytes: OutputBytes,
    },
    /// To its standard error.
    Stderr {
        /// What it wrote.
        bytes: OutputBytes,
    },
}

impl Present for LogEvent {
    fn present(&self, screen: &mut Screen) {
        match self {
            Self::Stdout { bytes } => screen.out.extend_from_slice(&bytes.0),
            Self::Stderr { bytes } => screen.err.extend_from_slice(&bytes.0),
        }
    }
}

/// Some of what a service wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceLogs {
    /// The service.
    pub service: ServiceName,
    /// How it is.
    pub state: ServiceState,
    /// What it wrote to its standard output, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<ServiceLog>,
    /// What it wrote to its standard error, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<ServiceLog>,
}

/// Some of what a service wrote to one of its outputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceLog {
    /// Position of its first byte in all that the service ever wrote there.
    pub cursor: u64,
    /// Where to read on.
    pub next_cursor: u64,
    /// How much it has written there so far, in bytes.
    pub total_bytes: u64,
    /// How many bytes before `cursor` were asked for and are no longer kept.
    pub skipped_bytes: u64,
    /// The bytes; none if they were told as events.
    pub output: OutputBytes,
}

impl Present for ServiceLogs {
    fn present(&self, screen: &mut Screen) {
        for (name, log) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            let Some(log) = log else { continue };
            screen.out.extend_from_slice(&log.output.0);
            if !log.output.0.is_empty() && !log.output.0.ends_with(b"\n") {
                screen.out.push(b'\n');
            }
            if log.skipped_bytes > 0 {
                screen.note(format!(
                    "hotcell: {} bytes of {name} are no longer kept",
                    log.skipped_bytes
                ));
            }
            if log.next_cursor < log.total_bytes {
                let next = log.next_cursor;
                screen.note(format!("hotcell: read on with --channel {name} --cursor {next}"));
            }
        }
    }
}
