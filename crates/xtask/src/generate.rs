//! x
use anyhow::Result;
/// x
#[derive(Debug, clap::Args)]
pub(crate) struct Options {}
pub(crate) fn run(_: &Options) -> Result<std::process::ExitCode> { Ok(std::process::ExitCode::SUCCESS) }
