//! The engine of batches in a simulated world, for as many seeds as one likes.
//!
//! ```text
//! seeds ──▶ chunks ──▶ a process per core ──▶ all kept their promises: written down
//!                                        └──▶ one did not: its story, and the end
//! ```
//!
//! Each chunk is one run of the crate's own test, which also requires that engines died
//! at every position of every kind of effect. Chunks that are done are written down
//! beside the program that ran them, so whoever is interrupted goes on where he was, and
//! whoever changes the engine begins anew.

use std::collections::{BTreeSet, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{IsTerminal as _, Read as _, Seek as _, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::programs;

/// Run the engine of batches in a simulated world
///
/// A seed that breaks a promise prints its journal and how to run it again, is kept
/// among the seeds that every test run goes through, and ends the run. A run that is
/// interrupted goes on where it was.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Which seeds to run: FIRST..END, or how many
    #[arg(long, default_value = "5000", conflicts_with = "seed")]
    seeds: Seeds,
    /// Run this one seed
    #[arg(long)]
    seed: Option<u64>,
    /// Processes beside each other; one per core if nobody says
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    jobs: Option<u64>,
}

#[derive(Debug, Clone)]
struct Seeds(Range<u64>);

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| -> Result<u64, String> {
            text.parse().map_err(|_| format!("`{text}` is no number"))
        };
        let range = match text.split_once("..") {
            Some((first, end)) => number(first)?..number(end)?,
            None => 0..number(text)?,
        };
        if range.is_empty() { Err("there is no seed in it".to_owned()) } else { Ok(Self(range)) }
    }
}

/// The test that runs seeds.
const TEST: &str = "simulation::tests::every_seed_keeps_every_promise";

/// Says which seeds it runs.
const SEEDS_VARIABLE: &str = "HOTCELL_SIMULATION_SEEDS";

/// How many seeds a process runs: as many as it needs to die everywhere.
const CHUNK: u64 = 5_000;

/// Seeds that have found something, for every test run.
const KEPT: &str = "crates/batch-core/src/simulation/kept.txt";

/// What stands before the number of a seed that has failed.
const AGAIN: &str = "cargo xtask simulate --seed ";

/// How often the progress is told where there is no terminal.
const TELL: Duration = Duration::from_secs(30);

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let program = programs::unit_tests("batch-core")?;
    if let Some(seed) = options.seed {
        let status = test(&program, seed..seed + 1).status().context("cannot run the seed")?;
        return Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let jobs = match options.jobs {
        Some(jobs) => usize::try_from(jobs)?,
        None => thread::available_parallelism()?.get(),
    };
    let mut round = Round::of(&program, options.seeds.0.clone())?;
    let mut running: Vec<Job> = Vec::new();
    loop {
        while running.len() < jobs
            && let Some(chunk) = round.left.pop_front()
        {
            running.push(Job::start(&program, chunk)?);
        }
        if running.is_empty() {
            break;
        }
        thread::sleep(Duration::from_millis(50));
        let mut at = 0;
        while at < running.len() {
            if running[at].child.try_wait()?.is_none() {
                at += 1;
                continue;
            }
            let job = running.swap_remove(at);
            let chunk = job.chunk.clone();
            if let Some(story) = job.failure()? {
                for mut other in running {
                    other.child.kill()?;
                    other.child.wait()?;
                }
                println!("{story}");
                return keep(&story).map(|()| ExitCode::FAILURE);
            }
            round.is_done(&chunk)?;
        }
        round.tell();
    }
    round.end();
    Ok(ExitCode::SUCCESS)
}

fn test(program: &Path, seeds: Range<u64>) -> Command {
    let mut command = Command::new(program);
    command
        .args(["--exact", TEST, "--nocapture"])
        .current_dir(programs::root().join("crates/batch-core"))
        .env(SEEDS_VARIABLE, format!("{}..{}", seeds.start, seeds.end))
        .env("RUST_BACKTRACE", "0");
    command
}

/// A chunk that is being run.
struct Job {
    chunk: Range<u64>,
    child: Child,
    said: File,
}

impl Job {
    fn start(program: &Path, chunk: Range<u64>) -> Result<Self> {
        let said = tempfile::tempfile()?;
        let child = test(program, chunk.clone())
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said.try_clone()?)
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        Ok(Self { chunk, child, said })
    }

    /// What it said, if a promise was broken.
    fn failure(mut self) -> Result<Option<String>> {
        if self.child.wait()?.success() {
            return Ok(None);
        }
        let mut said = String::new();
        self.said.rewind()?;
        self.said.read_to_string(&mut said)?;
        Ok(Some(said))
    }
}

/// Adds the seeds that a story is about to those of every test run.
fn keep(story: &str) -> Result<()> {
    let path = programs::root().join(KEPT);
    let text = fs::read_to_string(&path)?;
    let mut kept: BTreeSet<u64> =
        text.lines().map(str::parse).collect::<Result<_, _>>().context("a line is no seed")?;
    let found = story.lines().filter_map(|line| line.split_once(AGAIN)?.1.parse().ok());
    let found: BTreeSet<u64> = found.collect();
    if found.is_empty() {
        bail!("no seed has failed, but the run has: see above");
    }
    kept.extend(&found);
    let lines: String = kept.iter().map(|seed| format!("{seed}\n")).collect();
    fs::write(&path, lines)?;
    eprintln!("kept in {KEPT}");
    Ok(())
}

/// Seeds that are run, and what of them is done.
struct Round {
    seeds: Range<u64>,
    left: VecDeque<Range<u64>>,
    /// Where chunks that are done are written down.
    done: File,
    /// How many seeds were done before this run, and in it.
    before: u64,
    now: u64,
    began: Instant,
    told: Option<Instant>,
}

impl Round {
    fn of(program: &Path, seeds: Range<u64>) -> Result<Self> {
        // Cargo calls a program after what it is made of, but for the sources.
        let built = fs::metadata(program)?.modified()?.elapsed().unwrap_or_default();
        let path = PathBuf::from(format!("{}.seeds", program.display()));
        let is_of = |file: &fs::Metadata| {
            file.modified().is_ok_and(|time| time.elapsed().unwrap_or_default() <= built)
        };
        if !fs::metadata(&path).is_ok_and(|file| is_of(&file)) {
            File::create(&path)?;
        }
        let text = fs::read_to_string(&path)?;
        let known: BTreeSet<&str> = text.lines().collect();
        let chunks = (seeds.start..seeds.end).step_by(usize::try_from(CHUNK)?);
        let chunks = chunks.map(|first| first..seeds.end.min(first + CHUNK));
        let left: VecDeque<Range<u64>> =
            chunks.filter(|chunk| !known.contains(&*line(chunk))).collect();
        let before = seeds.end - seeds.start - left.iter().map(|it| it.end - it.start).sum::<u64>();
        let done = OpenOptions::new().append(true).open(&path)?;
        if before > 0 {
            eprintln!("{before} of them were run before");
        }
        Ok(Self { seeds, left, done, before, now: 0, began: Instant::now(), told: None })
    }

    fn is_done(&mut self, chunk: &Range<u64>) -> Result<()> {
        writeln!(self.done, "{}", line(chunk))?;
        self.now += chunk.end - chunk.start;
        Ok(())
    }

    fn rate(&self) -> f64 {
        // A count of seeds is far below what a float can tell apart.
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let now = self.now as f64;
        now / self.began.elapsed().as_secs_f64()
    }

    fn tell(&mut self) {
        let is_terminal = std::io::stderr().is_terminal();
        let pause = if is_terminal { Duration::from_millis(200) } else { TELL };
        if self.told.is_some_and(|told| told.elapsed() < pause) {
            return;
        }
        self.told = Some(Instant::now());
        let (all, done) = (self.seeds.end - self.seeds.start, self.before + self.now);
        let full = usize::try_from(done * 30 / all).unwrap_or(30);
        let bar = format!("[{:<30}]", "#".repeat(full));
        let end = if is_terminal { '\r' } else { '\n' };
        eprint!("{bar} {done} of {all} seeds, {:.0} per second{end}", self.rate());
    }

    fn end(&self) {
        println!(
            "{} seeds kept every promise: {} in this run, {:.0} per second",
            self.before + self.now,
            self.now,
            self.rate(),
        );
    }
}

fn line(chunk: &Range<u64>) -> String {
    format!("{}..{}", chunk.start, chunk.end)
}
