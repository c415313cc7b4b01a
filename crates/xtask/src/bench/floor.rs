//! The monitor's floor: runs the script that measures it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use machine::Accelerator;
use serde::{Deserialize, Serialize};

/// How the floor is measured.
#[derive(Debug)]
pub(super) struct Floor<'a> {
    pub(super) script: &'a Path,
    pub(super) vmlinux: PathBuf,
    pub(super) modules: PathBuf,
    pub(super) busybox: &'a Path,
    pub(super) accelerator: Accelerator,
    pub(super) memory_mib: u32,
    pub(super) runs: u32,
}

/// What the script says: medians of one run of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Sample {
    pub(super) cold_boot_ms: f64,
    pub(super) resume_to_first_exec_ms: f64,
    pub(super) exec_round_trip_ms: f64,
    pub(super) private_dirty_kib: f64,
}

impl Floor<'_> {
    /// Runs the script once: one boot, and as many copies as it was told.
    pub(super) fn measure(&self) -> Result<Sample> {
        let output = Command::new("python3")
            .arg(self.script)
            .arg("--kernel")
            .arg(&self.vmlinux)
            .arg("--modules")
            .arg(&self.modules)
            .arg("--busybox")
            .arg(self.busybox)
            .args(["--accel", &self.accelerator.to_string()])
            .args(["--mem", &self.memory_mib.to_string()])
            .args(["--runs", &self.runs.to_string()])
            .stderr(Stdio::inherit())
            .output()
            .context("cannot start python3, which the floor's script needs")?;
        ensure!(output.status.success(), "the floor's script failed");
        serde_json::from_slice(&output.stdout).context("the floor's script printed no figures")
    }
}
