//! What operations have in common that move trees between host and guest.

use operation::{Present, Progress, ProgressState, Screen, Unit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::seed::LeftOut;

/// How far a crossing is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CrossingProgress {
    /// What is being done.
    pub stage: CrossingStage,
    /// Bytes that have crossed.
    pub bytes: u64,
    /// Bytes that will have crossed, as far as is known.
    pub total_bytes: u64,
}

/// What is being done while something crosses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CrossingStage {
    /// It comes from the guest.
    Receiving,
    /// It goes to the guest.
    Sending,
}

impl Present for CrossingProgress {
    fn present(&self, _: &mut Screen) {}

    fn progress(&self) -> Option<Progress> {
        let note = match self.stage {
            CrossingStage::Receiving => "from the workspace",
            CrossingStage::Sending => "to the workspace",
        };
        Some(Progress {
            task: "copying".to_owned(),
            note: note.to_owned(),
            done: self.bytes,
            total: Some(self.total_bytes),
            unit: Unit::Bytes,
            state: ProgressState::Running,
        })
    }
}

/// Shows what was left out.
pub(crate) fn present_left_out(screen: &mut Screen, left_out: &[LeftOut], total: u64) {
    for LeftOut { path, reason } in left_out {
        screen.note(format!("left out: {path} ({reason})"));
    }
    let unnamed = total.saturating_sub(left_out.len() as u64);
    if unnamed > 0 {
        screen.note(format!("left out: {unnamed} more"));
    }
}
