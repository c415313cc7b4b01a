//! An engine among agents that follow a script: the real loop, core and journal, and a
//! world that answers at once.
//!
//! - `measure DIRECTORY AGENTS SECONDS`: that many agents, each with one event a second,
//!   and somebody who sends ten messages a second to them, while somebody else commits
//!   to a plain database as often; then the same agents, silent. Says what that cost, a
//!   figure in each line: name, value, unit, and the plain database's.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use batch::journal::SqliteJournal;
use batch_api::{BatchId, CommitName, Epoch, MessageId, RequestId, UnitId};
use batch_core::decide::{Address, Command, Input, Observation};
use batch_core::drive::{Engine, Order, Ports, live};
use batch_core::effect::{Action, Outcome};
use batch_core::fact::Reply;
use batch_core::mail::{MailKind, Urgency};
use batch_core::spec::{BatchSpec, Ceiling, FailurePolicy, Limits, Receipts, UnitSpec};
use batch_core::state::State;
use batch_core::time::Time;
use batch_core::unit::Usage;
use rusqlite::Connection;

/// How often an agent does something.
const BEAT: Duration = Duration::from_secs(1);

/// How often somebody sends a message to one of them.
const SENT_EVERY: Duration = Duration::from_millis(100);

/// The most that waits for a turn.
const INPUTS_MAX: usize = 4096;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["measure", directory, agents, seconds] => {
            measure(Path::new(directory), agents.parse()?, Duration::from_secs(seconds.parse()?))
        }
        _ => Err("unknown role".into()),
    }
}

/// When messages were sent, accepted and on their way.
#[derive(Default)]
struct Times {
    sent: BTreeMap<RequestId, Instant>,
    accepted: BTreeMap<MessageId, Instant>,
    accept: Vec<Duration>,
    inject: Vec<Duration>,
}

/// A world in which everything happens at once.
struct Script {
    inputs: Receiver<Input>,
    ready: Vec<Input>,
    times: Arc<Mutex<Times>>,
    is_started: SyncSender<()>,
    left: usize,
}

impl Script {
    fn outcome(&mut self, action: &Action) -> Option<Outcome> {
        let name = |digit: &str| -> CommitName { digit.repeat(40).parse().expect("a name") };
        Some(match action {
            Action::Fence => Outcome::Fenced,
            Action::Prepare { .. } => Outcome::Prepared { base: name("1") },
            Action::Start { .. } => {
                self.left = self.left.saturating_sub(1);
                if self.left == 0 {
                    let _ = self.is_started.try_send(());
                }
                Outcome::Started
            }
            Action::Inject { message, .. } => {
                let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(accepted) = times.accepted.remove(message) {
                    times.inject.push(accepted.elapsed());
                }
                Outcome::Injected
            }
            Action::Publish { .. } => Outcome::Published,
            _ => return None,
        })
    }
}

impl Ports for Script {
    fn now(&self) -> Time {
        Time::default().after(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    fn carry_out(&mut self, _: Epoch, orders: Vec<Order>, _: &State) -> ControlFlow<()> {
        for order in orders {
            match order {
                Order::Answer { request, reply } => {
                    let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
                    let sent = times.sent.remove(&request);
                    if let (Some(sent), Reply::Mailed { message }) = (sent, reply) {
                        times.accept.push(sent.elapsed());
                        times.accepted.insert(message, Instant::now());
                    }
                }
                Order::Start(effect) => {
                    if let Some(outcome) = self.outcome(&effect.action) {
                        self.ready.push(Input::Outcome { effect: effect.id, outcome });
                    }
                    if let Action::Inject { conversation, message } = effect.action {
                        let observation = Observation::Saw { message };
                        self.ready.push(Input::Observed { conversation, observation });
                    }
                }
                Order::Find(_) => {}
            }
        }
        ControlFlow::Continue(())
    }

    fn wait(&mut self, _: &State, wake: Option<Time>) -> Option<Vec<Input>> {
        if !self.ready.is_empty() {
            return Some(std::mem::take(&mut self.ready));
        }
        let patience = wake.map_or(Duration::from_secs(60), |wake| wake.since(self.now()));
        match self.inputs.recv_timeout(patience) {
            Ok(first) => Some([first].into_iter().chain(self.inputs.try_iter()).collect()),
            Err(RecvTimeoutError::Timeout) => Some(Vec::new()),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }
}

fn spec(batch: BatchId, agents: u32) -> Result<BatchSpec, Box<dyn Error>> {
    let wide = Ceiling { time_ms: u64::MAX, tokens: u64::MAX, money_micros: u64::MAX };
    let unit = |number: u32| {
        let unit = format!("T-{number}@app/1").parse()?;
        let home = format!("tasks/T-{number}");
        Ok(UnitSpec { unit, home, after: Vec::new(), apart: Vec::new(), memory_mib: 0 })
    };
    Ok(BatchSpec {
        batch,
        owner: "operator:anna".parse()?,
        lanes: agents,
        memory_mib: None,
        policy: FailurePolicy::SkipDependents,
        receipts: Receipts::Searchable,
        limits: Limits {
            unit: wide,
            batch: wide,
            stall_ms: 3_600_000,
            retries: Limits::RETRIES_MAX,
            contexts: 10,
            wait_ms: 3_600_000,
        },
        units: (1..=agents).map(unit).collect::<Result<_, Box<dyn Error>>>()?,
    })
}

fn measure(directory: &Path, agents: u32, span: Duration) -> Result<(), Box<dyn Error>> {
    let batch: BatchId = "bat_00000000000000000000000000000001".parse()?;
    let spec = spec(batch, agents)?;
    let units: Vec<UnitId> = spec.units.iter().map(|unit| unit.unit.clone()).collect();
    let mut engine = Engine::take_over(SqliteJournal::create(directory, batch)?, batch)?;
    let (door, inputs) = sync_channel(INPUTS_MAX);
    let (is_started, started) = sync_channel(1);
    let times = Arc::new(Mutex::new(Times::default()));
    let left = units.len();
    let mut script = Script { inputs, ready: Vec::new(), times: times.clone(), is_started, left };
    let owner = spec.owner.clone();
    let start = Command::Start { spec: Box::new(spec) };
    door.send(Input::Command { request: "start".parse()?, actor: owner.clone(), command: start })?;
    let engine = thread::spawn(move || live(&mut engine, &mut script).map_err(|e| e.to_string()));
    started.recv_timeout(Duration::from_secs(60))?;

    let plain = plain_commits(&directory.join("plain.sqlite"), span)?;
    let before = Cost::now()?;
    let (begun, mut ticks, mut sent) = (Instant::now(), 0_u32, 0_u32);
    // The agents' events are spread over the second.
    let tick = BEAT / agents;
    while begun.elapsed() < span {
        let unit = &units[usize::try_from(ticks % agents)?];
        let conversation = format!("{unit}#1:worker~1").parse()?;
        let usage = Usage { tokens: 100, money_micros: 10, calls: 1 };
        let observation = Observation::Used { usage };
        door.send(Input::Observed { conversation, observation })?;
        ticks += 1;
        if begun.elapsed() >= SENT_EVERY * sent {
            let request: RequestId = format!("m{sent}").parse()?;
            let to = units[usize::try_from(sent % agents)?].clone();
            let command = Command::Send {
                to: Address::Unit(to),
                kind: MailKind::Info,
                answers: None,
                urgent: Urgency::Normal,
                lasts_ms: None,
                text: "the tests of the parser are slow today".parse()?,
            };
            let mut known = times.lock().unwrap_or_else(PoisonError::into_inner);
            known.sent.insert(request.clone(), Instant::now());
            drop(known);
            door.send(Input::Command { request, actor: owner.clone(), command })?;
            sent += 1;
        }
        thread::sleep((tick * ticks).saturating_sub(begun.elapsed()));
    }
    let busy = Cost::now()?.since(&before, begun.elapsed());
    let mut plain = plain.join().map_err(|_| "the plain database panicked")??;
    {
        let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
        let plain = [50, 99].map(|percent| at(&mut plain, percent));
        figure("events a second", f64::from(ticks) / span.as_secs_f64(), "", None);
        figure(&format!("{agents} agents: share of a core"), busy.cpu * 100.0, "%", None);
        figure(&format!("{agents} agents: memory of its own"), busy.memory_mib, "MiB", None);
        figure("message accepted, p50", at(&mut times.accept, 50), "ms", Some(plain[0]));
        figure("message accepted, p99", at(&mut times.accept, 99), "ms", Some(plain[1]));
        figure("message on its way, p50", at(&mut times.inject, 50), "ms", None);
        figure("message on its way, p99", at(&mut times.inject, 99), "ms", None);
    }
    // What was gathered passes, and people read the last change.
    thread::sleep(Duration::from_secs(7));
    let before = Cost::now()?;
    let begun = Instant::now();
    thread::sleep(span);
    let silent = Cost::now()?.since(&before, begun.elapsed());
    figure("silent agents: wake-ups a second", silent.wake_ups, "", None);
    drop(door);
    engine.join().map_err(|_| "the engine panicked")??;
    Ok(())
}

/// Commits a row to a database of its own now and then, and says how long each took.
fn plain_commits(
    path: &Path,
    span: Duration,
) -> Result<thread::JoinHandle<rusqlite::Result<Vec<Duration>>>, Box<dyn Error>> {
    let plain = Connection::open(path)?;
    plain.pragma_update(None, "journal_mode", "WAL")?;
    plain.pragma_update(None, "synchronous", "FULL")?;
    plain.execute_batch("CREATE TABLE plain (text TEXT NOT NULL)")?;
    Ok(thread::spawn(move || {
        let (begun, mut all) = (Instant::now(), Vec::new());
        while begun.elapsed() < span {
            thread::sleep(SENT_EVERY);
            let start = Instant::now();
            plain.execute("INSERT INTO plain (text) VALUES (?1)", ["x".repeat(400)])?;
            all.push(start.elapsed());
        }
        Ok(all)
    }))
}

fn at(durations: &mut [Duration], percent: usize) -> f64 {
    durations.sort();
    let place = (durations.len() * percent / 100).min(durations.len().saturating_sub(1));
    durations.get(place).map_or(f64::NAN, |duration| duration.as_secs_f64() * 1000.0)
}

fn figure(name: &str, value: f64, unit: &str, beside: Option<f64>) {
    let beside = beside.map_or_else(String::new, |beside| format!("\t{beside:.3}"));
    // Nobody may be listening any more.
    let _ = writeln!(io::stdout(), "{name}\t{value:.3}\t{unit}{beside}");
}

/// What this process has used so far.
struct Cost {
    cpu: f64,
    memory_mib: f64,
    /// How often its threads were scheduled after they had waited.
    wake_ups: f64,
}

impl Cost {
    fn now() -> Result<Self, Box<dyn Error>> {
        let ticks_per_second = rustix::param::clock_ticks_per_second();
        let stat = fs::read_to_string("/proc/self/stat")?;
        let (_, stat) = stat.rsplit_once(") ").ok_or("an odd stat")?;
        let fields: Vec<&str> = stat.split(' ').collect();
        let ticks = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
        let memory = value(&fs::read_to_string("/proc/self/smaps_rollup")?, "Anonymous:")?;
        let mut wake_ups = 0.0;
        for task in fs::read_dir("/proc/self/task")? {
            let status = fs::read_to_string(task?.path().join("status"))?;
            wake_ups += value(&status, "voluntary_ctxt_switches:")?;
        }
        let cpu = ticks / u32::try_from(ticks_per_second).map(f64::from)?;
        Ok(Self { cpu, memory_mib: memory / 1024.0, wake_ups })
    }

    fn since(self, before: &Self, span: Duration) -> Self {
        let per_second = |now: f64, then: f64| (now - then) / span.as_secs_f64();
        Self {
            cpu: per_second(self.cpu, before.cpu),
            memory_mib: self.memory_mib,
            wake_ups: per_second(self.wake_ups, before.wake_ups),
        }
    }
}

/// The first number behind a name at the beginning of a line.
fn value(text: &str, name: &str) -> Result<f64, Box<dyn Error>> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or("a line is missing")?;
    Ok(line.split_whitespace().next().ok_or("a number is missing")?.parse()?)
}
