//! An engine that is stopped, replaced, and continued: nothing of what it does counts
//! any more.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use agent_lab::model::ScriptedModel;
use batch::engine::AgentKind;
use batch_core::state::Ending;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::scene::Scene;
use super::script;
use crate::support::*;

/// Names the scene and its model for a process of the test's own, which is an engine.
const SCENE: &str = "REPLACED_TEST_SCENE";
const MODEL: &str = "REPLACED_TEST_MODEL";

/// A pass that an agent of the batch holds now.
fn pass(scene: &Scene) -> Option<PathBuf> {
    let places = fs::read_dir(scene.directory().join("agents")).ok()?.flatten();
    let mut passes = places.map(|place| place.path().join("pass"));
    passes.find(|pass| pass.metadata().is_ok_and(|found| found.len() > 64))
}

/// A bridge to the gateway, with a pass of an agent's, that has greeted.
fn bridge(pass: &Path) -> Child {
    let mut bridge = Command::new(program())
        .arg("gateway-bridge")
        .arg(pass)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"}}});
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let stdin = bridge.stdin.as_mut().unwrap();
    write!(stdin, "{hello}\n{ready}\n").unwrap();
    bridge
}

fn signal(child: &Child, signal: Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_child(child), signal).unwrap();
}

#[test]
fn an_engine_that_was_replaced_while_it_was_stopped_carries_nothing_out() {
    if let Ok(scratch) = std::env::var(SCENE) {
        // This process is the engine that is replaced.
        let model = std::env::var(MODEL).unwrap();
        let scene = Scene::at(Path::new(&scratch), AgentKind::ClaudeCode, &model);
        let (_door, engine) = scene.begin();
        let failure = engine.join().unwrap().unwrap_err();
        fs::write(Path::new(&scratch).join("failure"), failure.to_string()).unwrap();
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let model = ScriptedModel::start(script::step);
    let scene = Scene::new(scratch.path(), AgentKind::ClaudeCode, &model.url());
    let name = "batches::cells::replacing::an_engine_that_was_replaced_while_it_was_stopped_carries_nothing_out";
    let mut first = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(SCENE, scratch.path())
        .env(MODEL, model.url())
        .spawn()
        .unwrap();
    let mut bridged = None;
    eventually("an agent has its pass", || {
        bridged = pass(&scene).map(|pass| bridge(&pass));
        bridged.is_some()
    });
    let mut bridge = bridged.unwrap();
    let mut answers = BufReader::new(bridge.stdout.take().unwrap()).lines();
    let greeted: Value = serde_json::from_str(&answers.next().unwrap().unwrap()).unwrap();
    assert_eq!(greeted["id"], 1, "{greeted}");

    signal(&first, Signal::STOP);
    // What it is asked while it is stopped it reads when it goes on.
    let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
        "name": "Bash", "arguments": {"command": "echo stale > /workspace/stale"}}});
    writeln!(bridge.stdin.as_mut().unwrap(), "{call}").unwrap();
    assert_eq!(scene.run(), Some(Ending::Completed), "{}", scene.told());
    let (tree, records) = (scene.tree(), scene.epochs().len());
    signal(&first, Signal::CONT);
    let status = first.wait().unwrap();
    let failure = fs::read_to_string(scratch.path().join("failure")).unwrap();
    assert!(status.success() && failure.contains("cannot commit"), "{status} {failure}");
    // The call was refused, if there was time to answer it at all.
    for answer in answers.map_while(Result::ok) {
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["result"]["isError"], true, "{answer}");
    }
    bridge.wait().unwrap();
    assert_eq!((scene.tree(), scene.epochs().len()), (tree, records));
    assert!(scene.epochs().is_sorted(), "nothing of the first after the second began");
    scene.assert_done();
}

/// Stands in for git before the integration branch is moved: it says so, waits until it
/// may go on, says what came of it, and ends when the steering is over as well.
const GATE: &str = r#"#!/bin/sh
cat > "$SCENE/orders.$$"
if grep -q 'update refs/heads/integration' "$SCENE/orders.$$" && mkdir "$SCENE/at-gate"; then
    while [ ! -e "$SCENE/gate-is-open" ]; do sleep 0.05; done
    "$GIT" "$@" < "$SCENE/orders.$$" 2> "$SCENE/said"
    code=$?
    echo "$code" > "$SCENE/moving"
    mv "$SCENE/moving" "$SCENE/moved"
    while [ ! -e "$SCENE/steered" ]; do sleep 0.05; done
    exit "$code"
fi
exec "$GIT" "$@" < "$SCENE/orders.$$"
"#;

/// A scene of one task, whose engine is replaced while it moves the branch.
fn moving(scratch: &Path, model: &str) -> Scene {
    Scene::at(scratch, AgentKind::ClaudeCode, model).of_one_task()
}

/// The engine that is stopped. It goes on with two things that it had begun: to move the
/// branch, and to take a message for an agent.
fn moved_engine(scratch: &Path, model: &str) {
    let scene = moving(scratch, model);
    let (door, engine) = scene.begin();
    eventually("it is steered", || scratch.join("steer").exists());
    let steered = match scene.tried_steering(&door, "Turn left.") {
        None => "it was not there".to_owned(),
        Some(answered) => format!("{:?}", answered.recv_timeout(PATIENCE)),
    };
    fs::write(scratch.join("steered"), steered).unwrap();
    let failure = engine.join().unwrap().unwrap_err();
    fs::write(scratch.join("failure"), failure.to_string()).unwrap();
}

#[test]
fn an_engine_that_was_replaced_moves_no_branch_and_takes_no_message() {
    if let Ok(scratch) = std::env::var(SCENE) {
        return moved_engine(Path::new(&scratch), &std::env::var(MODEL).unwrap());
    }
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    let model = ScriptedModel::start(script::step);
    Scene::new(scratch.path(), AgentKind::ClaudeCode, &model.url());
    let scene = moving(scratch.path(), &model.url());
    fs::create_dir(at("bin")).unwrap();
    fs::write(at("bin/git"), GATE).unwrap();
    fs::set_permissions(at("bin/git"), Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    let git = path.split(':').map(|directory| Path::new(directory).join("git"));
    let git = git.into_iter().find(|git| git.exists()).unwrap();
    let name = "batches::cells::replacing::an_engine_that_was_replaced_moves_no_branch_and_takes_no_message";
    let mut first = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(SCENE, scratch.path())
        .env(MODEL, model.url())
        .env("SCENE", scratch.path())
        .env("GIT", git)
        .env("PATH", format!("{}:{path}", at("bin").display()))
        .spawn()
        .unwrap();
    eventually("it is about to move the branch", || at("at-gate").exists());
    // Until it has nothing else to do.
    let mut records = 0;
    eventually("it waits for git", || {
        sleep(Duration::from_secs(2));
        std::mem::replace(&mut records, scene.records_count()) == records
    });

    signal(&first, Signal::STOP);
    assert_eq!(scene.run(), Some(Ending::Completed), "{}", scene.told());
    let (tree, records) = (scene.tree(), scene.records_count());
    fs::write(at("gate-is-open"), "").unwrap();
    eventually("its git has tried", || at("moved").exists());
    let code = fs::read_to_string(at("moved")).unwrap();
    let said = fs::read_to_string(at("said")).unwrap();
    // The store that it knew is gone: it has another name.
    assert!(code.trim() == "128" && said.contains("fatal"), "{code} {said}");

    fs::write(at("steer"), "").unwrap();
    signal(&first, Signal::CONT);
    let status = first.wait().unwrap();
    let failure = fs::read_to_string(at("failure")).unwrap();
    assert!(status.success() && failure.contains("cannot commit"), "{status} {failure}");
    // It had taken the question, and could not answer it.
    assert_eq!(fs::read_to_string(at("steered")).unwrap(), "Err(Disconnected)");
    assert_eq!((scene.tree(), scene.records_count()), (tree, records));
    scene.assert_done();
}
