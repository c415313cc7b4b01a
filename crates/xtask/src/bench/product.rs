//! The product's side: the floor's steps through the SDK and the command line.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hotcell::operations::Create;
use hotcell::{Call, Client, CommandOptions, EnvironmentRef, Shape, Workspace};
use serde::Serialize;

use super::figures::{Figure, Report, Target, median};
use super::{SHAPE, floor, processes};
use crate::machines::Parts;

/// Commands per workspace for a round trip; the floor's script does as many.
const ROUND_TRIPS: u32 = 20;

/// Commands per round through the command line, each a process on this host.
const CLI_COMMANDS: u32 = 10;

/// How long a cold boot may take.
const BOOT_DEADLINE: Duration = Duration::from_secs(180);

/// Where the static program lies in the guest.
const STATIC_PROGRAM: &str = "/tmp/busybox";

/// What is measured, and with what.
#[derive(Debug)]
pub(super) struct Product<'a> {
    pub(super) client: &'a Client,
    pub(super) program: &'a Path,
    pub(super) home: &'a Path,
    pub(super) environment: EnvironmentRef,
    pub(super) busybox: &'a Path,
    pub(super) runs: u32,
    /// The machine whose cold boot is measured.
    pub(super) parts: Parts,
}

/// Medians of one round.
#[derive(Debug, Serialize)]
pub(super) struct Sample {
    create_to_first_exec_ms: f64,
    exec_ms: f64,
    exec_static_ms: f64,
    cli_exec_ms: f64,
    cli_run_ms: f64,
    cold_boot_ms: f64,
    monitor_mib: f64,
    keeper_mib: f64,
    disk_kib: f64,
}

impl Product<'_> {
    /// One round.
    pub(super) async fn measure(&self) -> Result<Sample> {
        let mut firsts = Vec::new();
        for _ in 0..self.runs {
            let begun = Instant::now();
            let workspace = self.create().await?;
            run(&workspace, &["true"]).await?;
            firsts.push(milliseconds(begun));
            workspace.delete().await?;
        }
        let workspace = self.create().await?;
        let disk_bytes = workspace.status().await?.disk_bytes;
        let (mut execs, mut statics, mut clis) = (Vec::new(), Vec::new(), Vec::new());
        run(&workspace, &["true"]).await?;
        for _ in 0..ROUND_TRIPS {
            execs.push(time(&workspace, &["true"]).await?);
        }
        // At the same point of its life the floor's machine is looked at.
        let memory = self.memory(&workspace)?;
        for _ in 0..CLI_COMMANDS {
            let id = workspace.id().to_string();
            clis.push(self.cli(&["workspace", "exec", &id, "--", "true"])?);
        }
        self.bring_static_program(&workspace).await?;
        run(&workspace, &[STATIC_PROGRAM, "true"]).await?;
        for _ in 0..ROUND_TRIPS {
            statics.push(time(&workspace, &[STATIC_PROGRAM, "true"]).await?);
        }
        workspace.delete().await?;
        Ok(Sample {
            create_to_first_exec_ms: median(&firsts),
            exec_ms: median(&execs),
            exec_static_ms: median(&statics),
            cli_exec_ms: median(&clis),
            cli_run_ms: self.cli_run()?,
            cold_boot_ms: self.cold_boot().await?,
            monitor_mib: memory.monitor_kib / 1024.0,
            keeper_mib: memory.keeper_kib / 1024.0,
            disk_kib: kibibytes(disk_bytes),
        })
    }

    /// A new workspace of the measured shape.
    pub(super) async fn create(&self) -> Result<Workspace> {
        self.create_of(SHAPE).await
    }

    /// A new workspace of some shape.
    pub(super) async fn create_of(&self, shape: Shape) -> Result<Workspace> {
        let create = Create::new(self.environment.clone()).with_shape(shape);
        Ok(self.client.create(create).await?)
    }

    /// The private memory of a workspace's processes.
    pub(super) fn memory(&self, workspace: &Workspace) -> Result<processes::Memory> {
        // Only its keeper has this open.
        let lock = self.home.join("workspaces").join(workspace.id().to_string()).join("lock");
        processes::memory(&lock)
    }

    fn cli_run(&self) -> Result<f64> {
        let (cpus, memory) = (SHAPE.cpus.to_string(), SHAPE.memory_mib.to_string());
        let shape = ["--cpus", &cpus, "--memory-mib", &memory];
        let words = [&["run", self.environment.as_str()], &shape[..], &["--", "true"]].concat();
        let times: Result<Vec<f64>> = (0..self.runs).map(|_| self.cli(&words)).collect();
        Ok(median(&times?))
    }

    /// The time of a whole process of the command line.
    fn cli(&self, words: &[&str]) -> Result<f64> {
        let begun = Instant::now();
        let status = Command::new(self.program)
            .args(words)
            .env("HOTCELL_HOME", self.home)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        let elapsed = milliseconds(begun);
        ensure!(status.success(), "hotcell {} failed", words.join(" "));
        Ok(elapsed)
    }

    async fn bring_static_program(&self, workspace: &Workspace) -> Result<()> {
        let bytes = fs::read(self.busybox)
            .with_context(|| format!("cannot read {}", self.busybox.display()))?;
        let script = format!("cat > {STATIC_PROGRAM} && chmod 755 {STATIC_PROGRAM}");
        let mut call = Call::quiet().with_input(std::io::Cursor::new(bytes));
        let brought = workspace
            .exec_with(["sh", "-c", &script], CommandOptions::default(), &mut call)
            .await?;
        ensure!(brought.exit_code == 0, "the static program was not stored in the guest");
        Ok(())
    }

    /// From the start of the monitor until the agent of a booted guest answers.
    async fn cold_boot(&self) -> Result<f64> {
        let directory = tempfile::Builder::new().prefix("boot-").tempdir_in(self.home)?;
        let begun = Instant::now();
        let mut booted = self.parts.boot(self.program, directory.path(), BOOT_DEADLINE).await?;
        let elapsed = milliseconds(begun);
        booted.machine.stop().await;
        Ok(elapsed)
    }
}

/// Adds the figures: those that are compared with the floor, and those that have
/// a target of their own.
pub(super) fn figures(samples: &[Sample], floors: &[floor::Sample], report: &mut Report) {
    let ours = |of: fn(&Sample) -> f64| samples.iter().map(of).collect();
    let floors = |of: fn(&floor::Sample) -> f64| floors.iter().map(of).collect();
    report.add(Figure {
        name: "create → first command finished",
        unit: "ms",
        product: ours(|sample| sample.create_to_first_exec_ms),
        baseline: Some(("floor", floors(|sample| sample.resume_to_first_exec_ms))),
        target: Some(Target::Factor(1.5)),
    });
    report.add(Figure {
        name: "exec round trip of `true`, SDK",
        unit: "ms",
        product: ours(|sample| sample.exec_ms),
        baseline: Some(("floor", floors(|sample| sample.exec_round_trip_ms))),
        target: Some(Target::Factor(2.0)),
    });
    report.add(Figure {
        name: "the same, static program",
        unit: "ms",
        product: ours(|sample| sample.exec_static_ms),
        baseline: Some(("floor", floors(|sample| sample.exec_round_trip_ms))),
        target: None,
    });
    report.add(Figure {
        name: "the same through the CLI process",
        unit: "ms",
        product: ours(|sample| sample.cli_exec_ms),
        baseline: Some(("SDK", ours(|sample| sample.exec_ms))),
        target: Some(Target::Plus(15.0)),
    });
    report.add(Figure {
        name: "`hotcell run` as a whole",
        unit: "ms",
        product: ours(|sample| sample.cli_run_ms),
        baseline: Some(("floor", floors(|sample| sample.resume_to_first_exec_ms))),
        target: None,
    });
    report.add(Figure {
        name: "cold boot until the agent answers",
        unit: "ms",
        product: ours(|sample| sample.cold_boot_ms),
        baseline: Some(("floor", floors(|sample| sample.cold_boot_ms))),
        target: None,
    });
    report.add(Figure {
        name: "private memory, idle workspace",
        unit: "MiB",
        product: ours(|sample| sample.monitor_mib + sample.keeper_mib),
        baseline: Some(("floor", floors(|sample| sample.private_dirty_kib / 1024.0))),
        target: Some(Target::Plus(12.0)),
    });
    report.add(Figure {
        name: "… of which its keeper",
        unit: "MiB",
        product: ours(|sample| sample.keeper_mib),
        baseline: None,
        target: None,
    });
    report.add(Figure {
        name: "disk right after create",
        unit: "KiB",
        product: ours(|sample| sample.disk_kib),
        baseline: None,
        target: Some(Target::AtMost(1024.0)),
    });
}

/// The time of a command that must succeed.
pub(super) async fn time(workspace: &Workspace, command: &[&str]) -> Result<f64> {
    let begun = Instant::now();
    run(workspace, command).await?;
    Ok(milliseconds(begun))
}

/// Runs a command that must succeed.
pub(super) async fn run(workspace: &Workspace, command: &[&str]) -> Result<()> {
    let result = workspace.exec(command.iter().copied()).await?;
    ensure!(result.exit_code == 0, "`{}` failed in the guest", command.join(" "));
    Ok(())
}

/// Milliseconds since `begun`.
pub(super) fn milliseconds(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1000.0
}

/// Kibibytes of so many bytes.
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
pub(super) fn kibibytes(bytes: u64) -> f64 {
    bytes as f64 / 1024.0
}

/// Milliseconds of a time that the product tells.
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
pub(super) fn to_milliseconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1000.0
}
