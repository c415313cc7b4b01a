//! The examples do what they show.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::*;

/// What an example writes when it succeeds. Cargo builds examples with tests.
async fn run_example(name: &str) -> String {
    run_example_in(name, &std::env::current_dir().unwrap()).await
}

async fn run_example_in(name: &str, directory: &Path) -> String {
    // Examples do not prepare.
    client().await;
    let example = build_directory().join("examples").join(name);
    let output = Command::new(&example)
        .current_dir(directory)
        .env("HOTCELL_HOME", home())
        .env("HOTCELL_PROGRAM", program())
        .env_remove("HOTCELL_ACCELERATOR")
        .output()
        .unwrap_or_else(|error| panic!("cannot start {}: {error}", example.display()));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {}: {error}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_run_prints_a_version() {
    let output = run_example("run").await;
    assert!(output.starts_with("git version 2."), "{output}");
    let id = output.split_whitespace().find(|word| word.starts_with("ws_")).unwrap();
    assert_gone(&client().await, id.trim_end_matches(',').parse().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_parallel_uses_two_workspaces() {
    let output = run_example("parallel").await;
    for line in ["one: one", "two: two", "one and two are done"] {
        assert!(output.lines().any(|printed| printed == line), "{output}");
    }
}

/// Asks once, and does its task when it was answered.
const AGENT: &str = r#"
set -eu
cd /packet
mkdir -p outbox
say() { printf '%s\n\n%s\n' "$2" "$3" > outbox/.new; mv outbox/.new "outbox/$1"; }
ruling() { sed -n 's/^\[\(msg_[0-9]*\)\] This ruling .*/\1/p' MESSAGES.md | head -n 1; }
if grep -q 'Choose yourself.' MESSAGES.md; then
    echo blue > /workspace/colour
    sed -i 's/\[ \]/[x]/' STATUS.md
    say done "reply $(ruling)" "It is blue."
elif grep -q 'Be brief.' MESSAGES.md; then
    say asking escalate "Red or blue?"
    sleep 600
else
    sleep 1
fi
"#;

const PROMPT: &str = "# Task: TP-1 - Choose\n\n**Size:** S\n\n## Mission\n\nChoose a colour.\n\n\
                      ## Steps\n\n### Step 1: Choose\n\n- [ ] It is chosen\n";

#[tokio::test(flavor = "multi_thread")]
async fn the_example_batch_brings_work_to_the_branch() {
    let scratch = tempfile::tempdir().unwrap();
    let at = scratch.path();
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"];
        let done = Command::new("git").args(identity).args(arguments).current_dir(at).output();
        let done = done.unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    };
    fs::create_dir_all(at.join(".hotcell")).unwrap();
    fs::create_dir_all(at.join("tasks/TP-1-choose")).unwrap();
    fs::write(at.join("tasks/TP-1-choose/PROMPT.md"), PROMPT).unwrap();
    let configuration = format!(
        "version = 1\nenvironment = \"{}\"\n[agent]\nkind = \"command\"\n\
         command = [\"sh\", \"-c\", '''{AGENT}''']\n[areas]\ntasks = \"tasks\"\n",
        environment()
    );
    fs::write(at.join(".hotcell/batch.toml"), configuration).unwrap();
    git(&["init", "--quiet", "--initial-branch=main"]);
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "--message=base"]);
    let output = run_example_in("batch", at).await;
    for told in ["has begun", "waits: ", "completed, 1 of 1 done", "integrated as hotcell/"] {
        assert!(output.contains(told), "{output}");
    }
    assert_eq!(git(&["show", "main:colour"]), "blue\n");
    assert_eq!(fs::read_to_string(at.join("colour")).unwrap(), "blue\n");
}
