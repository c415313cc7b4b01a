//! Agents with hands of their own: they work where they run, and in their packet, ask
//! nobody, and have the gateway's tools beside.

use agent_lab::model::Step;
use agents::{Adapter, End, Event};
use serde_json::{Value, json};

use crate::rig::{Rig, Start, said};

fn works_where_it_runs(adapter: Adapter, shell: &'static str, call: impl Fn(&str) -> Value) {
    let start = Start { has_own_hands: true, ..Start::of(adapter) };
    let work = call("echo mine > made && echo mine > ../packet/made && echo DONE");
    let script = move |results: &[String]| match results {
        [] => Step::Call(shell.into(), work.clone()),
        [_] => Step::Call("wait".into(), json!({"milliseconds": 1})),
        _ => Step::Say("All done.".into()),
    };
    let mut rig = Rig::start_as(&start, script);
    let first = said(1, "Begin.");
    let opening = rig.dialogue.open(&first);
    rig.write(opening);
    let all = rig.until(|event| matches!(event, Event::Ended(_)));
    assert_eq!(all.last(), Some(&Event::Ended(End::Completed { text: "All done.".into() })));
    assert!(all.contains(&Event::Taken { key: first.key }), "{all:#?}");
    assert!(!all.iter().any(|event| matches!(event, Event::Denied { .. })), "{all:#?}");
    let calls = all.iter().filter(|event| matches!(event, Event::Called { .. })).count();
    assert_eq!((calls, rig.calls()), (2, 1), "{all:#?}");
    for made in ["empty/made", "packet/made"] {
        assert_eq!(std::fs::read_to_string(rig.path().join(made)).unwrap(), "mine\n");
    }
    let asked: String = rig.model.requests().iter().map(ToString::to_string).collect();
    assert!(asked.contains("You work."), "the instructions arrive");
}

#[test]
fn claude_code_works_where_it_runs() {
    works_where_it_runs(Adapter::ClaudeCode, "Bash", |command| json!({"command": command}));
}

#[test]
fn codex_works_where_it_runs() {
    works_where_it_runs(Adapter::Codex, "exec_command", |command| json!({"cmd": command}));
}

#[test]
fn opencode_works_where_it_runs() {
    let call = |command: &str| json!({"command": command, "description": "Work"});
    works_where_it_runs(Adapter::OpenCode, "bash", call);
}

#[test]
fn pi_works_where_it_runs() {
    works_where_it_runs(Adapter::Pi, "bash", |command| json!({"command": command}));
}

#[test]
fn any_agent_of_the_protocol_works_where_it_runs() {
    let call = |command: &str| json!({"command": command, "description": "Work"});
    works_where_it_runs(Adapter::Acp, "run_shell_command", call);
}

/// Its tools that edit files work in its packet as well, though it does not run there.
#[test]
fn claude_code_edits_its_packet() {
    let start = Start { has_own_hands: true, ..Start::of(Adapter::ClaudeCode) };
    let packet = start.scratch.path().join("packet/STATUS.md");
    let path = packet.to_string_lossy().into_owned();
    let mut rig = Rig::start_as(&start, move |results: &[String]| match results {
        [] => Step::Call("Write".into(), json!({"file_path": path, "content": "- [ ] It\n"})),
        [_] => Step::Call("Read".into(), json!({"file_path": path})),
        [_, _] => {
            let edit = json!({"file_path": path, "old_string": "[ ]", "new_string": "[x]"});
            Step::Call("Edit".into(), edit)
        }
        _ => Step::Say("All done.".into()),
    });
    let opening = rig.dialogue.open(&said(1, "Begin."));
    rig.write(opening);
    let all = rig.until(|event| matches!(event, Event::Ended(_)));
    assert_eq!(std::fs::read_to_string(packet).unwrap(), "- [x] It\n", "{all:#?}");
}
