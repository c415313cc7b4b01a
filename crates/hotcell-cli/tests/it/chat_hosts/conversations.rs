//! Whole conversations: a real host, connected by hotcell, with a model that follows
//! the recipe of a use case, at work in real microVMs.
//!
//! What is asserted is what became of the workspaces, not what anybody said.

use std::process::Command;

use agent_lab::model::ScriptedModel;
use recipes::{COLD_START, DAILY_LOOP, PARALLEL, REPRO_FIX, REVIEW_EVAL, Recipe, UNTRUSTED};

use super::*;
use crate::support::recipe_script::RecipeScript;

/// Asks a host for something, once.
type Ask = fn(&Person, &ScriptedModel, &str) -> Command;

fn claude(person: &Person, model: &ScriptedModel, task: &str) -> Command {
    let mut claude = person.host("claude");
    claude.env("ANTHROPIC_BASE_URL", model.url()).env("ANTHROPIC_API_KEY", "sk-ant-none").args([
        "-p",
        task,
        "--model",
        "claude-sonnet-4-5",
        "--allowedTools",
        "mcp__hotcell",
    ]);
    claude
}

/// A model that Codex does not know is offered all tools.
fn codex(person: &Person, model: &ScriptedModel, task: &str) -> Command {
    codex_as("scripted", person, model, task)
}

/// This one has to search for them.
fn codex_that_searches(person: &Person, model: &ScriptedModel, task: &str) -> Command {
    codex_as("gpt-5.5", person, model, task)
}

/// This one calls them from scripts.
fn codex_that_scripts(person: &Person, model: &ScriptedModel, task: &str) -> Command {
    codex_as("gpt-6-sol", person, model, task)
}

fn codex_as(name: &str, person: &Person, model: &ScriptedModel, task: &str) -> Command {
    let mut codex = person.host("codex");
    let provider = format!(
        "model_providers.scripted={{name=\"scripted\",base_url=\"{}/v1\",wire_api=\"responses\",\
         env_key=\"SCRIPTED_KEY\",supports_websockets=false,request_max_retries=0}}",
        model.url()
    );
    codex
        .env("SCRIPTED_KEY", "none")
        .args(["exec", "--skip-git-repo-check", "--disable", "plugins"])
        .args([
            "-c",
            &provider,
            "-c",
            "model_provider=\"scripted\"",
            "-c",
            &format!("model={name:?}"),
        ])
        .args(["-c", "check_for_update_on_startup=false", "-c", "analytics.enabled=false"])
        // There is nobody to ask, and recipes reset workspaces.
        .args(["-c", "mcp_servers.hotcell.default_tools_approval_mode=\"approve\""])
        .arg(task);
    codex
}

fn opencode(person: &Person, model: &ScriptedModel, task: &str) -> Command {
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
    opencode.env("OPENCODE_CONFIG", file).args(["run", "--format", "json", task]);
    opencode
}

/// The exit codes of all commands that have ended in a workspace.
fn exit_codes(person: &Person, workspace: &str) -> Vec<u64> {
    let events = told(person, &["workspace", "logs", workspace], 0)["events"].clone();
    let events = events.as_array().unwrap().iter().map(|event| &event["event"]);
    let ends = events.filter(|event| event["kind"] == "command_ended");
    ends.map(|event| event["exit_code"].as_u64().unwrap()).collect()
}

/// Lets a host work a use case through, but for the deletions at its end, and looks at
/// what it left.
fn works_through(host: &str, ask: Ask, recipe: &'static Recipe) {
    let person = Person::with(BUILD_ENVIRONMENT);
    let checkout = recipe.project.check_out(&person.project()).unwrap();
    let before = git(&checkout, &["rev-parse", "HEAD"]);
    let connect = ["host", "connect", host, "--mode", recipe.mode, "--project-path"];
    told(&person, &[&connect[..], &[checkout.to_str().unwrap()]].concat(), 0);
    let model = ScriptedModel::start(RecipeScript(recipe));
    let output = ask(&person, &model, recipe.task).output().unwrap();
    let requests = model.requests();
    let all = || format!("{}\n{:#?}", printed(&output), requests.last());
    assert!(output.status.success(), "{}", all());

    // Every command ended as the recipe says, in the ledgers of the workspaces.
    let commands = recipe.steps.iter().filter(|step| step.tool == "workspace_exec");
    let mut expected: Vec<u64> = commands
        .map(|step| step.says.iter().find_map(|said| said.strip_prefix("exit code ")))
        .map(|code| code.map_or(0, |code| code.parse().unwrap()))
        .collect();
    let workspaces = person.workspaces();
    let created = recipe.steps.iter().filter(|step| step.tool == "workspace_create").count();
    assert_eq!(workspaces.len(), created, "{}", all());
    let mut ended: Vec<u64> =
        workspaces.iter().flat_map(|workspace| exit_codes(&person, workspace)).collect();
    expected.sort_unstable();
    ended.sort_unstable();
    assert_eq!(ended, expected, "{}", all());
    // They outlive the host, which may end its server with all that descends from it.
    for workspace in &workspaces {
        assert_eq!(told(&person, &["workspace", "status", workspace], 0)["state"], "running");
    }
    // And nothing of that reached the checkout.
    assert_eq!(git(&checkout, &["rev-parse", "HEAD"]), before);
    assert_eq!(git(&checkout, &["status", "--porcelain"]), "");
}

#[test]
fn claude_code_validates_a_project_that_it_has_never_seen() {
    works_through("claude-code", claude, &COLD_START);
}

#[test]
fn claude_code_reviews_and_goes_back_to_a_snapshot() {
    works_through("claude-code", claude, &REVIEW_EVAL);
}

#[test]
fn codex_reproduces_a_defect_and_mends_it() {
    works_through("codex", codex_that_searches, &REPRO_FIX);
}

#[test]
fn codex_starts_over_from_scripts() {
    works_through("codex", codex_that_scripts, &DAILY_LOOP);
}

#[test]
fn codex_looks_at_what_it_does_not_trust() {
    works_through("codex", codex, &UNTRUSTED);
}

#[test]
fn opencode_works_on_several_things_at_once() {
    works_through("opencode", opencode, &PARALLEL);
}
