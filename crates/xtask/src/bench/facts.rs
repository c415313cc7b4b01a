//! What the figures depend on.

use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::{Context, Result, ensure};
use environment::KernelRecord;
use hotcell::{Accelerator, Shape};
use serde::Serialize;

use super::SHAPE;

/// The machine that measures, and those that are measured.
#[derive(Debug, Serialize)]
pub(super) struct Facts {
    pub(super) cores: usize,
    pub(super) processor: String,
    pub(super) host_kernel: String,
    /// What others did on this machine when the run began.
    pub(super) load: String,
    /// Where machines are measured.
    #[serde(flatten)]
    pub(super) machines: Option<Machines>,
}

/// What is measured, where that is machines.
#[derive(Debug, Serialize)]
pub(super) struct Machines {
    pub(super) accelerator: Accelerator,
    pub(super) monitor: String,
    pub(super) guest_kernel: String,
    pub(super) shape: Shape,
}

impl Facts {
    /// The facts at this moment, where no machine is measured.
    pub(super) fn of_host() -> Result<Self> {
        Ok(Self {
            cores: available_parallelism()?.get(),
            processor: processor()?,
            host_kernel: first_line(Command::new("uname").arg("-r"))?,
            load: load()?,
            machines: None,
        })
    }

    /// The facts at this moment.
    pub(super) fn of(accelerator: Accelerator, kernel: &KernelRecord) -> Result<Self> {
        let machines = Machines {
            accelerator,
            monitor: first_line(Command::new("qemu-system-x86_64").arg("--version"))?,
            guest_kernel: kernel.version.clone(),
            shape: SHAPE,
        };
        Ok(Self { machines: Some(machines), ..Self::of_host()? })
    }
}

/// How many processes of this machine want to run, on average of a minute.
pub(super) fn load() -> Result<String> {
    let averages = fs::read_to_string("/proc/loadavg")?;
    Ok(averages.split(' ').next().unwrap_or_default().to_owned())
}

fn processor() -> Result<String> {
    let text = fs::read_to_string("/proc/cpuinfo")?;
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    Ok(name.map_or("unknown", |(_, name)| name).to_owned())
}

fn first_line(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(output.status.success(), "{command:?} failed");
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}
