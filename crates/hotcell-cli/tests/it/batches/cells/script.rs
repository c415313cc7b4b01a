//! What the model does with any of the tasks: it reads the packet, writes the files that
//! it asks for, tests them, checks the boxes, commits, and ends its turn.

use agent_lab::model::Step;
use serde_json::json;

/// Opens a file in a prompt.
pub(super) const FILE: &str = "FILE ";

/// Ends one.
pub(super) const END: &str = "END";

/// The files that a prompt asks for, from what `Read` tells of it.
pub(super) fn files(read: &str) -> Vec<(String, String)> {
    let lines = read.lines().map(|line| line.split_once('\t').map_or(line, |(_, text)| text));
    let (mut files, mut open): (Vec<(String, String)>, bool) = (Vec::new(), false);
    for line in lines {
        if let Some(name) = line.strip_prefix(FILE) {
            files.push((name.to_owned(), String::new()));
            open = true;
        } else if line == END {
            open = false;
        } else if let (true, Some((_, content))) = (open, files.last_mut()) {
            content.push_str(line);
            content.push('\n');
        }
    }
    files
}

/// A step, and how a result of it begins or what it holds that went well.
type Stage = (Step, &'static [&'static str]);

/// A command, by whichever tool of commands an agent has.
pub(super) fn run(command: &str) -> Step {
    Step::CallEither(vec![
        ("Bash".into(), json!({"command": command})),
        ("exec_command".into(), json!({"cmd": command, "yield_time_ms": 25_000})),
        ("bash".into(), json!({"command": command})),
    ])
}

fn read(path: &str) -> Step {
    Step::CallEither(vec![
        ("Read".into(), json!({"file_path": path})),
        ("exec_command".into(), json!({"cmd": format!("cat {path}")})),
        ("read".into(), json!({"path": path})),
    ])
}

fn write(path: &str, content: &str) -> Step {
    let lines: String = content.lines().map(|line| format!("+{line}\n")).collect();
    let patch = format!("*** Begin Patch\n*** Add File: {path}\n{lines}*** End Patch\n");
    Step::CallEither(vec![
        ("Write".into(), json!({"file_path": path, "content": content})),
        ("apply_patch".into(), json!({"input": patch})),
        ("write".into(), json!({"path": path, "content": content})),
    ])
}

/// Checks every box of the packet.
fn check() -> Step {
    let path = "/packet/STATUS.md";
    let command = format!("sed -i 's/\\[ \\]/[x]/' {path} && echo Replaced in {path}");
    Step::CallEither(vec![
        (
            "Edit".into(),
            json!({"file_path": path, "old_string": "[ ]", "new_string": "[x]", "replace_all": true}),
        ),
        ("exec_command".into(), json!({"cmd": command})),
        (
            "edit".into(),
            json!({"path": path, "oldText": "[ ]", "newText": "[x]", "replaceAll": true}),
        ),
    ])
}

fn stages(files: &[(String, String)]) -> Vec<Stage> {
    let mut stages: Vec<Stage> = Vec::new();
    for (name, content) in files {
        stages.push((write(&format!("/workspace/{name}"), content), &["Wrote ", "Success. "]));
    }
    let test = "PYTHONDONTWRITEBYTECODE=1 python3 -m unittest discover -t . -s simplejson/tests -p 'test_x_*.py'";
    stages.push((run(test), &["OK"]));
    // Without tests that pass it checks no box.
    stages.push((check(), &["Replaced ", "is not in the file"]));
    if let Some((first, _)) = files.first() {
        // One file is committed by the agent, what is left by the engine.
        let commit = format!(
            "git add {first}; git diff --cached --quiet || git commit -qm 'Add {first}'; echo committed"
        );
        stages.push((run(&commit), &["committed"]));
    }
    stages
}

/// Waits for what goes on in the background, by what a result says of it.
pub(super) fn wait(told: &str) -> Option<Step> {
    let session =
        told.split_once("session ID ").and_then(|(_, rest)| rest.split_whitespace().next());
    let session: Option<u64> = session.and_then(|number| number.parse().ok());
    let named = told.split_whitespace().find(|word| word.starts_with("cmd_"));
    let named = named.filter(|_| told.contains("in the background"));
    if session.is_none() && named.is_none() {
        return None;
    }
    Some(Step::CallEither(vec![
        ("BashOutput".into(), json!({"bash_id": named, "wait": 25})),
        ("write_stdin".into(), json!({"session_id": session, "yield_time_ms": 25_000})),
        ("bash_output".into(), json!({"id": named, "wait": 25})),
    ]))
}

/// Most calls in a conversation.
const CALLS_MAX: usize = 60;

/// The step that a conversation has come to: what went wrong is done again.
pub(super) fn step(results: &[String]) -> Step {
    let at = results.iter().position(|result| result.contains(FILE));
    let Some(at) = at.filter(|_| results.len() < CALLS_MAX) else {
        if results.len() >= CALLS_MAX {
            return Step::Say(format!("It does not work: {:?}", results.last()));
        }
        return read("/packet/PROMPT.md");
    };
    // A command that takes long is not begun once more.
    if let Some(step) = results.last().and_then(|told| wait(told)) {
        return step;
    }
    let mut stages = stages(&files(&results[at])).into_iter().peekable();
    for result in &results[at + 1..] {
        stages.next_if(|(_, good)| good.iter().any(|good| result.contains(good)));
    }
    stages.next().map_or_else(|| Step::Say("All is done.".into()), |(step, _)| step)
}
