//! What people and other programs read: files that are folded from the journal and
//! can be written again at any time.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::sync::PoisonError;

use batch_core::state::State;
use batch_core::unit::Phase;
use jiff::Timestamp;
use serde::Serialize;

use super::now;
use super::world::{AboutUnit, Trouble, World};
use crate::taskplane::Files;

/// Where Taskplane's files lie in a batch's directory.
const TASKPLANE: &str = "taskplane";

/// The batch as its status file tells it.
#[derive(Debug, Serialize)]
pub(super) struct View {
    epoch: u64,
    sequence: u64,
    halted: Option<String>,
    ending: Option<String>,
    integration: Option<String>,
    units: Vec<UnitView>,
    waits: usize,
}

#[derive(Debug, Serialize)]
struct UnitView {
    unit: String,
    phase: Phase,
    attempt: u32,
    steps: u32,
    checked: u32,
}

impl View {
    pub(super) fn of(state: &State) -> Self {
        let units = state.units.values().map(|unit| UnitView {
            unit: unit.id().to_string(),
            phase: unit.phase,
            attempt: unit.attempt,
            steps: unit.status.steps,
            checked: unit.status.checked,
        });
        Self {
            epoch: state.epoch.0,
            sequence: state.sequence.0,
            halted: state.halt.map(|halt| format!("{halt:?}").to_lowercase()),
            ending: state.ending.map(|ending| format!("{ending:?}").to_lowercase()),
            integration: state.tip.as_ref().map(ToString::to_string),
            units: units.collect(),
            waits: state.waits.len(),
        }
    }
}

impl World {
    /// Writes the status file, and Taskplane's.
    pub(super) fn publish(&self, view: &View) -> Result<(), Trouble> {
        // One that was replaced would write what is old.
        self.store()?.check_owner()?;
        let text = serde_json::to_vec_pretty(view)?;
        let directory = &self.setup.directory;
        replace(&directory.join("status.json"), &text)?;
        let mut taskplane = self.taskplane.lock().unwrap_or_else(PoisonError::into_inner);
        let mut files = match taskplane.take() {
            Some(files) => files,
            None => {
                let base = self.setup.base.clone();
                Files::of(self.setup.batch, directory, base, directory.join(TASKPLANE))?
            }
        };
        files.update()?;
        *taskplane = Some(files);
        Ok(())
    }

    /// Marks a packet as done: only the engine does, and only here.
    pub(super) fn finish(&self, unit: &AboutUnit) -> Result<(), Trouble> {
        let milliseconds = i64::try_from(now().0).unwrap_or(i64::MAX);
        let text = format!(
            "Completed: {}\nTask: {}\nBatch: {}\n",
            Timestamp::from_millisecond(milliseconds)?,
            unit.unit.task,
            self.setup.batch
        );
        Ok(replace(&unit.home.join(".DONE"), text.as_bytes())?)
    }

    /// Whether a packet is marked as done by this batch.
    pub(super) fn is_finished(&self, unit: &AboutUnit) -> Result<bool, Trouble> {
        let mark = super::work::read_of_home(&unit.home, ".DONE", 64 * 1024)?;
        let batch = self.setup.batch.to_string();
        Ok(mark.is_some_and(|mark| String::from_utf8_lossy(&mark).contains(&batch)))
    }
}

/// Puts a file in the place of another, whole or not at all.
pub(crate) fn replace(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let making = path.with_extension("making");
    match fs::remove_file(&making) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::File::create_new(&making)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&making, path)?;
    fs::File::open(path.parent().unwrap_or(path))?.sync_all()
}
