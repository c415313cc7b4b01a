//! What is wrong with a batch, and what to do about it.

use operation::{Effect, ErrorKind, Example, NoEvents, Operation, Present, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Target;
use crate::id::BatchId;

/// Say what is wrong with a batch and what to do about it
///
/// Verifies every record of the journal and every object of the batch's repository, looks
/// whether its engine lives and answers, and for processes and machines that nobody owns.
/// Changes nothing. Exits with 116 if the batch cannot go on as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Doctor {
    /// Which batch
    #[command(flatten)]
    #[serde(default)]
    pub target: Target,
}

impl Operation for Doctor {
    type Output = BatchDiagnosis;
    type Event = NoEvents;
    const NAME: &'static str = "batch.doctor";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] = &[
        Example { argv: "", json: "{}" },
        Example { argv: "bat_0190", json: r#"{"target": {"batch": "bat_0190"}}"# },
    ];
}

/// What was found of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BatchDiagnosis {
    /// The batch.
    pub id: BatchId,
    /// What was looked at, one after the other.
    pub findings: Vec<BatchFinding>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BatchFinding {
    /// What it is about: `journal`, `engine`, `lanes`, …
    pub subject: String,
    /// How it is.
    pub status: BatchFindingStatus,
    /// What was seen.
    pub seen: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BatchFindingStatus {
    /// As it should be.
    Good,
    /// The batch is whole, and somebody has to do something.
    Warning,
    /// The batch cannot go on because of it.
    Failed,
}

impl Present for BatchDiagnosis {
    fn present(&self, screen: &mut Screen) {
        for finding in &self.findings {
            let mark = match finding.status {
                BatchFindingStatus::Good => "ok  ",
                BatchFindingStatus::Warning => "warn",
                BatchFindingStatus::Failed => "FAIL",
            };
            screen.line(format!("{mark}  {:<11} {}", finding.subject, finding.seen));
            if let Some(remedy) = &finding.remedy {
                screen.line(format!("      {:<11} → {remedy}", ""));
            }
        }
    }

    fn exit_code(&self) -> u8 {
        let failed = |finding: &BatchFinding| finding.status == BatchFindingStatus::Failed;
        if self.findings.iter().any(failed) { ErrorKind::Unavailable.exit_code() } else { 0 }
    }
}
