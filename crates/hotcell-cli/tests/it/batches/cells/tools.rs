//! The tools that agents are given in their cells, by the names that their models know:
//! images that are seen, programs that go on in the background, and the work itself.

use agent_lab::model::{ScriptedModel, Step};
use batch::engine::AgentKind;
use batch_core::state::Ending;
use serde_json::{Value, json};

use super::scene::Scene;
use super::script;

/// An image: a square of one colour.
const PNG: &str = "89504e470d0a1a0a0000000d494844520000001000000010080200000090916836000000164944415478da6350687840126218d530aa61f86a000065758010ab3761080000000049454e44ae426082";

/// The same as models are shown it.
const SHOWN: &str = "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAIAAACQkWg2AAAAFklEQVR42mNQaHhAEmIY1TCqYfhqAABldYAQqzdhCAAAAABJRU5ErkJggg==";

/// Most calls of a conversation before the task's own begin.
const CALLS_MAX: usize = 80;

#[test]
fn claude_code_is_given_the_tools_of_claude_code() {
    the_tools_work(AgentKind::ClaudeCode);
}

#[test]
fn codex_is_given_the_tools_of_codex() {
    the_tools_work(AgentKind::Codex);
}

#[test]
fn pi_is_given_tools_by_plain_names() {
    the_tools_work(AgentKind::Pi);
}

#[test]
fn opencode_is_given_tools_by_plain_names() {
    the_tools_work(AgentKind::OpenCode);
}

fn the_tools_work(kind: AgentKind) {
    let scratch = tempfile::tempdir().unwrap();
    let model = ScriptedModel::start(step);
    let scene = Scene::new(scratch.path(), kind, &model.url()).of_one_task();
    let ending = scene.run();
    assert_eq!(ending, Some(Ending::Completed), "{}", scene.told());
    let asked: String = model.requests().iter().map(Value::to_string).collect();
    assert!(asked.contains(SHOWN), "no image was shown: {}", scene.told());
    for tool in kind.adapter().capabilities().habits.tools() {
        // Hosts put the name of the server before it.
        assert!(asked.contains(&format!("{tool}\"")), "{tool} was not offered");
    }
}

/// The next result that says so, and what comes after it.
fn take<'a>(rest: &mut &'a [String], is_it: impl Fn(&str) -> bool) -> Option<&'a str> {
    let at = rest.iter().position(|result| is_it(result))?;
    let found = &rest[at];
    *rest = &rest[at + 1..];
    Some(found)
}

fn either<const N: usize>(calls: [(&str, Value); N]) -> Step {
    Step::CallEither(calls.map(|(tool, arguments)| (tool.to_owned(), arguments)).into())
}

/// Looks at an image, waits for a program in the background, types into one that has a
/// terminal where there are such, and does the task. What did not go well is done again.
fn step(results: &[String]) -> Step {
    let mut rest = results;
    if results.len() > CALLS_MAX {
        return Step::Say(format!("It does not work: {:?}", results.last()));
    }
    if take(&mut rest, |result| result.contains("drawn")).is_none() {
        let draw = format!("open('dot.png', 'wb').write(bytes.fromhex('{PNG}'))");
        return script::run(&format!("python3 -c \"{draw}\" && echo drawn"));
    }
    if take(&mut rest, |_| true).is_none() {
        let path = "/workspace/dot.png";
        return either([
            ("Read", json!({"file_path": path})),
            ("view_image", json!({"path": path})),
            ("read", json!({"path": path})),
        ]);
    }
    let is_begun =
        |result: &str| ["cmd_", "session ID", "slept"].iter().any(|s| result.contains(s));
    let Some(begun) = take(&mut rest, is_begun) else {
        let command = "sleep 3; echo slept";
        return either([
            ("Bash", json!({"command": command, "run_in_background": true})),
            ("exec_command", json!({"cmd": command, "yield_time_ms": 250})),
            ("bash", json!({"command": command, "background": true})),
        ]);
    };
    if !begun.contains("slept") && take(&mut rest, |result| result.contains("slept")).is_none() {
        return script::wait(begun).unwrap();
    }
    if begun.contains("cmd_") {
        return script::step(rest);
    }
    let Some(opened) = take(&mut rest, |result| result.contains("session ID")) else {
        let open = json!({"cmd": "cat", "tty": true, "yield_time_ms": 250});
        return Step::Call("exec_command".into(), open);
    };
    let session = opened.split_once("session ID ").unwrap().1.lines().next().unwrap();
    let session: u64 = session.parse().unwrap();
    let typed = |text: &str| {
        let write = json!({"session_id": session, "chars": text});
        Step::Call("write_stdin".into(), write)
    };
    if take(&mut rest, |result| result.contains("typed")).is_none() {
        return typed("typed\n");
    }
    if take(&mut rest, |result| result.contains("exited with code 0")).is_none() {
        return typed("\u{4}");
    }
    script::step(rest)
}
