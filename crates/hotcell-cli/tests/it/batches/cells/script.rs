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

fn stages(files: &[(String, String)]) -> Vec<Stage> {
    let mut stages: Vec<Stage> = Vec::new();
    for (name, content) in files {
        let arguments = json!({"file_path": format!("/workspace/{name}"), "content": content});
        stages.push((Step::Call("Write".into(), arguments), &["Wrote "]));
    }
    let test = "PYTHONDONTWRITEBYTECODE=1 python3 -m unittest discover -t . -s simplejson/tests -p 'test_x_*.py'";
    stages.push((Step::Call("Bash".into(), json!({"command": test})), &["OK"]));
    // Without tests that pass it checks no box.
    let check = json!({"file_path": "/packet/STATUS.md", "old_string": "[ ]", "new_string": "[x]",
        "replace_all": true});
    stages.push((Step::Call("Edit".into(), check), &["Replaced ", "is not in the file"]));
    if let Some((first, _)) = files.first() {
        // One file is committed by the agent, what is left by the engine.
        let commit = format!(
            "git add {first}; git diff --cached --quiet || git commit -qm 'Add {first}'; echo committed"
        );
        stages.push((Step::Call("Bash".into(), json!({"command": commit})), &["committed"]));
    }
    stages
}

/// Most calls in a conversation.
const CALLS_MAX: usize = 30;

/// The step that a conversation has come to: what went wrong is done again.
pub(super) fn step(results: &[String]) -> Step {
    let at = results.iter().position(|result| result.contains(FILE));
    let Some(at) = at.filter(|_| results.len() < CALLS_MAX) else {
        if results.len() >= CALLS_MAX {
            return Step::Say(format!("It does not work: {:?}", results.last()));
        }
        return Step::Call("Read".into(), json!({"file_path": "/packet/PROMPT.md"}));
    };
    let mut stages = stages(&files(&results[at])).into_iter().peekable();
    for result in &results[at + 1..] {
        stages.next_if(|(_, good)| good.iter().any(|good| result.contains(good)));
    }
    stages.next().map_or_else(|| Step::Say("All is done.".into()), |(step, _)| step)
}
