//! `bench`: the product's figures beside the monitor's own floor.
//!
//! ```text
//! round 1: floor, product   round 2: product, floor   round 3: floor, product …
//! ```
//!
//! Machines are noisy, so the floor (a script that drives the bare monitor with
//! the same kernel, memory and accelerator) and the product are measured in
//! turns within one run, and a target is judged by the median of the rounds'
//! ratios, never by times of different runs. Missing a target is a result, not
//! an error.
//!
//! * [`floor`] runs the script, [`product`] measures the same steps through the
//!   SDK and the command line, [`copies`] snapshots, resets and forks; [`leftovers`] repeats them and looks at what stays.
//! * [`figures`] judges and prints; [`processes`] reads `/proc`.
//!
//! Workspaces are made in a home of their own that is kept between runs, so the
//! user's own are neither touched nor of influence.

mod copies;
mod figures;
mod floor;
mod leftovers;
mod processes;
mod product;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::{Context, Result, ensure};
use environment::{GuestPrograms, Library, ModuleSet};
use hotcell::{Client, ClientOptions, EnvironmentRef, Shape};
use serde::Serialize;

use crate::cache;
use crate::machines::Parts;
use crate::programs::{self, Profile};
use figures::{Figure, Report, Target};
use floor::Floor;
use product::Product;

/// The shape of every machine: the floor's.
const SHAPE: Shape = Shape { cpus: 1, memory_mib: 256 };

/// Measure the product beside the monitor's own floor
///
/// Prints a table of figures, targets and verdicts. The first run prepares a
/// home of its own, which takes minutes and needs the network.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Rounds; in each, floor and product are measured once more
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Machines per round, of the floor and of the product each
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Workspaces that are created, used and deleted in a row
    #[arg(long, default_value_t = 50)]
    repeat: u32,
    /// Write all figures and their samples to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The script that measures the floor, relative to the repository
    #[arg(long, value_name = "PATH", default_value = "../shared/bench/vmm_floor.py")]
    floor: PathBuf,
    /// A static busybox, for the floor's guest and as a static program in ours
    #[arg(long, value_name = "PATH", default_value = "/bin/busybox")]
    busybox: PathBuf,
    /// Measure this program instead of building one
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// What the figures depend on.
#[derive(Debug, Serialize)]
struct Facts {
    cores: usize,
    processor: String,
    accelerator: hotcell::Accelerator,
    monitor: String,
    host_kernel: String,
    guest_kernel: String,
    shape: Shape,
    /// What others did on this machine when the run began.
    load: String,
}

/// Runs the task. The SDK is part of this program, so it has to be optimised
/// like the product for its times to mean anything.
pub(crate) fn run(options: &Options) -> Result<()> {
    if cfg!(debug_assertions) {
        return programs::again_optimised();
    }
    let script = programs::root().join(&options.floor);
    ensure!(
        script.is_file(),
        "there is no script for the floor at {}: name it with --floor",
        script.display()
    );
    let program = match &options.program {
        Some(program) => std::path::absolute(program)?,
        None => programs::hotcell(Profile::Release)?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(options, &script, &program))
}

async fn measure(options: &Options, script: &Path, program: &Path) -> Result<()> {
    let home = cache::directory("hotcell-bench")?;
    let _lock = cache::lock(&home)?;
    let client = Client::with_options(ClientOptions {
        home: Some(home.clone()),
        program: Some(program.to_owned()),
        accelerator: None,
    })?;
    // A run that was killed may have left some.
    for left in client.workspaces().await? {
        client.workspace(left.id.into()).await?.delete().await?;
    }
    let environment = EnvironmentRef::default();
    eprintln!("preparing {environment} for {SHAPE} in {}", home.display());
    let prepared = client.prepare(environment.clone(), SHAPE).await?;

    let library = Library::open(&home)?;
    let kernel = cache::kernel(&library)?;
    let agent = fs::read(programs::guest_agent()?)?;
    let initrd = library.initrd(
        &kernel,
        &GuestPrograms { agent: &agent, tools: &[] },
        ModuleSet::Workspace,
    )?;
    let image = library
        .list()?
        .into_iter()
        .find(|record| {
            record.manifest.digest.to_string() == prepared.environment_digest.to_string()
        })
        .context("the prepared environment is not in the library")?
        .root_image();
    let facts = Facts {
        cores: available_parallelism()?.get(),
        processor: processor()?,
        accelerator: prepared.accelerator,
        monitor: first_line(Command::new("qemu-system-x86_64").arg("--version"))?,
        host_kernel: first_line(Command::new("uname").arg("-r"))?,
        guest_kernel: kernel.version.clone(),
        shape: SHAPE,
        load: fs::read_to_string("/proc/loadavg")?.split(' ').next().unwrap_or_default().to_owned(),
    };
    let accelerator = match prepared.accelerator {
        hotcell::Accelerator::Kvm => machine::Accelerator::Kvm,
        hotcell::Accelerator::Tcg => machine::Accelerator::Tcg,
    };
    let floor = Floor {
        script,
        vmlinux: kernel.vmlinux(),
        modules: kernel.directory.join("modules"),
        busybox: &options.busybox,
        accelerator,
        memory_mib: SHAPE.memory_mib,
        runs: options.runs,
    };
    let product = Product {
        client: &client,
        program,
        home: &home,
        environment,
        busybox: &options.busybox,
        runs: options.runs,
        parts: Parts {
            accelerator,
            processor: None,
            shape: machine::Shape { cpus: SHAPE.cpus, memory_mib: SHAPE.memory_mib },
            vmlinux: kernel.vmlinux(),
            initrd,
            drives: vec![image],
        },
    };
    let mut report = Report::new(facts);
    let mut rounds = Rounds::default();
    for round in 0..options.rounds {
        eprintln!("round {} of {}", round + 1, options.rounds);
        // Whoever comes second finds the caches as the other one left them.
        if round % 2 == 0 {
            rounds.floor.push(floor.measure()?);
            rounds.product.push(product.measure().await?);
            rounds.copies.push(copies::measure(&product).await?);
        } else {
            rounds.copies.push(copies::measure(&product).await?);
            rounds.product.push(product.measure().await?);
            rounds.floor.push(floor.measure()?);
        }
    }
    rounds.figures(&mut report);
    copies::figures(&rounds.copies, &rounds.floor, &mut report);
    eprintln!("{} workspaces in a row", options.repeat);
    leftovers::measure(&product, options.repeat, &mut report).await?;
    report.print();
    if let Some(path) = &options.json {
        fs::write(path, serde_json::to_vec_pretty(&report)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// What the rounds measured.
#[derive(Debug, Default)]
struct Rounds {
    floor: Vec<floor::Sample>,
    product: Vec<product::Sample>,
    copies: Vec<copies::Sample>,
}

impl Rounds {
    /// Adds the figures that are compared with the floor, and those that have a
    /// target of their own.
    fn figures(&self, report: &mut Report) {
        let ours = |of: fn(&product::Sample) -> f64| self.product.iter().map(of).collect();
        let floors = |of: fn(&floor::Sample) -> f64| self.floor.iter().map(of).collect();
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
