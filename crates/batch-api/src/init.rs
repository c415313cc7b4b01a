//! Getting a repository ready for batches.

use operation::{Effect, Example, NoEvents, Operation, Present, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Write a configuration for batches, and a small example packet
///
/// In a repository that Taskplane is set up in, the configuration says what
/// Taskplane's says, and there is no example. Whatever exists stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Init {
    /// Directory in the repository
    #[arg(default_value = ".")]
    #[serde(default = "here")]
    pub directory: String,
    /// Only show what would be written
    #[arg(long)]
    #[serde(default)]
    pub dry_run: bool,
}

pub(crate) fn here() -> String {
    ".".to_owned()
}

impl Operation for Init {
    type Output = Initialised;
    type Event = NoEvents;
    const NAME: &'static str = "batch.init";
    const EFFECT: Effect = Effect::Crosses;
    const EXAMPLES: &'static [Example] = &[
        Example { argv: "", json: "{}" },
        Example { argv: "app --dry-run", json: r#"{"directory": "app", "dry_run": true}"# },
    ];
}

/// What a repository was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Initialised {
    /// The repository's directory.
    pub repository: String,
    /// Whether nothing was written because that was asked for.
    pub dry_run: bool,
    /// The files, in the order in which they are written.
    pub files: Vec<InitialFile>,
}

/// A file that a repository is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InitialFile {
    /// Where it lies in the repository.
    pub path: String,
    /// What became of it.
    pub outcome: InitialOutcome,
    /// What is in it, if it is not there yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InitialOutcome {
    /// It was written.
    Written,
    /// It would be written.
    Missing,
    /// It was there and stays as it is.
    Kept,
}

impl Present for Initialised {
    fn present(&self, screen: &mut Screen) {
        for file in &self.files {
            let (word, shown) = match file.outcome {
                InitialOutcome::Written => ("wrote", None),
                InitialOutcome::Missing => ("would write", file.content.as_deref()),
                InitialOutcome::Kept => ("kept", None),
            };
            screen.line(format!("{word} {}", file.path));
            for line in shown.into_iter().flat_map(str::lines) {
                screen.line(format!("    {line}").trim_end());
            }
        }
        if !self.dry_run {
            screen.note("`hotcell batch plan` shows what the tasks come to");
        }
    }
}
