//! Shells: programs on terminals, inhabited across many calls.

use operation::{Effect, Example, NoEvents, Operation, Present, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::command::{READ_DEFAULT, Signalled, read_default};
use crate::id::WorkspaceRef;
use crate::job::{JobStatus, ShellRef, Signal};
use crate::output::OutputBytes;
use crate::run::CommandOptions;
use crate::time::TimeSpan;

/// How large a terminal is
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, clap::Args,
)]
#[serde(deny_unknown_fields, default)]
pub struct TerminalSize {
    /// Characters in a line
    #[arg(long, default_value_t = TerminalSize::default().columns, value_parser = clap::value_parser!(u16).range(1..=1000))]
    #[schemars(range(min = 1, max = 1000))]
    pub columns: u16,
    /// Lines
    #[arg(long, default_value_t = TerminalSize::default().rows, value_parser = clap::value_parser!(u16).range(1..=1000))]
    #[schemars(range(min = 1, max = 1000))]
    pub rows: u16,
}

impl Default for TerminalSize {
    fn default() -> Self {
        Self { columns: 120, rows: 30 }
    }
}

/// Open a shell on a terminal of its own in a workspace
///
/// It stays until it ends or is closed, whoever connects meanwhile. Without a
/// command it is bash, or sh where there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// How large its terminal is
    #[command(flatten)]
    #[serde(default)]
    pub size: TerminalSize,
    /// How the program runs
    #[command(flatten)]
    #[serde(default)]
    pub options: CommandOptions,
    /// Program and its arguments [default: a login shell]
    #[arg(last = true, value_name = "COMMAND")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
}

impl Operation for Open {
    type Output = Shell;
    type Event = NoEvents;
    const NAME: &'static str = "shell.open";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[
        Example { argv: "demo", json: r#"{"workspace": "demo"}"# },
        Example {
            argv: "demo --columns 80 --rows 24 -- python3",
            json: r#"{"workspace": "demo", "size": {"columns": 80, "rows": 24},
                      "command": ["python3"]}"#,
        },
    ];
}

/// A shell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Shell {
    /// Names it within its workspace.
    pub id: String,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// How large its terminal is.
    pub size: TerminalSize,
    /// How it is; what it writes is its standard output.
    pub status: JobStatus,
}

impl Present for Shell {
    fn present(&self, screen: &mut Screen) {
        screen.line(format!("Shell     {}", self.id));
        screen.line(format!("Runs      {}", self.argv.join(" ")));
        screen.line(format!("Terminal  {} × {}", self.size.columns, self.size.rows));
        screen.line(format!("State     {}", self.status.summary()));
        screen.line(format!("Started   {}", self.status.started_at));
    }
}

/// List the shells of a workspace, the newest first
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
}

impl Operation for List {
    type Output = Shells;
    type Event = NoEvents;
    const NAME: &'static str = "shell.list";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] =
        &[Example { argv: "demo", json: r#"{"workspace": "demo"}"# }];
}

/// The shells of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Shells {
    /// The newest first.
    pub shells: Vec<Shell>,
}

impl Present for Shells {
    fn present(&self, screen: &mut Screen) {
        for shell in &self.shells {
            let (id, argv) = (&shell.id, shell.argv.join(" "));
            screen.line(format!("{id}  {:<24} {argv}", shell.status.summary()));
        }
        if self.shells.is_empty() {
            screen.note("No shells: `hotcell shell open` opens one");
        }
    }
}

/// How output of a terminal is told
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
pub enum View {
    /// What is new since the cursor, as text: without control sequences, lines
    /// as a person would see them.
    #[default]
    Plain,
    /// What is new since the cursor, byte for byte.
    Raw,
    /// The whole screen as it looks now.
    Screen,
    /// Control sequences that paint the screen as it looks now on another
    /// terminal of its size.
    Paint,
}

/// Read what a shell wrote, from a position on
///
/// With `--idle`, waits until the shell has been silent for so long, so that a
/// whole answer is read; with `--wait`, until there is anything new, so that what
/// is written can be followed. `--timeout` bounds either wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// Id of the shell
    pub shell: ShellRef,
    /// Position to read from, in bytes of raw output
    #[arg(long, default_value_t)]
    #[serde(default)]
    pub cursor: u64,
    /// Read at most so many bytes of raw output
    #[arg(long, default_value_t = READ_DEFAULT, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    #[serde(default = "read_default")]
    #[schemars(range(min = 1, max = 1_048_576))]
    pub max_bytes: u32,
    /// How the output is told
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub view: View,
    /// First wait until something was written beyond the cursor
    #[arg(long, conflicts_with = "idle")]
    #[serde(default)]
    pub wait: bool,
    /// First wait until nothing was written for this time, such as 300ms
    #[arg(long, value_name = "TIME")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<TimeSpan>,
    /// Wait no longer than this altogether [default: 30s]
    #[arg(long, value_name = "TIME")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<TimeSpan>,
}

impl Operation for Read {
    type Output = TerminalExcerpt;
    type Event = NoEvents;
    const NAME: &'static str = "shell.read";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] = &[Example {
        argv: "demo sh_0190a6f2 --cursor 120 --idle 300ms",
        json: r#"{"workspace": "demo", "shell": "sh_0190a6f2", "cursor": 120, "idle": "300ms"}"#,
    }];
}

/// Some of what a shell wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TerminalExcerpt {
    /// Position of its first byte in all that the shell wrote.
    pub cursor: u64,
    /// Where to read on.
    pub next_cursor: u64,
    /// How much the shell has written so far, in bytes.
    pub total_bytes: u64,
    /// How many bytes before `cursor` were asked for and are no longer kept.
    pub skipped_bytes: u64,
    /// Whether the shell runs.
    pub running: bool,
    /// How the output is told.
    pub view: View,
    /// The output.
    pub output: OutputBytes,
}

impl Present for TerminalExcerpt {
    fn present(&self, screen: &mut Screen) {
        screen.out.extend_from_slice(&self.output.0);
        let is_text = matches!(self.view, View::Plain | View::Screen);
        if is_text && !self.output.0.is_empty() && !self.output.0.ends_with(b"\n") {
            screen.out.push(b'\n');
        }
        if self.skipped_bytes > 0 {
            screen.note(format!("hotcell: {} bytes are no longer kept", self.skipped_bytes));
        }
        screen.note(format!("hotcell: read on with --cursor {}", self.next_cursor));
    }
}

/// Type something into a shell
///
/// The text may have any length; a line end is added unless `--raw` is given.
/// Without text it is read from standard input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Write {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// Id of the shell
    pub shell: ShellRef,
    /// What to type
    #[arg(long, allow_hyphen_values = true)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Add no line end
    #[arg(long)]
    #[serde(default)]
    pub raw: bool,
}

impl Operation for Write {
    type Output = Written;
    type Event = NoEvents;
    const NAME: &'static str = "shell.write";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[Example {
        argv: "demo sh_0190a6f2 --text ls",
        json: r#"{"workspace": "demo", "shell": "sh_0190a6f2", "text": "ls"}"#,
    }];
}

/// Something that was typed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Written {
    /// Into which shell.
    pub id: String,
    /// How many bytes.
    pub bytes: u64,
    /// Where the output that this causes begins at the earliest.
    pub cursor: u64,
}

impl Present for Written {
    fn present(&self, screen: &mut Screen) {
        let Self { id, bytes, cursor } = self;
        screen.note(format!("Typed {bytes} bytes into {id}; read with --cursor {cursor}"));
    }
}

/// Give a shell's terminal another size
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// Id of the shell
    pub shell: ShellRef,
    /// How large it shall be
    #[command(flatten)]
    #[serde(default)]
    pub size: TerminalSize,
}

impl Operation for Resize {
    type Output = Shell;
    type Event = NoEvents;
    const NAME: &'static str = "shell.resize";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[Example {
        argv: "demo sh_0190a6f2 --columns 200 --rows 50",
        json: r#"{"workspace": "demo", "shell": "sh_0190a6f2", "size": {"columns": 200, "rows": 50}}"#,
    }];
}

/// Signal the foreground job of a shell
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Send {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// Id of the shell
    pub shell: ShellRef,
    /// Signal to send
    #[arg(long, default_value_t = Signal::INTERRUPT)]
    #[serde(default = "interrupt")]
    pub signal: Signal,
}

const fn interrupt() -> Signal {
    Signal::INTERRUPT
}

impl Operation for Send {
    type Output = Signalled;
    type Event = NoEvents;
    const NAME: &'static str = "shell.signal";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[Example {
        argv: "demo sh_0190a6f2",
        json: r#"{"workspace": "demo", "shell": "sh_0190a6f2"}"#,
    }];
}

/// Close a shell: its terminal hangs up, and what is left of it is killed
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Close {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// Id of the shell
    pub shell: ShellRef,
}

impl Operation for Close {
    type Output = Shell;
    type Event = NoEvents;
    const NAME: &'static str = "shell.close";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[Example {
        argv: "demo sh_0190a6f2",
        json: r#"{"workspace": "demo", "shell": "sh_0190a6f2"}"#,
    }];
}
