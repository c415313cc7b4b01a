//! Commands in the background of a workspace.

use operation::{Effect, Example, NoEvents, Operation, Present, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::WorkspaceRef;
use crate::job::{CommandRef, JobStatus, OutputExcerpt, Signal};
use crate::run::CommandOptions;
use crate::time::TimeSpan;

mod run;

use run::shown_default;
pub use run::{BothEnds, Ran, Run, SHOWN_DEFAULT};

/// How much output is read at once unless somebody asks for more, in bytes.
pub const READ_DEFAULT: u32 = 64 * 1024;

/// Start a command in the background of a workspace
///
/// Returns at once with an id: the command goes on without a caller, its output
/// is kept on disk (the last 8 to 16 MiB of each channel), and anybody can poll
/// it, wait for it, signal it, and read what it wrote from any position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// How the command runs
    #[command(flatten)]
    #[serde(default)]
    pub options: CommandOptions,
    /// Program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

impl Operation for Start {
    type Output = Command;
    type Event = NoEvents;
    const NAME: &'static str = "command.start";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[Example {
        argv: "demo --timeout 1h -- make test",
        json: r#"{"workspace": "demo", "options": {"timeout": "1h"}, "command": ["make", "test"]}"#,
    }];
}

/// A command in the background.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Command {
    /// Names it within its workspace.
    pub id: String,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Where it runs.
    pub cwd: String,
    /// How it is.
    pub status: JobStatus,
}

impl Present for Command {
    fn present(&self, screen: &mut Screen) {
        screen.line(format!("Command  {}", self.id));
        screen.line(format!("Runs     {}", self.argv.join(" ")));
        screen.line(format!("In       {}", self.cwd));
        screen.line(format!("State    {}", self.status.summary()));
        screen.line(format!("Started  {}", self.status.started_at));
        let JobStatus { stdout_bytes, stderr_bytes, .. } = self.status;
        screen.line(format!("Output   {stdout_bytes} bytes, errors {stderr_bytes} bytes"));
    }
}

/// List the background commands of a workspace, the newest first
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
}

impl Operation for List {
    type Output = Commands;
    type Event = NoEvents;
    const NAME: &'static str = "command.list";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] =
        &[Example { argv: "demo", json: r#"{"workspace": "demo"}"# }];
}

/// The background commands of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Commands {
    /// The newest first; of those that have ended the last 200.
    pub commands: Vec<Command>,
}

impl Present for Commands {
    fn present(&self, screen: &mut Screen) {
        for command in &self.commands {
            let (id, argv) = (&command.id, command.argv.join(" "));
            screen.line(format!("{id}  {:<24} {argv}", command.status.summary()));
        }
        if self.commands.is_empty() {
            screen.note("No commands: `hotcell command start` starts one");
        }
    }
}

/// Show a background command
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// Id of the command
    pub command: CommandRef,
}

impl Operation for Status {
    type Output = Command;
    type Event = NoEvents;
    const NAME: &'static str = "command.status";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] = &[Example {
        argv: "demo cmd_0190a6f2",
        json: r#"{"workspace": "demo", "command": "cmd_0190a6f2"}"#,
    }];
}

/// Wait until a background command has ended
///
/// Shows the beginning and the end of what it wrote, and exits with its exit
/// code. If it still runs when the time is up, it goes on, and this exits with
/// 124.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// Id of the command
    pub command: CommandRef,
    /// How long to wait, such as 30s or 5m [default: as long as it takes]
    #[arg(long, value_name = "TIME")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<TimeSpan>,
    /// Return at most so many bytes of each output
    #[arg(long, default_value_t = SHOWN_DEFAULT, value_parser = clap::value_parser!(u32).range(100..=1_048_576))]
    #[serde(default = "shown_default")]
    #[schemars(range(min = 100, max = 1_048_576))]
    pub max_bytes: u32,
}

impl Operation for Wait {
    type Output = Ran;
    type Event = NoEvents;
    const NAME: &'static str = "command.wait";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] = &[Example {
        argv: "demo cmd_0190a6f2 --timeout 30s",
        json: r#"{"workspace": "demo", "command": "cmd_0190a6f2", "timeout": "30s"}"#,
    }];
}

/// Which of a command's outputs is read.
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
pub enum OutputChannel {
    /// Its standard output.
    #[default]
    Stdout,
    /// Its standard error.
    Stderr,
}

/// Read what a background command wrote, from a position on
///
/// Reading takes nothing away, and works after the command and even its machine
/// have ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// Id of the command
    pub command: CommandRef,
    /// Which of its outputs
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub channel: OutputChannel,
    /// Position to read from, in bytes
    #[arg(long, default_value_t)]
    #[serde(default)]
    pub cursor: u64,
    /// Read at most so many bytes
    #[arg(long, default_value_t = READ_DEFAULT, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    #[serde(default = "read_default")]
    #[schemars(range(min = 1, max = 1_048_576))]
    pub max_bytes: u32,
}

pub(crate) const fn read_default() -> u32 {
    READ_DEFAULT
}

impl Operation for Read {
    type Output = OutputExcerpt;
    type Event = NoEvents;
    const NAME: &'static str = "command.read";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] = &[Example {
        argv: "demo cmd_0190a6f2 --channel stderr --cursor 1000",
        json: r#"{"workspace": "demo", "command": "cmd_0190a6f2", "channel": "stderr",
                  "cursor": 1000}"#,
    }];
}

/// Signal a background command and all processes of its group
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Send {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// Id of the command
    pub command: CommandRef,
    /// Signal to send
    #[arg(long, default_value_t = Signal::TERMINATE)]
    #[serde(default = "terminate")]
    pub signal: Signal,
}

const fn terminate() -> Signal {
    Signal::TERMINATE
}

impl Operation for Send {
    type Output = Signalled;
    type Event = NoEvents;
    const NAME: &'static str = "command.signal";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[Example {
        argv: "demo cmd_0190a6f2 --signal INT",
        json: r#"{"workspace": "demo", "command": "cmd_0190a6f2", "signal": "INT"}"#,
    }];
}

/// A signal that was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Signalled {
    /// To whom.
    pub id: String,
    /// The signal.
    pub signal: Signal,
}

impl Present for Signalled {
    fn present(&self, screen: &mut Screen) {
        screen.note(format!("Sent {} to {}", self.signal, self.id));
    }
}
