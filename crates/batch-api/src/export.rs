//! A batch as files for other programs.

use operation::{Effect, Example, NoEvents, Operation, Present, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control::Target;
use crate::id::BatchId;

/// Write a batch as Taskplane's files: batch-state.json and events.jsonl
///
/// Both are folded from the batch's journal, with or without an engine, and come out the
/// same whenever the journal is the same. An engine keeps them up to date in the batch's
/// own directory; this writes them wherever they are wanted, once. Files of another batch,
/// and of Taskplane itself, are not replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// Directory that receives the files; it is made if it is not there
    #[arg(value_name = "OUT")]
    pub out: String,
    /// Which batch
    #[command(flatten)]
    #[serde(default)]
    pub target: Target,
}

impl Operation for Export {
    type Output = Exported;
    type Event = NoEvents;
    const NAME: &'static str = "batch.export";
    const EFFECT: Effect = Effect::Crosses;
    const EXAMPLES: &'static [Example] = &[
        Example { argv: ".pi", json: r#"{"out": ".pi"}"# },
        Example {
            argv: "report bat_0190",
            json: r#"{"out": "report", "target": {"batch": "bat_0190"}}"#,
        },
    ];
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exported {
    /// The batch.
    pub id: BatchId,
    /// The last record of the journal that the files tell of.
    pub sequence: u64,
    /// The files.
    pub files: Vec<String>,
}

impl Present for Exported {
    fn present(&self, screen: &mut Screen) {
        self.files.iter().for_each(|file| screen.line(format!("wrote {file}")));
    }
}
