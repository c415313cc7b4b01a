//! Batches whose agents are the real programs, with their hands in microVMs, on a
//! project of somebody else's, with a model that follows a script.

mod credentials;
mod killing;
mod replacing;
mod scene;
mod script;
mod tools;
mod worktrees;

use agent_lab::model::{ScriptedModel, Step};
use batch::engine::AgentKind;
use batch_core::state::Ending;
use serde_json::json;

use self::scene::Scene;
use crate::support::*;

/// Six tasks that hang together, in two lanes, come to one branch whose tests pass.
#[test]
fn claude_code_does_six_tasks_of_a_project_in_cells() {
    done_in_cells(AgentKind::ClaudeCode);
}

#[test]
fn codex_does_six_tasks_of_a_project_in_cells() {
    done_in_cells(AgentKind::Codex);
}

fn done_in_cells(kind: AgentKind) {
    let scratch = tempfile::tempdir().unwrap();
    let model = ScriptedModel::start(script::step);
    let scene = Scene::new(scratch.path(), kind, &model.url());
    let ending = scene.run();
    assert_eq!(ending, Some(Ending::Completed), "{}", scene.told());
    scene.assert_done();
    assert_eq!(scene.tree(), scene.expected_tree());
    let asked: String = model.requests().iter().map(ToString::to_string).collect();
    assert!(asked.contains("/packet/PROMPT.md"), "the packet's place in the guest is told");
    assert!(asked.contains("Keep to PEP 8."), "the project's own instructions are told");
    // Where its own process runs some agents tell themselves: an empty directory.
    let own = scratch.path().join("batch/agents").to_string_lossy().into_owned();
    let asked = asked.replace(&own, "");
    let host = scratch.path().to_string_lossy().into_owned();
    let told = asked.find(&host).map(|at| asked.get(at.saturating_sub(300)..at + 200));
    assert_eq!(told, None, "a path of the host is told");
}

/// A message ends the waiting for a command that takes long, and is read then.
#[test]
fn an_agent_is_steered_while_a_command_runs() {
    let scratch = tempfile::tempdir().unwrap();
    let model = ScriptedModel::start(|results: &[String]| match results {
        [] => Step::Call("Bash".into(), json!({"command": "sleep 600"})),
        [waited] if !waited.contains("A message for you") => Step::Say(waited.clone()),
        [_] => Step::Call("reply".into(), json!({"to": "msg_1", "text": "It is left."})),
        [_, _, rest @ ..] => script::step(rest),
    });
    let scene = Scene::new(scratch.path(), AgentKind::ClaudeCode, &model.url()).of_one_task();
    let (door, engine) = scene.begin();
    eventually("the agent is at work", || !model.requests().is_empty());
    scene.steer(&door, "Turn left.");
    let ending = engine.join().unwrap().unwrap();
    assert_eq!(ending, Some(Ending::Completed), "{}", scene.told());
    let asked: String = model.requests().iter().map(ToString::to_string).collect();
    assert!(asked.contains("Turn left.") && asked.contains("It is left."), "{asked}");
}
