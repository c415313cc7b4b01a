//! The same batch with agents that work on this host, in checkouts, with their own tools:
//! and with their engine killed while they do.

use std::path::Path;
use std::process::{Child, Command};

use agent_lab::model::{ScriptedModel, Step};
use batch::engine::AgentKind;
use batch_core::state::Ending;
use serde_json::{Value, json};

use super::scene::Scene;
use super::script::{FILE, files};
use crate::support::*;

/// Names the scene, its model and its agent for a process of the test's own, which is an
/// engine.
const SCENE: &str = "WORKTREES_TEST_SCENE";
const MODEL: &str = "WORKTREES_TEST_MODEL";
const KIND: &str = "WORKTREES_TEST_KIND";

/// How often the engine is killed, at most.
const KILLS_MAX: u32 = 2;

/// What the model does with any task, by a shell alone: it reads the packet, writes the
/// files, checks the boxes, and commits one.
fn by_shell(results: &[String], shell: impl Fn(&str) -> Step) -> Step {
    let Some(at) = results.iter().position(|result| result.contains(FILE)) else {
        return shell("cat $BATCH_PACKET/PROMPT.md");
    };
    let mut commands: Vec<String> = files(&results[at])
        .iter()
        .map(|(name, content)| format!("cat > {name} <<'END'\n{content}END\necho DONE"))
        .collect();
    let first = files(&results[at]).first().map(|(name, _)| name.clone()).unwrap_or_default();
    commands.push("sed -i 's/\\[ \\]/[x]/' $BATCH_PACKET/STATUS.md && echo DONE".to_owned());
    commands.push(format!(
        "git add {first}; git diff --cached --quiet || git commit -qm 'Add {first}'; echo DONE"
    ));
    let done = results[at + 1..].iter().filter(|result| result.contains("DONE")).count();
    match commands.get(done) {
        _ if results.len() > 30 => Step::Say(format!("It does not work: {:?}", results.last())),
        Some(command) => shell(command),
        None => Step::Say("All is done.".into()),
    }
}

/// Claude Code's own tools: a shell, and those that edit files, which work in the packet.
fn claude(results: &[String]) -> Step {
    by_shell(results, |command| Step::Call("Bash".into(), json!({"command": command})))
}

/// Codex's own shell.
fn codex(results: &[String]) -> Step {
    by_shell(results, |command| Step::Call("exec_command".into(), json!({"cmd": command})))
}

fn engine(scratch: &Path, kind: &str, model: &str, test: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(SCENE, scratch)
        .env(KIND, kind)
        .env(MODEL, model)
        .spawn()
        .unwrap()
}

/// This process is the engine.
fn play() -> bool {
    let Ok(scratch) = std::env::var(SCENE) else { return false };
    let kind = match &*std::env::var(KIND).unwrap() {
        "codex" => AgentKind::Codex,
        _ => AgentKind::ClaudeCode,
    };
    let scene = Scene::at(Path::new(&scratch), kind, &std::env::var(MODEL).unwrap()).in_worktrees();
    assert_eq!(scene.run(), Some(Ending::Completed), "{}", scene.told());
    true
}

#[test]
fn claude_code_in_checkouts_comes_to_the_same_tree_though_its_engine_is_killed() {
    if play() {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let model = ScriptedModel::start(claude);
    let scene = Scene::new(scratch.path(), AgentKind::ClaudeCode, &model.url()).in_worktrees();
    let test = "batches::cells::worktrees::claude_code_in_checkouts_comes_to_the_same_tree_though_its_engine_is_killed";
    let begin = || engine(scratch.path(), "claude-code", &model.url(), test);
    let mut running = begin();
    for _ in 0..KILLS_MAX {
        let before = model.requests().len();
        let mut is_over = false;
        eventually("an agent is at work, or all is done", || {
            is_over = running.try_wait().unwrap().is_some();
            is_over || model.requests().len() > before + 3
        });
        if is_over {
            break;
        }
        running.kill().unwrap();
        running.wait().unwrap();
        running = begin();
    }
    let status = running.wait().unwrap();
    assert!(status.success(), "{}", scene.told());
    scene.assert_done();
    assert_eq!(scene.tree(), scene.expected_tree());
    let asked: String = model.requests().iter().map(Value::to_string).collect();
    assert!(asked.contains("Keep to PEP 8."), "the project's own instructions are told");
    assert!(asked.contains("You work on somebody's computer"), "where it works is told");
}

#[test]
fn codex_does_a_task_in_a_checkout() {
    let scratch = tempfile::tempdir().unwrap();
    let model = ScriptedModel::start(codex);
    let scene = Scene::new(scratch.path(), AgentKind::Codex, &model.url());
    let scene = scene.in_worktrees().of_one_task();
    assert_eq!(scene.run(), Some(Ending::Completed), "{}", scene.told());
}
