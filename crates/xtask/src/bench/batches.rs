//! Batches, without a machine: the journal beside plain SQLite, how soon lanes are back in
//! custody, and an [engine](super::engines) as a process among a hundred agents.
//!
//! Programs that measure are examples of the crate that drives batches. Each says a figure
//! in a line: name, value, unit, and the baseline of the same moment if there is one, with
//! tabs in between.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::engines::Programs;
use super::figures::{Figure, Report, Target};
use crate::programs;

/// How many lanes come back into custody.
const LANES: &str = "100";

/// How many records are appended for each size of a commit.
const RECORDS: &str = "1000";

/// What is measured: its name and unit, what it is compared with, what it shall reach.
const FIGURES: &[(&str, &str, Option<&str>, Option<Target>)] = &[
    ("journal, 1 record per commit", "ms", Some("SQLite"), Some(Target::Factor(4.0))),
    ("journal, 10 records per commit", "ms", Some("SQLite"), Some(Target::Factor(4.0))),
    ("journal, 100 records per commit", "ms", Some("SQLite"), Some(Target::Factor(4.0))),
    ("message accepted, p50", "ms", Some("SQLite"), None),
    ("message accepted, p99", "ms", Some("SQLite"), Some(Target::AtMost(10.0))),
    ("1 at once: messages a second", "", Some("SQLite"), None),
    ("1 at once: accepted, p99", "ms", None, None),
    ("10 at once: messages a second", "", Some("SQLite"), None),
    ("10 at once: accepted, p99", "ms", None, None),
    ("100 at once: messages a second", "", Some("SQLite"), None),
    ("100 at once: accepted, p99", "ms", None, None),
    ("100 agents: all at work after the start", "ms", None, None),
    ("100 agents: share of a core", "%", None, Some(Target::AtMost(20.0))),
    ("100 agents: resident memory", "MiB", None, Some(Target::AtMost(200.0))),
    ("100 agents: share of the memory", "MiB", None, None),
    ("sent → read by the agent, p50", "ms", None, None),
    ("sent → read by the agent, p99", "ms", None, Some(Target::AtMost(100.0))),
    ("silent agents: wake-ups a second", "", None, Some(Target::AtMost(1.0))),
    ("100 lanes settled after a kill", "ms", None, None),
    ("100 lanes back after a kill", "ms", Some("plain"), Some(Target::AtMost(2000.0))),
    ("100 agents: at work again after a kill", "ms", None, None),
    ("status of 100,000 records, first", "ms", None, None),
    ("status of 100,000 records, again", "ms", None, Some(Target::AtMost(150.0))),
    ("events of 100,000 records", "ms", None, Some(Target::AtMost(150.0))),
    ("events of one unit of 100,000 records", "ms", None, None),
    ("resume of 100,000 records", "ms", None, None),
];

/// What was measured, by name.
#[derive(Debug, Default)]
pub(super) struct Samples(BTreeMap<String, Sample>);

#[derive(Debug, Default)]
struct Sample {
    product: Vec<f64>,
    baseline: Vec<f64>,
}

impl Samples {
    /// A value, and the baseline of the same moment.
    pub(super) fn add(&mut self, name: &str, value: f64, baseline: Option<f64>) {
        let sample = self.0.entry(name.to_owned()).or_default();
        sample.product.push(value);
        sample.baseline.extend(baseline);
    }
}

/// Measures some rounds.
pub(super) fn measure(rounds: u32, hotcell: Option<&Path>, report: &mut Report) -> Result<()> {
    let example = |name: &str| programs::example("batch", name);
    let (journal, custody) = (example("journal_probe")?, example("custody_probe")?);
    let programs = Programs::with(hotcell)?;
    let mut samples = Samples::default();
    for round in 0..rounds {
        eprintln!("batches, round {} of {rounds}", round + 1);
        let scratch = tempfile::tempdir_in(programs::metadata()?.target_directory)?;
        let at = |name: &str| scratch.path().join(name).to_string_lossy().into_owned();
        run(&journal, &["measure", &at("journal"), RECORDS], &mut samples)?;
        let hotcell = programs.hotcell().to_string_lossy();
        let lanes = ["measure", &at("custody"), "detect", &hotcell, LANES];
        run(&custody, &lanes, &mut samples)?;
        programs.measure(scratch.path(), &mut samples)?;
    }
    for &(name, unit, against, target) in FIGURES {
        let sample = samples.0.remove(name);
        let Sample { product, baseline } =
            sample.with_context(|| format!("nobody measured `{name}`"))?;
        let baseline = against.map(|against| (against, baseline));
        report.add(Figure { name, unit, product, baseline, target });
    }
    Ok(())
}

fn run(program: &Path, arguments: &[&str], samples: &mut Samples) -> Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{} failed: {said}", program.display());
    for line in said.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        match *fields.as_slice() {
            [name, value, _] => samples.add(name, value.parse()?, None),
            [name, value, _, baseline] => {
                samples.add(name, value.parse()?, Some(baseline.parse()?));
            }
            _ => {}
        }
    }
    Ok(())
}
