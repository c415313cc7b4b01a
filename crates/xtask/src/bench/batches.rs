//! The engine of batches, without a machine: its journal beside plain SQLite, what it
//! costs among a hundred agents and among silent ones, how soon it has processes back.
//!
//! The programs that measure are examples of the crate that drives batches. Each says
//! a figure in a line: name, value, unit, and the baseline of the same moment if there
//! is one, with tabs in between.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::figures::{Figure, Report, Target};
use crate::programs;

/// How many agents there are.
const AGENTS: &str = "100";

/// How long they are looked at, in seconds.
const SPAN: &str = "15";

/// How many records are appended for each size of a commit.
const RECORDS: &str = "2000";

/// What is measured: how its line begins, what it is compared with, what it shall reach.
const FIGURES: &[(&str, Option<&str>, Option<Target>)] = &[
    ("journal, 1 record per commit", Some("SQLite"), Some(Target::Factor(4.0))),
    ("journal, 10 records per commit", Some("SQLite"), Some(Target::Factor(4.0))),
    ("journal, 100 records per commit", Some("SQLite"), Some(Target::Factor(4.0))),
    ("message accepted, p50", Some("SQLite"), None),
    ("message accepted, p99", Some("SQLite"), Some(Target::AtMost(10.0))),
    ("message on its way, p99", None, Some(Target::AtMost(100.0))),
    ("100 agents: share of a core", None, Some(Target::AtMost(20.0))),
    ("100 agents: memory of its own", None, Some(Target::AtMost(200.0))),
    ("silent agents: wake-ups a second", None, Some(Target::AtMost(1.0))),
    ("100 lanes settled after a kill", None, Some(Target::AtMost(2000.0))),
];

#[derive(Default)]
struct Samples {
    unit: String,
    product: Vec<f64>,
    baseline: Vec<f64>,
}

/// Measures some rounds.
pub(super) fn measure(rounds: u32, report: &mut Report) -> Result<()> {
    let example = |name: &str| programs::example("batch", name);
    let (journal, engine, custody) =
        (example("journal_probe")?, example("engine_probe")?, example("custody_probe")?);
    let mut samples: BTreeMap<String, Samples> = BTreeMap::new();
    for round in 0..rounds {
        eprintln!("batches, round {} of {rounds}", round + 1);
        let scratch = tempfile::tempdir_in(programs::metadata()?.target_directory)?;
        let at = |name: &str| scratch.path().join(name).to_string_lossy().into_owned();
        run(&journal, &["measure", &at("journal"), RECORDS], &mut samples)?;
        run(&engine, &["measure", &at("engine"), AGENTS, SPAN], &mut samples)?;
        run(&custody, &["measure", &at("custody"), "namespace", AGENTS], &mut samples)?;
    }
    for &(name, against, target) in FIGURES {
        let Samples { unit, product, baseline } =
            samples.remove(name).with_context(|| format!("nobody measured `{name}`"))?;
        let unit = match &*unit {
            "ms" => "ms",
            "%" => "%",
            "MiB" => "MiB",
            _ => "",
        };
        let baseline = against.map(|against| (against, baseline));
        report.add(Figure { name, unit, product, baseline, target });
    }
    Ok(())
}

fn run(program: &Path, arguments: &[&str], samples: &mut BTreeMap<String, Samples>) -> Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{} failed: {said}", program.display());
    for line in said.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let (name, value, unit, baseline) = match *fields.as_slice() {
            [name, value, unit] => (name, value, unit, None),
            [name, value, unit, baseline] => (name, value, unit, Some(baseline)),
            _ => continue,
        };
        let of = samples.entry(name.to_owned()).or_default();
        unit.clone_into(&mut of.unit);
        of.product.push(value.parse()?);
        if let Some(baseline) = baseline {
            of.baseline.push(baseline.parse()?);
        }
    }
    Ok(())
}
