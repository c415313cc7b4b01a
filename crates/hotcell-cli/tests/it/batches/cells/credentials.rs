//! An agent of the host, as people start one: by configuration, with credentials that
//! are kept nowhere.

use std::fs;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use agent_lab::model::{ScriptedModel, Step};
use serde_json::{Value, json};

use crate::support::*;

/// What must be in no file.
const KEY: &str = "hidden-4711-5d0c";

const CONFIGURATION: &str = "version = 1\n[agent]\nkind = \"claude-code\"\nmodel = \"claude-haiku-5-5\"\n\
                             [areas]\ntasks = \"tasks\"\n";

const PROMPT: &str = "# Task: TP-1 - Write a file\n\n**Size:** S\n\n## Steps\n\n### Step 1: Write it\n\n\
                      - [ ] It is there\n";

#[test]
fn credentials_come_with_whoever_starts_an_engine_and_are_in_no_file() {
    let may_end = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&may_end);
    let model = ScriptedModel::start(move |results: &[String]| match results.len() {
        _ if !told.load(Ordering::Relaxed) => {
            Step::Call("Bash".into(), json!({"command": "sleep 600"}))
        }
        0 => {
            let work = "echo done > made; sed -i 's/\\[ \\]/[x]/' /packet/STATUS.md";
            Step::Call("Bash".into(), json!({"command": work}))
        }
        _ => Step::Say("All is done.".into()),
    });
    let scratch = tempfile::tempdir().unwrap();
    let app = scratch.path().join("app");
    fs::create_dir_all(app.join("tasks/TP-1-write")).unwrap();
    fs::create_dir_all(app.join(".hotcell")).unwrap();
    fs::write(app.join("tasks/TP-1-write/PROMPT.md"), PROMPT).unwrap();
    fs::write(app.join(".hotcell/batch.toml"), CONFIGURATION).unwrap();
    git(&app, &["init", "--quiet", "--initial-branch=main"]);
    git(&app, &["add", "--all"]);
    git(&app, &["commit", "--quiet", "--message=base"]);

    let batch = |arguments: &[&str], key: Option<&str>| -> Output {
        let mut command = hotcell();
        let path = std::env::var("PATH").unwrap();
        command
            .arg("batch")
            .args(arguments)
            .current_dir(&app)
            .env("PATH", format!("{}:{path}", agent_lab::programs().display()))
            .env("ANTHROPIC_BASE_URL", format!("{}/v1", model.url()))
            .env_remove("ANTHROPIC_API_KEY");
        command.envs(key.map(|key| ("ANTHROPIC_API_KEY", key))).output().unwrap()
    };
    let missing = |output: &Output| {
        assert!(!output.status.success());
        let said = text(&output.stderr);
        assert!(said.contains("`ANTHROPIC_API_KEY`") && said.contains("not set"), "{said}");
    };
    home();
    missing(&batch(&["start"], None));
    let started = batch(&["start", "--id-only"], Some(KEY));
    assert_code(&started, 0);
    let id = text(&started.stdout).trim().to_owned();
    let directory = home().join("batches").join(&id);
    eventually("the agent is at work", || !model.requests().is_empty());

    let engine = || {
        processes_of(&directory).into_iter().find(|pid| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words = text(&words);
            assert!(!words.contains(KEY), "{words}");
            words.contains(&format!("batch-engine\0{id}"))
        })
    };
    kill(engine().unwrap());
    eventually("its engine is gone", || engine().is_none());
    missing(&batch(&["resume", &id], None));
    may_end.store(true, Ordering::Relaxed);
    assert_code(&batch(&["resume", &id], Some(KEY)), 0);
    eventually("the task is done", || app.join("tasks/TP-1-write/.DONE").exists());
    eventually("its engine is over", || engine().is_none());
    let status: Value = json(&batch(&["status", &id, "--json"], None));
    assert!(!status.to_string().contains(KEY), "{status}");
    assert!(!holds(&directory, KEY));
}
