//! The processes of batches: what runs, whose it is, and what nobody owns.

use operation::{Effect, ErrorKind, Example, NoEvents, Operation, Present, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::BatchId;

/// List the processes of agents and tools, and end those that nobody owns
///
/// Every process that a batch starts on this host is in the batch's registry, with all
/// its descendants, and ends with its engine. With `--orphans`, whatever is alive and has
/// no owner is killed: its engine is dead or was replaced, or the registry lost it. What
/// is told as killed is proved to be gone; if something cannot be ended, the exit code is
/// 124. What an engine owns that lives is never touched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Processes {
    /// Of this batch only
    #[arg(value_name = "BATCH")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchId>,
    /// Kill what nobody owns, and say what was done
    #[arg(long)]
    #[serde(default)]
    pub orphans: bool,
}

impl Operation for Processes {
    type Output = ProcessList;
    type Event = NoEvents;
    const NAME: &'static str = "batch.processes";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[
        Example { argv: "", json: "{}" },
        Example { argv: "--orphans", json: r#"{"orphans": true}"# },
        Example {
            argv: "bat_0190a6f2c3d4750e8f001122334455ff",
            json: r#"{"batch": "bat_0190a6f2c3d4750e8f001122334455ff"}"#,
        },
    ];
}

/// What is in custody, and what was ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessList {
    /// What is in custody, after what was ended.
    pub processes: Vec<ListedProcess>,
    /// What nobody owned, and what became of it; empty unless that was asked for.
    pub ended: Vec<EndedProcess>,
}

/// A process with all its descendants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListedProcess {
    /// Whose.
    pub batch: BatchId,
    /// The engine that started it, by its epoch.
    pub engine: u64,
    /// Its name in the registry.
    pub key: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// Everything of it that is alive, by process ids.
    pub pids: Vec<i32>,
    /// Whether anybody owns it.
    pub ownership: Ownership,
}

/// Something that nobody owned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndedProcess {
    /// Whose it was.
    pub batch: BatchId,
    /// The engine that had started it, by its epoch.
    pub engine: u64,
    /// Its name in the registry.
    pub key: String,
    /// What it was for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Why nobody owned it.
    pub ownership: Ownership,
    /// What became of it.
    pub end: ProcessEnd,
    /// What was killed, or what lives on, by process ids.
    pub pids: Vec<i32>,
}

/// Whether anybody owns a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ownership {
    /// Its engine lives.
    Owned,
    /// Its engine is dead.
    EngineDead,
    /// Its engine was replaced by a later one.
    EngineReplaced,
    /// The registry does not know it.
    Unknown,
}

/// What became of something that nobody owned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProcessEnd {
    /// It had been written down, and nothing of it had run.
    NeverRan,
    /// It had ended by itself.
    WasGone,
    /// It was killed, and nothing is left.
    Killed,
    /// It was killed, and does not end: it waits inside the kernel.
    Stuck,
}

impl Ownership {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Owned => "owned",
            Self::EngineDead => "its engine is dead",
            Self::EngineReplaced => "its engine was replaced",
            Self::Unknown => "unknown to the registry",
        }
    }
}

impl Present for ProcessList {
    fn present(&self, screen: &mut Screen) {
        for one in &self.ended {
            let pids = words(&one.pids);
            let what = match one.end {
                ProcessEnd::NeverRan => "never ran".to_owned(),
                ProcessEnd::WasGone => "was gone".to_owned(),
                ProcessEnd::Killed => format!("killed {pids}"),
                ProcessEnd::Stuck => format!("DOES NOT END: {pids}"),
            };
            let label = one.label.as_deref().unwrap_or("-");
            let why = one.ownership.as_str();
            screen.line(format!("{} {}  {label}: {why}; {what}", one.batch, one.key));
        }
        for one in &self.processes {
            let label = one.label.as_deref().unwrap_or("-");
            let (pids, owner) = (words(&one.pids), one.ownership.as_str());
            screen.line(format!("{} {}  {label}: {pids}; {owner}", one.batch, one.key));
        }
        if self.processes.is_empty() && self.ended.is_empty() {
            screen.line("No process of a batch is alive.");
        }
        let orphans = self.processes.iter().filter(|one| one.ownership != Ownership::Owned).count();
        if orphans > 0 {
            screen.note(format!(
                "note: {orphans} without an owner; `hotcell batch processes --orphans` ends them"
            ));
        }
    }

    fn exit_code(&self) -> u8 {
        if self.ended.iter().any(|one| one.end == ProcessEnd::Stuck) {
            ErrorKind::TimedOut.exit_code()
        } else {
            0
        }
    }
}

fn words(pids: &[i32]) -> String {
    if pids.is_empty() {
        return "no process".to_owned();
    }
    pids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
