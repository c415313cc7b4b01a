//! The same batch, with engine, agents, keepers, machines and model killed all the time,
//! at moments that follow from a seed.
//!
//! ```text
//! seed ──▶ moments, victims ──▶ SIGKILL ──▶ engine and model come back by the test,
//!                                           the rest by the engine
//! the batch is over ──▶ the tree is the expected one ──▶ nothing is left of it
//! ```
//!
//! Once with a few kills, as every test run does it; or for hours, as
//! `cargo xtask endure` does it, which runs this test for one batch after the other. A
//! seed says what is killed when; what happens meanwhile follows from the machine.

mod leftovers;
mod victims;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use agent_lab::model::ScriptedModel;
use batch::engine::AgentKind;
use batch_core::state::Ending;
use fastrand::Rng;
use serde_json::json;

use self::leftovers::{Home, Watch};
use self::victims::{Killed, Victim};
use super::scene::Scene;
use super::script;
use crate::support::*;

/// Names the scene for processes of the test's own.
const SCENE: &str = "CELLS_TEST_SCENE";

/// Says what such a process is, an engine or a model; at which port the model is; and
/// which of the agents an engine has.
const PART: &str = "CELLS_TEST_PART";
const PORT: &str = "CELLS_TEST_PORT";
const AGENT: &str = "CELLS_TEST_AGENT";

/// What chance follows from.
const SEED: &str = "CELLS_TEST_SEED";

/// A directory where a batch is endured: its scene stays there, whatever comes of it,
/// and beside it what came of it. Nothing else may use the tests' home meanwhile, as
/// that has to be afterwards what it was before.
const ENDURED: &str = "CELLS_TEST_ENDURED";

/// How often something is killed in one batch at most: in a test run, and where it is
/// endured.
const KILLS_MAX: u32 = 12;
const KILLS_ENDURED_MAX: u32 = 40;

/// How often something is killed at least: what a test run promises.
const KILLS_MIN: u32 = 10;

/// For how many records of its journal a batch is left alone: so it is hit all the way
/// to its end, however fast the machine is.
const PEACE_RECORDS: std::ops::Range<u64> = 0..30;

/// And how much longer, in milliseconds: that is anywhere between two records.
const PEACE_MS: std::ops::Range<u64> = 100..1500;

/// How often it is looked how far a batch is.
const LOOK_AFTER: Duration = Duration::from_millis(100);

/// How many ports are tried for the model.
const PORTS_TRIED_MAX: usize = 1000;

/// How long nobody is there after a kill who comes back by the test, in milliseconds.
const ABSENCE_MS: std::ops::Range<u64> = 0..1000;

/// How long a batch may take, whatever is killed.
const BATCH_MAX: Duration = Duration::from_secs(1500);

/// Who does the work. A batch has one of them, or each engine another one than the
/// engine before it.
const AGENTS: [AgentKind; 2] = [AgentKind::ClaudeCode, AgentKind::Codex];

/// A process of this test, which plays a part, and does not outlive it.
#[derive(Debug)]
struct Part(Child);

impl Part {
    fn begin(part: &str, scratch: &Path, port: u16, agent: usize) -> Self {
        let name = "batches::cells::killing::whatever_is_killed_the_tree_is_the_same";
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(SCENE, scratch)
            .env(PART, part)
            .env(PORT, port.to_string())
            .env(AGENT, agent.to_string())
            .spawn();
        Self(child.unwrap())
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn play(part: &str) {
    let number = |name: &str| std::env::var(name).unwrap().parse::<usize>().unwrap();
    let port = u16::try_from(number(PORT)).unwrap();
    if part == "model" {
        let _model = ScriptedModel::start_at(port, script::step);
        loop {
            sleep(Duration::from_secs(3600));
        }
    }
    // What an engine says about itself helps whoever reads why a batch failed.
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let scratch = std::env::var(SCENE).unwrap();
    let url = format!("http://127.0.0.1:{port}");
    let scene = Scene::at(Path::new(&scratch), AGENTS[number(AGENT)], &url);
    let scene = scene.of_any_agent().unattended();
    assert_eq!(scene.run(), Some(Ending::Completed), "{}", scene.told());
}

#[test]
fn whatever_is_killed_the_tree_is_the_same() {
    if let Ok(part) = std::env::var(PART) {
        return play(&part);
    }
    let seed = std::env::var(SEED).map_or(1, |seed| seed.parse().unwrap());
    let Some(endured) = std::env::var_os(ENDURED).map(PathBuf::from) else {
        let scratch = tempfile::tempdir().unwrap();
        let killed = one_batch(scratch.path(), seed, None, KILLS_MAX);
        return println!("seed {seed}: {killed:?}");
    };
    prepared(BUILD_ENVIRONMENT);
    let before = Home::now();
    // A third of the batches has one kind of agent, a third the other, the rest both.
    let only = usize::try_from(seed % 3).unwrap();
    let only = (only < AGENTS.len()).then_some(only);
    let killed = one_batch(&endured.join("scene"), seed, only, KILLS_ENDURED_MAX);
    before.assert_same();
    let agents: Vec<&str> = match only {
        Some(only) => vec![AGENTS[only].as_str()],
        None => AGENTS.iter().map(|kind| kind.as_str()).collect(),
    };
    let told = json!({"agents": agents, "killed": killed});
    std::fs::write(endured.join("result.json"), told.to_string()).unwrap();
}

/// A port that stays free while nobody listens there, between a model that was killed and
/// the next one: it is none of those that the kernel gives to whoever connects, not even to
/// the agents that look for the model there.
fn port_of_a_model() -> u16 {
    let given = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
    let first_given: u16 = given.split_whitespace().next().unwrap().parse().unwrap();
    let mut chance = Rng::new();
    let others = std::iter::repeat_with(|| chance.u16(1024..first_given.max(1025)));
    let mut others = others.take(PORTS_TRIED_MAX);
    others.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

/// A batch from its beginning to its end, with whatever is killed meanwhile.
fn one_batch(scratch: &Path, seed: u64, only: Option<usize>, kills_max: u32) -> Killed {
    std::fs::create_dir_all(scratch).unwrap();
    let port = port_of_a_model();
    let url = format!("http://127.0.0.1:{port}");
    let scene = Scene::new(scratch, AGENTS[0], &url);
    let watch = Watch::of_batch(&scene);
    let mut engines = 0;
    let mut begin_engine = || {
        engines += 1;
        Part::begin("engine", scratch, port, only.unwrap_or(engines % AGENTS.len()))
    };
    let begin_model = || Part::begin("model", scratch, port, 0);
    let (mut model, mut engine) = (begin_model(), begin_engine());
    let (mut killed, mut chance, begun) = (Killed::default(), Rng::with_seed(seed), Instant::now());
    let (mut crash, mut next) = (None, 0);
    loop {
        sleep(LOOK_AFTER);
        if let Some(status) = engine.0.try_wait().unwrap() {
            assert!(status.success(), "seed {seed}: {status} {killed:?}\n{}", scene.told());
            break;
        }
        let is_late = begun.elapsed() > BATCH_MAX;
        assert!(!is_late, "seed {seed}: it does not end, {killed:?}\n{}", scene.told());
        let records = scene.records_count();
        if killed.all() >= kills_max || records < next {
            continue;
        }
        sleep(Duration::from_millis(chance.u64(PEACE_MS)));
        let before = killed.all();
        // Now and then two at once, as when a machine runs out of memory.
        for _ in 0..=u8::from(chance.u8(0..4) == 0) {
            let victim = Victim::any(&mut chance);
            if victim.crashes_agents() && !scene.bears_a_crash(crash) {
                continue;
            }
            let is_dead = match victim {
                Victim::Engine => {
                    engine.kill();
                    sleep(Duration::from_millis(chance.u64(ABSENCE_MS)));
                    engine = begin_engine();
                    true
                }
                Victim::Model => {
                    model.kill();
                    sleep(Duration::from_millis(chance.u64(ABSENCE_MS)));
                    model = begin_model();
                    true
                }
                Victim::Agent | Victim::Keeper | Victim::Machine => {
                    victim.kill(&scene, &mut chance)
                }
            };
            killed.count(victim, is_dead);
            if is_dead && victim.crashes_agents() {
                crash = Some(Instant::now());
            }
        }
        watch.look(&scene);
        // Where nobody was hit somebody else is, at once.
        if killed.all() > before {
            next = records + chance.u64(PEACE_RECORDS);
        }
    }
    model.kill();
    scene.assert_done();
    assert_eq!(scene.tree(), scene.expected_tree(), "seed {seed}");
    watch.assert_nothing_left();
    killed.asked = scene.asked();
    assert!(killed.all() >= KILLS_MIN, "seed {seed}: {killed:?}");
    killed
}
