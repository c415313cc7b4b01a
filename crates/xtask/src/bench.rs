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
//! * [`floor`] runs the script; [`product`] measures the same steps through the
//!   SDK and the command line, [`copies`] snapshots, resets and forks.
//! * What is judged by itself or by the guest: [`seeding`] and [`diffs`] of a large
//!   [`repository`], [`hundredth`] copies, a server for [`models`], and
//!   [`leftovers`] of many workspaces in a row; [`batches`], and their [`engines`] as
//!   processes.
//! * [`figures`] judges and prints; [`facts`] is what they depend on; [`processes`]
//!   reads `/proc`.
//!
//! Workspaces are made in a home of their own that is kept between runs, so the
//! user's own are neither touched nor of influence.

mod batches;
mod copies;
mod diffs;
mod engines;
mod facts;
mod figures;
mod floor;
mod hundredth;
mod leftovers;
mod models;
mod processes;
mod product;
mod repository;
mod seeding;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use environment::{GuestPrograms, Library, ModuleSet};
use hotcell::{Client, ClientOptions, EnvironmentRef, Shape};

use crate::cache;
use crate::machines::Parts;
use crate::programs::{self, Profile};
use facts::Facts;
use figures::Report;
use floor::Floor;
use product::Product;

/// The shape of every machine: the floor's.
const SHAPE: Shape = Shape { cpus: 1, memory_mib: 256 };

/// A larger one, for what may grow with memory.
const LARGE: Shape = Shape { cpus: 1, memory_mib: 2048 };

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Creating and using workspaces, beside the floor
    Machines,
    /// Snapshots, resets and forks, beside the floor
    Copies,
    /// Copies of a workspace that was copied often
    Hundredth,
    /// Seeding from a large repository
    Seeding,
    /// Differences in a large repository
    Diffs,
    /// A server for models
    Models,
    /// Many workspaces in a row, and what they leave
    Leftovers,
    /// The engine of batches, which needs no machine
    Batches,
}

/// Measure the product beside the monitor's own floor
///
/// Prints a table of figures, targets and verdicts. The first run prepares a
/// home of its own, which takes minutes and needs the network.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Measure these parts only
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Rounds; in each, floor and product are measured once more
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Machines per round, of the floor and of the product each
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Workspaces that are created, used and deleted in a row
    #[arg(long, default_value_t = 50)]
    repeat: u32,
    /// Forks and snapshots that are made of one workspace
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(20..))]
    copies: u32,
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

impl Options {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    fn needs_machines(&self) -> bool {
        self.only != [Part::Batches]
    }

    fn show(&self, report: &Report) -> Result<()> {
        report.print();
        if let Some(path) = &self.json {
            fs::write(path, serde_json::to_vec_pretty(report)?)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}

/// Runs the task. The SDK is part of this program, so it has to be optimised
/// like the product for its times to mean anything.
pub(crate) fn run(options: &Options) -> Result<()> {
    if !options.needs_machines() {
        // Programs of their own measure there.
        let mut report = Report::new(Facts::of_host()?);
        batches::measure(options.rounds, options.program.as_deref(), &mut report)?;
        return options.show(&report);
    }
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
    eprintln!("preparing {environment} in {}", home.display());
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
    let mut report = Report::new(Facts::of(prepared.accelerator, &kernel)?);
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
    beside_the_floor(options, &floor, &product, &mut report).await?;
    by_themselves(options, &product, &mut report).await?;
    if options.wants(Part::Batches) {
        batches::measure(options.rounds, Some(program), &mut report)?;
    }
    options.show(&report)
}

/// Floor and product in turns: whoever comes second finds the caches as the
/// other one left them.
async fn beside_the_floor(
    options: &Options,
    floor: &Floor<'_>,
    product: &Product<'_>,
    report: &mut Report,
) -> Result<()> {
    if !options.wants(Part::Machines) && !options.wants(Part::Copies) {
        return Ok(());
    }
    if options.wants(Part::Copies) {
        product.client.prepare(product.environment.clone(), LARGE).await?;
    }
    let (mut floors, mut machines, mut copies) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..options.rounds {
        eprintln!("round {} of {}", round + 1, options.rounds);
        if round % 2 == 0 {
            floors.push(floor.measure()?);
        }
        if options.wants(Part::Machines) {
            machines.push(product.measure().await?);
        }
        if options.wants(Part::Copies) {
            copies.push(copies::measure(product).await?);
        }
        if round % 2 == 1 {
            floors.push(floor.measure()?);
        }
    }
    if options.wants(Part::Machines) {
        product::figures(&machines, &floors, report);
    }
    if options.wants(Part::Copies) {
        copies::figures(&copies, &floors, report);
    }
    Ok(())
}

/// What has another measure than the floor.
async fn by_themselves(
    options: &Options,
    product: &Product<'_>,
    report: &mut Report,
) -> Result<()> {
    if options.wants(Part::Seeding) || options.wants(Part::Diffs) {
        let scratch = tempfile::Builder::new().prefix("tree-").tempdir_in(product.home)?;
        eprintln!("a repository of {} files", repository::FILES);
        let repository = repository::Repository::new(scratch.path())?;
        if options.wants(Part::Seeding) {
            seeding::measure(product, &repository, options.rounds, report).await?;
        }
        if options.wants(Part::Diffs) {
            diffs::measure(product, &repository, options.rounds, report).await?;
        }
    }
    if options.wants(Part::Models) {
        eprintln!("a server for models");
        models::measure(product, options.rounds, report)?;
    }
    if options.wants(Part::Hundredth) {
        eprintln!("{} forks and snapshots of one workspace", options.copies);
        hundredth::measure(product, options.copies, report).await?;
    }
    if options.wants(Part::Leftovers) {
        eprintln!("{} workspaces in a row", options.repeat);
        leftovers::measure(product, options.repeat, report).await?;
    }
    Ok(())
}
