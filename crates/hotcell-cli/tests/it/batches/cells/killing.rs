//! The same batch, with engine, agents, keepers and model killed all the time.
//!
//! Once with a few kills, or batch after batch until as many as wanted:
//!
//! ```text
//! CELLS_TEST_KILLS=200 cargo nextest run -p hotcell-cli --no-capture \
//!     -E 'test(whatever_is_killed_the_tree_is_the_same)'
//! ```

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use agent_lab::model::ScriptedModel;
use batch::engine::AgentKind;
use batch_core::state::Ending;

use super::scene::Scene;
use super::script;
use crate::support::*;

/// Names the scene for processes of the test's own.
const SCENE: &str = "CELLS_TEST_SCENE";

/// Says what such a process is: an engine, or a model, and at which port the model is.
const PART: &str = "CELLS_TEST_PART";
const PORT: &str = "CELLS_TEST_PORT";

/// Says how often something is killed at least, in as many batches as that takes.
const KILLS: &str = "CELLS_TEST_KILLS";

/// How often something is killed in one batch at most.
const KILLS_MAX: u32 = 12;

/// What was killed how often.
#[derive(Debug, Default)]
struct Killed {
    engines: u32,
    agents: u32,
    keepers: u32,
    models: u32,
}

impl Killed {
    const fn all(&self) -> u32 {
        self.engines + self.agents + self.keepers + self.models
    }

    const fn add(&mut self, more: Self) {
        self.engines += more.engines;
        self.agents += more.agents;
        self.keepers += more.keepers;
        self.models += more.models;
    }
}

/// A process of this test, which plays a part.
fn part(part: &str, scratch: &Path, port: u16) -> Child {
    let name = "batches::cells::killing::whatever_is_killed_the_tree_is_the_same";
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(SCENE, scratch)
        .env(PART, part)
        .env(PORT, port.to_string())
        .spawn()
        .unwrap()
}

fn play(part: &str) {
    let scratch = std::env::var(SCENE).unwrap();
    let port: u16 = std::env::var(PORT).unwrap().parse().unwrap();
    if part == "model" {
        let _model = ScriptedModel::start_at(port, script::step);
        loop {
            sleep(Duration::from_secs(3600));
        }
    }
    let url = format!("http://127.0.0.1:{port}");
    let scene = Scene::at(Path::new(&scratch), AgentKind::ClaudeCode, &url);
    assert_eq!(scene.run(), Some(Ending::Completed), "{}", scene.told());
}

#[test]
fn whatever_is_killed_the_tree_is_the_same() {
    if let Ok(part) = std::env::var(PART) {
        return play(&part);
    }
    let wanted: u32 = std::env::var(KILLS).map_or(1, |wanted| wanted.parse().unwrap());
    let (mut killed, begun, mut batches) = (Killed::default(), Instant::now(), 0);
    while killed.all() < wanted {
        killed.add(one_batch());
        batches += 1;
        println!("{batches} batches, {killed:?} after {:?}", begun.elapsed());
    }
}

/// A batch from its beginning to its end, with whatever is killed meanwhile.
fn one_batch() -> Killed {
    let scratch = tempfile::tempdir().unwrap();
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let scene = Scene::new(scratch.path(), AgentKind::ClaudeCode, &url);
    let begin = |part_of| part(part_of, scratch.path(), port);
    let (mut model, mut engine) = (begin("model"), begin("engine"));
    let mut killed = Killed::default();
    for moment in 0_u32.. {
        // Over the run it comes at all kinds of moments.
        sleep(Duration::from_millis(900 + u64::from(moment % 7) * 400));
        if let Some(status) = engine.try_wait().unwrap() {
            assert!(status.success(), "{status} {killed:?}\n{}", scene.told());
            break;
        }
        if killed.all() >= KILLS_MAX {
            continue;
        }
        match moment % 4 {
            0 => {
                engine.kill().unwrap();
                engine.wait().unwrap();
                engine = begin("engine");
                killed.engines += 1;
            }
            1 => killed.agents += u32::from(kill_one(scene.agents())),
            2 => {
                let keepers = scene.workspaces().into_iter().filter_map(|at| keeper_at(&at));
                killed.keepers += u32::from(kill_one(keepers.collect()));
            }
            _ => {
                model.kill().unwrap();
                model.wait().unwrap();
                model = begin("model");
                killed.models += 1;
            }
        }
    }
    model.kill().unwrap();
    model.wait().unwrap();
    scene.assert_done();
    assert_eq!(scene.tree(), scene.expected_tree());
    // A fast machine may be done before the last of them.
    assert!(killed.all() > 0, "{killed:?}");
    killed
}

/// Kills the first that is still there; whether there was one.
fn kill_one(pids: Vec<u32>) -> bool {
    pids.into_iter().any(|pid| {
        let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).is_ok()
    })
}

/// The keeper of a workspace, if it has one.
fn keeper_at(directory: &Path) -> Option<u32> {
    processes_of(directory).into_iter().find(|pid| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.starts_with("hotcell")
    })
}
