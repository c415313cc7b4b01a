//! The project's own tasks: `cargo xtask <command>`.
//!
//! * [`mod@bench`]: the product's figures beside the monitor's own floor.
//! * [`lab`]: the KVM path, tested for real on machines without usable KVM.
//! * [`tidy`]: house law as checks.
//! * [`generate`]: the generated part of the documentation.
//! * [`protocol`]: the server for models, judged by the protocol's own tools.
//! * [`simulate`]: the engine of batches in a simulated world.
//! * [`endure`]: the engine of batches in the real one, killed for hours.
//! * [`record`]: a terminal session as a picture that moves.
//!
//! What the tasks share: [`programs`] builds our own programs, [`cache`] says
//! where things are kept between runs, [`machines`] boots a machine through the
//! product's own driver, and [`guest`] speaks with the agent in it.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tasks speak to the developer who starts them"
)]

mod bench;
mod cache;
mod endure;
mod generate;
mod guest;
mod lab;
mod machines;
mod programs;
mod protocol;
mod record;
mod simulate;
mod table;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Hotcell's own tasks
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    Bench(bench::Options),
    KvmLab(lab::Options),
    Tidy(tidy::Options),
    Gen(generate::Options),
    Record(record::Options),
    Protocol(protocol::Options),
    Simulate(simulate::Options),
    Endure(endure::Options),
}

fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().task {
        Task::Bench(options) => bench::run(&options).map(|()| ExitCode::SUCCESS),
        Task::KvmLab(options) => lab::run(&options),
        Task::Tidy(options) => tidy::run(&options),
        Task::Gen(options) => generate::run(&options),
        Task::Simulate(options) => simulate::run(&options),
        Task::Endure(options) => endure::run(&options),
        Task::Protocol(options) => protocol::run(&options).map(|()| ExitCode::SUCCESS),
        Task::Record(options) => record::run(&options).map(|()| ExitCode::SUCCESS),
    }
}
