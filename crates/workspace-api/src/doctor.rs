//! What this host can do, and why.

use operation::{Effect, Example, NoEvents, Operation, Present, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::{Accelerator, EnvironmentRef, Shape};

/// Say what this host can do and what to do about the rest
///
/// Exits with 0 if workspaces of the environment can be created at once, with
/// 116 if something is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Doctor {
    /// Environment to look at
    #[arg(long, default_value_t)]
    #[serde(default)]
    pub environment: EnvironmentRef,
    /// How large the machines are
    #[command(flatten)]
    #[serde(default)]
    pub shape: Shape,
}

impl Operation for Doctor {
    type Output = Diagnosis;
    type Event = NoEvents;
    const NAME: &'static str = "doctor";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] = &[
        Example { argv: "", json: "{}" },
        Example {
            argv: "--environment debian:12-build",
            json: r#"{"environment": "debian:12-build"}"#,
        },
    ];
}

/// What this host can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnosis {
    /// Whether the main job can run.
    pub verdict: Verdict,
    /// What executes guests on this host; `None` if nothing can.
    pub accelerator: Option<Accelerator>,
    /// What was looked at, one after the other.
    pub findings: Vec<Finding>,
}

/// Whether the main job, `hotcell run`, can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It can, at once.
    Ready,
    /// It can after `hotcell prepare`.
    NotPrepared,
    /// Something is missing.
    Unable,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// What it is about: `monitor`, `kvm`, `memory`, …
    pub subject: String,
    /// How it is.
    pub status: FindingStatus,
    /// What was seen.
    pub seen: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// How a finding is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum FindingStatus {
    /// As it should be.
    Good,
    /// It works, but could be better.
    Warning,
    /// The main job cannot run because of it.
    Failed,
}

/// Shows findings, one a line, with what to do about them.
pub(crate) fn present_findings(screen: &mut Screen, findings: &[Finding]) {
    for finding in findings {
        let mark = match finding.status {
            FindingStatus::Good => "ok  ",
            FindingStatus::Warning => "warn",
            FindingStatus::Failed => "FAIL",
        };
        screen.line(format!("{mark}  {:<13} {}", finding.subject, finding.seen));
        if let Some(remedy) = &finding.remedy {
            screen.line(format!("      {:<13} → {remedy}", ""));
        }
    }
}

impl Present for Diagnosis {
    fn present(&self, screen: &mut Screen) {
        present_findings(screen, &self.findings);
        screen.line(match self.verdict {
            Verdict::Ready => "Ready: `hotcell run` starts at once.",
            Verdict::NotPrepared => "Not prepared: run `hotcell prepare`.",
            Verdict::Unable => "Unable to run workspaces: see the lines marked FAIL.",
        });
    }

    fn exit_code(&self) -> u8 {
        match self.verdict {
            Verdict::Ready => 0,
            Verdict::NotPrepared | Verdict::Unable => operation::ErrorKind::Unavailable.exit_code(),
        }
    }
}
