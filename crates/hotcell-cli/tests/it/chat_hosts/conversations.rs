//! Whole conversations: a real host, connected by hotcell, with a model that follows
//! a script, at work in real microVMs.
//!
//! What is asserted is what became of the workspace, not what anybody said.

use std::process::Command;

use super::*;
use crate::support::scripted_model::{ScriptedModel, Step};

/// Asks a host for something, once.
type Ask = fn(&Person, &ScriptedModel) -> Command;

const PROMPT: &str = "sum.sh is wrong; mend it";

fn claude(person: &Person, model: &ScriptedModel) -> Command {
    let mut claude = person.host("claude");
    claude
        .env("ANTHROPIC_BASE_URL", model.url())
        .env("ANTHROPIC_API_KEY", "sk-ant-none")
        .args(["-p", PROMPT, "--model", "claude-sonnet-4-5"])
        .args(["--allowedTools", "mcp__hotcell"]);
    claude
}

fn codex(person: &Person, model: &ScriptedModel) -> Command {
    let mut codex = person.host("codex");
    let provider = format!(
        "model_providers.scripted={{name=\"scripted\",base_url=\"{}/v1\",wire_api=\"responses\",\
         env_key=\"SCRIPTED_KEY\",supports_websockets=false,request_max_retries=0}}",
        model.url()
    );
    codex
        .env("SCRIPTED_KEY", "none")
        .args(["exec", "--skip-git-repo-check", "--disable", "plugins"])
        .args(["-c", &provider, "-c", "model_provider=\"scripted\"", "-c", "model=\"scripted\""])
        .args(["-c", "check_for_update_on_startup=false", "-c", "analytics.enabled=false"])
        .arg(PROMPT);
    codex
}

fn opencode(person: &Person, model: &ScriptedModel) -> Command {
    let config = json!({
        "provider": { "scripted": {
            "npm": "@ai-sdk/openai-compatible",
            "options": { "baseURL": format!("{}/v1", model.url()), "apiKey": "none" },
            "models": { "scripted": { "name": "scripted", "tool_call": true } },
        } },
        "model": "scripted/scripted",
        "small_model": "scripted/scripted",
    });
    // A file beside the one that was edited: both count.
    let file = person.write("provider.json", &config.to_string());
    let mut opencode = person.host("opencode");
    opencode.env("OPENCODE_CONFIG", file).args(["run", "--format", "json", PROMPT]);
    opencode
}

/// A model finds the defect, mends it and proves it, and the host's tree stays.
fn mends_a_project(host: &str, ask: Ask) {
    let person = Person::new();
    fs::write(person.project().join("sum.sh"), "echo $(($1 - $2))\n").unwrap();
    git(&person.project(), &["add", "."]);
    git(&person.project(), &["commit", "--quiet", "-m", "a defect"]);
    told(&person, &["host", "connect", host, "--mode", "repro-fix"], 0);
    let name = format!("mend-{host}-{}", std::process::id());
    let test = "test \"$(sh sum.sh 2 3)\" = 5";
    let workspace = json!(name);
    let model = ScriptedModel::start(vec![
        Step::Call("workspace_create", json!({ "name": workspace })),
        Step::Call("workspace_exec", json!({ "workspace": workspace, "command": test })),
        Step::Call(
            "file_edit",
            json!({ "workspace": workspace, "path": "sum.sh", "old": "$1 - $2", "new": "$1 + $2" }),
        ),
        Step::Call("workspace_exec", json!({ "workspace": workspace, "command": test })),
        Step::Call("workspace_diff", json!({ "workspace": workspace })),
        Step::Say("It adds now."),
    ]);
    let output = ask(&person, &model).output().unwrap();
    let all = || format!("{}\n{:#?}", printed(&output), model.requests().last());
    assert!(output.status.success(), "{}", all());
    let created = TestWorkspace { id: name };
    let status = created.status();
    assert_eq!(status["name"], created.id.as_str(), "{}", all());
    // It outlives the host, which ends its server with all that descends from it.
    assert_eq!(status["state"], "running", "{status}");
    let diff = hotcell().args(["--json", "workspace", "diff", &created.id]).output().unwrap();
    let diff = json(&diff);
    assert_eq!(diff["counts"]["total"], 1, "{diff}");
    assert_eq!(diff["changes"][0]["path"], "sum.sh", "{diff}");
    let logs = hotcell().args(["--json", "workspace", "logs", &created.id]).output().unwrap();
    let events = json(&logs)["events"].clone();
    let ends: Vec<&Value> = events
        .as_array()
        .unwrap()
        .iter()
        .map(|event| &event["event"])
        .filter(|event| event["kind"] == "command_ended")
        .map(|event| &event["exit_code"])
        .collect();
    assert_eq!(ends, [&json!(1), &json!(0)], "{events:#}");
    assert_eq!(content(&person.project().join("sum.sh")).unwrap(), "echo $(($1 - $2))\n");
    assert_eq!(git(&person.project(), &["status", "--porcelain"]), "");
}

#[test]
fn claude_code_mends_a_project_in_a_workspace() {
    mends_a_project("claude-code", claude);
}

#[test]
fn codex_mends_a_project_in_a_workspace() {
    mends_a_project("codex", codex);
}

#[test]
fn opencode_mends_a_project_in_a_workspace() {
    mends_a_project("opencode", opencode);
}
