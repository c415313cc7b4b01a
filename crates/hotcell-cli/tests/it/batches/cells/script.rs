//! What the model does with any of the tasks: it reads the packet, writes the files that
//! it asks for, tests them, checks the boxes, commits, and ends its turn.

use agent_lab::model::Step;
use serde_json::json;

/// Opens a file in a prompt.
pub(super) const FILE: &str = "FILE ";

/// Ends one.
pub(super) const END: &str = "END";

/// The files that a prompt asks for, from what `Read` tells of it.
fn files(read: &str) -> Vec<(String, String)> {
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

pub(super) fn step(results: &[String]) -> Step {
    let Some(read) = results.first() else {
        return Step::Call("Read".into(), json!({"file_path": "/packet/PROMPT.md"}));
    };
    let files = files(read);
    if let Some((name, content)) = files.get(results.len() - 1) {
        let path = format!("/workspace/{name}");
        return Step::Call("Write".into(), json!({"file_path": path, "content": content}));
    }
    match results.len() - 1 - files.len() {
        0 => {
            let test = "python3 -m unittest discover -t . -s simplejson/tests -p 'test_x_*.py'";
            Step::Call("Bash".into(), json!({"command": test}))
        }
        // Without tests that pass it checks no box.
        1 if !results.last().is_some_and(|told| told.contains("OK")) => {
            Step::Say(format!("The tests do not pass: {:?}", results.last()))
        }
        1 => Step::Call(
            "Edit".into(),
            json!({"file_path": "/packet/STATUS.md", "old_string": "[ ]", "new_string": "[x]",
                "replace_all": true}),
        ),
        2 => {
            // One file is committed by the agent, what is left by the engine.
            let (first, _) = &files[0];
            let commit = format!(
                "git add {first} && git diff --cached --quiet || git commit -qm 'Add {first}'"
            );
            Step::Call("Bash".into(), json!({"command": commit}))
        }
        _ => Step::Say("All is done.".into()),
    }
}
