//! A command that is started and waited for, but not for long.

use std::time::Duration;

use operation::{Effect, Example, NoEvents, Operation, Present, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Command;
use crate::id::WorkspaceRef;
use crate::job::JobState;
use crate::output::OutputBytes;
use crate::run::CommandOptions;
use crate::time::TimeSpan;

/// How long a caller waits unless it says otherwise: chat hosts give up on
/// slower tools, the strictest after half a minute.
const WAIT_DEFAULT: Duration = Duration::from_secs(25);

/// How much of an output is returned unless somebody asks for more, in bytes.
pub const SHOWN_DEFAULT: u32 = 6_000;

/// Run a command, and return after a while whether it has ended or not
///
/// For callers that cannot wait for long. Returns when the command ends or the
/// wait is over, with the beginning and the end of what was written so far.
/// Nothing is lost: a command that still runs goes on in the background, and all
/// that it writes can be read by its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// How long to wait for its end, such as 10s or 2m
    #[arg(long, value_name = "TIME", default_value_t = wait_default())]
    #[serde(default = "wait_default")]
    pub wait: TimeSpan,
    /// Return at most so many bytes of each output
    #[arg(long, default_value_t = SHOWN_DEFAULT, value_parser = clap::value_parser!(u32).range(100..=1_048_576))]
    #[serde(default = "shown_default")]
    #[schemars(range(min = 100, max = 1_048_576))]
    pub max_bytes: u32,
    /// How the command runs
    #[command(flatten)]
    #[serde(default)]
    pub options: CommandOptions,
    /// Program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

fn wait_default() -> TimeSpan {
    TimeSpan::try_from(WAIT_DEFAULT).expect("between a millisecond and 30 days")
}

pub(super) const fn shown_default() -> u32 {
    SHOWN_DEFAULT
}

impl Operation for Run {
    type Output = Ran;
    type Event = NoEvents;
    const NAME: &'static str = "command.run";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[Example {
        argv: "demo --wait 10s -- make test",
        json: r#"{"workspace": "demo", "wait": "10s", "command": ["make", "test"]}"#,
    }];
}

/// A command that was run, or still runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ran {
    /// The command, as it is now.
    pub command: Command,
    /// What it wrote to its standard output.
    pub stdout: BothEnds,
    /// What it wrote to its standard error.
    pub stderr: BothEnds,
}

/// The beginning and the end of what a command has written so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BothEnds {
    /// All bytes that it wrote, counted.
    pub total_bytes: u64,
    /// The first bytes, up to the end of a line; everything, if that is not too
    /// much.
    pub head: OutputBytes,
    /// The last bytes.
    pub tail: OutputBytes,
}

impl BothEnds {
    /// How many bytes between head and tail were left out.
    #[must_use]
    pub fn left_out_bytes(&self) -> u64 {
        self.total_bytes - (self.head.0.len() + self.tail.0.len()) as u64
    }

    fn present(&self, channel: &str, id: &str, target: &mut Vec<u8>) {
        target.extend_from_slice(&self.head.0);
        if self.left_out_bytes() > 0 {
            let (left_out, cursor) = (self.left_out_bytes(), self.head.0.len());
            target.extend_from_slice(
                format!(
                    "[… {left_out} bytes left out: command read {id}, channel {channel}, cursor {cursor} …]\n"
                )
                .as_bytes(),
            );
        }
        target.extend_from_slice(&self.tail.0);
        if target.last().is_some_and(|last| *last != b'\n') {
            target.push(b'\n');
        }
    }
}

impl Present for Ran {
    fn present(&self, screen: &mut Screen) {
        let id = &self.command.id;
        self.stdout.present("stdout", id, &mut screen.out);
        self.stderr.present("stderr", id, &mut screen.err);
        let status = &self.command.status;
        screen.note(match (status.state, status.exit_code, status.duration_ms) {
            (JobState::Running, ..) => {
                format!("{id} still runs: wait for it, or read it later, by this id")
            }
            (_, Some(code), Some(duration_ms)) => {
                format!("{id}: exit code {code} after {duration_ms} ms")
            }
            _ => format!("{id}: {}", status.summary()),
        });
    }

    fn exit_code(&self) -> u8 {
        self.command.status.waited_exit_code()
    }
}
