//! `gen`: the part of the documentation that is made from the program itself.
//!
//! * `docs/reference/operations.md`: [`mod@reference`].
//! * `docs/reference/agents.md`: [`mod@agents`].
//! * `docs/use-cases`: [`use_cases`].
//! * `docs/reference/contract.json`: the schemas of every operation, for
//!   programs and for reviewers, who see a change of the contract as a change
//!   of this file.

mod agents;
mod reference;
mod use_cases;

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result};
use operation::contract;

use crate::{programs, table};

/// Where the files lie.
const DIRECTORY: &str = "docs";

/// Write the generated part of the documentation
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Write nothing; fail if a file is not what would be written
    #[arg(long)]
    check: bool,
}

/// Runs the task; with `--check` its exit code says whether all files are up to
/// date.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let table = table::operations();
    let surface = serde_json::to_string_pretty(&contract::surface(&table))?;
    let mut files = vec![
        ("reference/operations.md".to_owned(), reference::page(&table)),
        ("reference/contract.json".to_owned(), format!("{surface}\n")),
        ("reference/agents.md".to_owned(), agents::page()),
    ];
    files.extend(use_cases::pages());
    let directory = programs::root().join(DIRECTORY);
    let mut outdated = false;
    for (name, content) in files {
        let path = directory.join(&name);
        let is_current = fs::read_to_string(&path).is_ok_and(|present| present == content);
        if is_current {
            println!("{DIRECTORY}/{name} is up to date");
        } else if options.check {
            println!("{DIRECTORY}/{name} is outdated: run `cargo xtask gen`");
            outdated = true;
        } else {
            fs::create_dir_all(path.parent().unwrap_or(&directory))
                .and_then(|()| fs::write(&path, content))
                .with_context(|| format!("cannot write {}", path.display()))?;
            println!("{DIRECTORY}/{name} is written");
        }
    }
    Ok(if outdated { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
