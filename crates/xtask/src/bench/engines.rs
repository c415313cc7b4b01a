//! The engine of batches as a process of its own, among agents that are processes: what
//! it costs, how soon it accepts and hands on messages, how soon all is as before after a
//! SIGKILL, and how long the command line takes to tell of a long journal.
//!
//! The agents are an example of the crate that drives batches, which speaks Claude Code's
//! protocol; each has a lane of its own, a worktree of the host. So all is real but the
//! model, and no machine is needed.

mod cost;
mod scene;
mod senders;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::batches::Samples;
use crate::programs::{self, Profile};
use cost::{Cost, memory};
use scene::{Batch, Scene};
use senders::{Senders, plain};

/// Agents at once.
const AGENTS: usize = 100;

/// Tasks of the batch that only takes messages: each takes a few of them.
const RECIPIENTS: usize = 1000;

/// Messages that one sends, in turns with commits to a plain database.
const MESSAGES: usize = 400;

/// Messages that many send together, in all.
const MESSAGES_TOGETHER: usize = 2000;

/// How long agents are looked at, and how long silent ones.
const SPAN: Duration = Duration::from_secs(15);

/// How often somebody sends one of them a message.
const SENT_EVERY: Duration = Duration::from_millis(100);

/// How long what was gathered takes to pass after the last event.
const SETTLING: Duration = Duration::from_secs(8);

/// Records of a long journal.
const RECORDS: &str = "100000";

/// The programs that are measured with.
#[derive(Debug)]
pub(super) struct Programs {
    hotcell: PathBuf,
    agent: PathBuf,
    journal: PathBuf,
}

impl Programs {
    /// The program that is given, or else one that is built, and what is needed beside it.
    pub(super) fn with(hotcell: Option<&Path>) -> Result<Self> {
        Ok(Self {
            hotcell: match hotcell {
                Some(program) => std::path::absolute(program)?,
                None => programs::hotcell(Profile::Release)?,
            },
            agent: programs::example("batch", "scripted_agent")?,
            journal: programs::example("batch", "journal_probe")?,
        })
    }

    pub(super) fn hotcell(&self) -> &Path {
        &self.hotcell
    }

    /// Measures all of it once.
    pub(super) fn measure(&self, scratch: &Path, samples: &mut Samples) -> Result<()> {
        self.messages(&scratch.join("messages"), samples)?;
        self.agents(&scratch.join("agents"), samples)
    }

    /// How soon messages are accepted, one after the other and many at once.
    fn messages(&self, directory: &Path, samples: &mut Samples) -> Result<()> {
        let name = |number: usize| format!("T-{number}");
        let packets: Vec<_> =
            (1..=RECIPIENTS).map(|number| (name(number), (number > 1).then(|| name(1)))).collect();
        let scene = Scene::new(directory, (&self.hotcell, &self.agent), &packets, 1)?;
        fs::write(scene.beside_agent("rest"), "")?;
        let batch = scene.start()?;
        batch.until_at_work(1, 1)?;
        let senders = Senders::of(&batch.directory(), batch.units()?)?;
        let plain = plain(&directory.join("plain.sqlite"))?;
        let (mut ours, mut theirs) = senders.beside(&plain, MESSAGES)?;
        let commits =
            f64::from(u32::try_from(theirs.len())?) / theirs.iter().sum::<Duration>().as_secs_f64();
        for percent in [50, 99] {
            let (ours, theirs) = (at(&mut ours, percent), at(&mut theirs, percent));
            samples.add(&format!("message accepted, p{percent}"), ours, Some(theirs));
        }
        for together in [1, 10, 100] {
            let each = MESSAGES_TOGETHER.min(together * MESSAGES) / together;
            let (mut took, seconds) = senders.together(together, each)?;
            let rate = f64::from(u32::try_from(took.len())?) / seconds;
            let p99 = at(&mut took, 99);
            samples.add(&format!("{together} at once: messages a second"), rate, Some(commits));
            samples.add(&format!("{together} at once: accepted, p99"), p99, None);
        }
        batch.abort()
    }

    /// What a hundred agents cost, what becomes of them after a SIGKILL, and how long the
    /// command line takes once their journal is long.
    fn agents(&self, directory: &Path, samples: &mut Samples) -> Result<()> {
        let packets: Vec<_> = (1..=AGENTS).map(|number| (format!("T-{number}"), None)).collect();
        let scene = Scene::new(directory, (&self.hotcell, &self.agent), &packets, AGENTS)?;
        let begun = Instant::now();
        let batch = scene.start()?;
        batch.until_at_work(AGENTS, 1)?;
        samples.add("100 agents: all at work after the start", milliseconds(begun), None);
        let engine = batch.engine()?;
        let before = Cost::of(engine)?;
        steer(&batch)?;
        let used = before.until(&Cost::of(engine)?);
        let (resident, share) = memory(engine)?;
        samples.add("100 agents: share of a core", used.core_percent, None);
        samples.add("100 agents: resident memory", resident, None);
        samples.add("100 agents: share of the memory", share, None);
        let mut heard = heard(&scene)?;
        for percent in [50, 99] {
            let name = format!("sent → read by the agent, p{percent}");
            samples.add(&name, at(&mut heard, percent), None);
        }
        fs::write(scene.beside_agent("rest"), "")?;
        thread::sleep(SETTLING);
        let before = Cost::of(engine)?;
        thread::sleep(SPAN);
        let used = before.until(&Cost::of(engine)?);
        samples.add("silent agents: wake-ups a second", used.wake_ups, None);

        kill(engine)?;
        let begun = Instant::now();
        scene.told(&["batch", "resume", &batch.id])?;
        batch.until_at_work(AGENTS, 2)?;
        samples.add("100 agents: at work again after a kill", milliseconds(begun), None);

        kill(batch.engine()?)?;
        let lengthened = Command::new(&self.journal)
            .arg("lengthen")
            .arg(batch.directory())
            .args([&batch.id, RECORDS])
            .status()
            .context("cannot start the program that lengthens journals")?;
        ensure!(lengthened.success(), "the journal was not lengthened");
        for (name, arguments) in [
            ("status of 100,000 records, first", &["batch", "status"][..]),
            ("status of 100,000 records, again", &["batch", "status"]),
            ("events of 100,000 records", &["batch", "events"]),
            ("events of one unit of 100,000 records", &["batch", "events", "--unit", "T-1"]),
            ("resume of 100,000 records", &["batch", "resume"]),
        ] {
            samples.add(name, scene.time(arguments)?, None);
        }
        batch.abort()
    }
}

/// Sends messages to agents, now and then.
fn steer(batch: &Batch<'_>) -> Result<()> {
    let senders = Senders::of(&batch.directory(), batch.units()?)?;
    let (begun, mut sent) = (Instant::now(), 0_u32);
    while begun.elapsed() < SPAN {
        senders.send()?;
        sent += 1;
        thread::sleep((SENT_EVERY * sent).saturating_sub(begun.elapsed()));
    }
    Ok(())
}

/// How long messages took to their agents.
fn heard(scene: &Scene) -> Result<Vec<Duration>> {
    let text = fs::read_to_string(scene.beside_agent("heard"))?;
    let took = text.lines().map(|line| {
        let (sent, heard) = line.split_once(' ')?;
        let took = heard.parse::<u64>().ok()?.checked_sub(sent.parse().ok()?)?;
        Some(Duration::from_nanos(took))
    });
    let took: Option<Vec<_>> = took.collect();
    let took = took.context("an agent has noted something odd")?;
    ensure!(took.len() > 50, "only {} messages were heard", took.len());
    Ok(took)
}

fn kill(engine: u32) -> Result<()> {
    let pid = Pid::from_raw(i32::try_from(engine)?).context("an odd process")?;
    Ok(kill_process(pid, Signal::KILL)?)
}

fn milliseconds(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1000.0
}

/// What so many percent of them are below, in milliseconds.
fn at(durations: &mut [Duration], percent: usize) -> f64 {
    durations.sort();
    let place = (durations.len() * percent / 100).min(durations.len().saturating_sub(1));
    durations.get(place).map_or(f64::NAN, |duration| duration.as_secs_f64() * 1000.0)
}
