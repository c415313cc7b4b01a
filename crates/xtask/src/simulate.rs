//! The engine of batches in a simulated world, for as many seeds as one likes.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

/// Run the engine of batches in a simulated world
///
/// A seed that breaks a promise prints the end of its journal and how to run it
/// again. Without options, as many seeds as in CI are run.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many seeds to run
    #[arg(long, conflicts_with = "seed")]
    seeds: Option<u64>,
    /// The first of them
    #[arg(long, default_value_t = 0, conflicts_with = "seed")]
    first: u64,
    /// Run this one seed
    #[arg(long)]
    seed: Option<u64>,
}

/// The test that runs seeds.
const TEST: &str = "simulation::tests::every_seed_keeps_every_promise";

/// How many seeds CI runs.
const SEEDS_IN_CI: u64 = 5_000;

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let (first, count) = match options.seed {
        Some(seed) => (seed, 1),
        None => (options.first, options.seeds.unwrap_or(SEEDS_IN_CI)),
    };
    let status = Command::new(env!("CARGO"))
        .args(["test", "--package", "batch-core", "--lib", "--quiet", "--", "--nocapture", TEST])
        .env("HOTCELL_SIMULATION_SEEDS", format!("{first}..{}", first.saturating_add(count)))
        .env("RUST_BACKTRACE", "0")
        .status()
        .context("failed to start cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
