//! Batches of which everything is killed, again and again, for hours.
//!
//! ```text
//! seed ──▶ a batch, one run of the test ──▶ the same tree, and nothing left: written down
//!   └── the next one ◀─────────────────────┴─▶ or not: written down, and all of it is kept
//! ```
//!
//! What came of each batch is a line of a record, which belongs to the commit that was
//! built. Whoever is interrupted goes on where he was; another commit begins anew.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::programs;

/// Kill engines, agents, keepers, machines and models of batches, for hours
///
/// Each batch is six tasks of a real repository, done by the real programs of agents in
/// machines of their own, while their processes are killed at moments that follow from a
/// seed. It has to come to the expected tree and to leave nothing behind. What came of
/// each batch is written down below `target/endure`, and a run that is interrupted goes on
/// where it was. Run no other tests meanwhile: what they leave would be taken for a
/// batch's.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// For how long, in hours; time that was spent on this commit before counts
    #[arg(long, default_value_t = 2.0)]
    hours: f64,
    /// The seed of the first batch; one that is drawn and told if nobody says. Each batch
    /// after it has the next one
    #[arg(long)]
    first: Option<u32>,
    /// Run this one batch
    #[arg(long, conflicts_with_all = ["first", "hours"])]
    seed: Option<u32>,
}

/// The test that runs a batch, and how it is told.
const TEST: &str = "batches::cells::killing::whatever_is_killed_the_tree_is_the_same";
const SEED: &str = "CELLS_TEST_SEED";
const ENDURED: &str = "CELLS_TEST_ENDURED";

/// After so many batches that failed there is enough to look at: their machines go on.
const FAILURES_MAX: usize = 5;

/// What came of a batch.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    seed: u32,
    seconds: u64,
    /// None if it failed.
    came_through: Option<Endured>,
}

/// As the test tells it.
#[derive(Debug, Serialize, Deserialize)]
struct Endured {
    agents: Vec<String>,
    killed: Killed,
}

/// What was killed how often, and how often an operator was asked something.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Killed {
    engines: u64,
    agents: u64,
    keepers: u64,
    machines: u64,
    models: u64,
    asked: u64,
}

impl Killed {
    const fn all(self) -> u64 {
        self.engines + self.agents + self.keepers + self.machines + self.models
    }

    const fn and(self, more: Self) -> Self {
        Self {
            engines: self.engines + more.engines,
            agents: self.agents + more.agents,
            keepers: self.keepers + more.keepers,
            machines: self.machines + more.machines,
            models: self.models + more.models,
            asked: self.asked + more.asked,
        }
    }
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let program = programs::integration_tests("hotcell-cli")?;
    let commit = commit()?;
    let directory = programs::metadata()?.target_directory.join("endure").join(&commit);
    let mut record = Record::open(directory.as_std_path())?;
    if let Some(seed) = options.seed {
        let line = record.endure(&program, seed)?;
        return Ok(code(line.came_through.is_some()));
    }
    let wanted = Duration::try_from_secs_f64(options.hours * 3600.0)?;
    let mut seed = match (options.first, record.lines.last()) {
        (Some(first), _) => first,
        (None, Some(last)) => last.seed.wrapping_add(1),
        (None, None) => getrandom::u32().context("there is no chance to be had")?,
    };
    eprintln!("{commit}: {} of {}, from seed {seed}", clock(record.spent()), clock(wanted));
    while record.spent() < wanted && record.failures() < FAILURES_MAX {
        let line = record.endure(&program, seed)?;
        let told = match &line.came_through {
            Some(endured) => {
                format!("{} kills, {}", endured.killed.all(), endured.agents.join("+"))
            }
            None => format!("FAILED: cargo xtask endure --seed {seed}"),
        };
        let told = format!("seed {seed}: {told}, {} s", line.seconds);
        let (spent, kills) = (clock(record.spent()), record.killed().all());
        eprintln!("{told}; together {spent} of {}, {kills} kills", clock(wanted));
        seed = seed.wrapping_add(1);
    }
    println!("{}", record.row(&commit));
    Ok(code(record.failures() == 0))
}

const fn code(is_good: bool) -> ExitCode {
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What is built, as git names it.
fn commit() -> Result<String> {
    let mut git = Command::new("git");
    git.args(["describe", "--always", "--dirty", "--exclude=*"]).current_dir(programs::root());
    let said = git.output().context("cannot start git")?;
    Ok(String::from_utf8(said.stdout)?.trim().to_owned())
}

/// What came of the batches of a commit.
struct Record {
    directory: PathBuf,
    file: File,
    lines: Vec<Line>,
}

impl Record {
    fn open(directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory)?;
        let path = directory.join("record.jsonl");
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let text = fs::read_to_string(&path)?;
        let lines = text.lines().map(serde_json::from_str).collect::<Result<_, _>>();
        let lines = lines.with_context(|| format!("{} is damaged", path.display()))?;
        Ok(Self { directory: directory.to_owned(), file, lines })
    }

    /// Runs a batch, and writes down what came of it. Of one that came through nothing
    /// else is kept.
    fn endure(&mut self, program: &Path, seed: u32) -> Result<&Line> {
        let directory = self.directory.join(seed.to_string());
        match fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => fs::create_dir_all(&directory)?,
        }
        let said = File::create(directory.join("log"))?;
        let begun = Instant::now();
        let status = Command::new(program)
            .args(["--exact", TEST, "--nocapture"])
            .current_dir(programs::root().join("crates/hotcell-cli"))
            .env(SEED, seed.to_string())
            .env(ENDURED, &directory)
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said)
            .status()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let came_through = if status.success() {
            let told = fs::read(directory.join("result.json")).context("it told nothing")?;
            fs::remove_dir_all(&directory)?;
            Some(serde_json::from_slice(&told)?)
        } else {
            eprintln!("what there is of it: {}", directory.display());
            None
        };
        let line = Line { seed, seconds: begun.elapsed().as_secs(), came_through };
        writeln!(self.file, "{}", serde_json::to_string(&line)?)?;
        self.lines.push(line);
        self.lines.last().context("it was just added")
    }

    fn spent(&self) -> Duration {
        Duration::from_secs(self.lines.iter().map(|line| line.seconds).sum())
    }

    fn failures(&self) -> usize {
        self.lines.iter().filter(|line| line.came_through.is_none()).count()
    }

    fn killed(&self) -> Killed {
        let endured = self.lines.iter().filter_map(|line| line.came_through.as_ref());
        endured.fold(Killed::default(), |all, one| all.and(one.killed))
    }

    /// As `docs/endurance.md` has it.
    fn row(&self, commit: &str) -> String {
        let killed = self.killed();
        let Killed { engines, agents, keepers, machines, models, asked } = killed;
        let mut row = format!("| {commit} | {} | {} ", clock(self.spent()), self.lines.len());
        for count in [engines, agents, keepers, machines, models, killed.all(), asked] {
            let _ = write!(row, "| {count} ");
        }
        let _ = write!(row, "| {} |", self.failures());
        row
    }
}

/// Hours and minutes.
fn clock(time: Duration) -> String {
    let minutes = time.as_secs() / 60;
    format!("{} h {:02} min", minutes / 60, minutes % 60)
}
