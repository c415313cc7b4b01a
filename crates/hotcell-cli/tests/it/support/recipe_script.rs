//! A recipe as the script of a model.

use std::collections::BTreeMap;

use agent_lab::model::{Script, Step};
use recipes::{Recipe, Value};
use serde_json::{Map, Value as Json, json};

/// What is said of a command that takes longer than one answer, and what waits.
const STILL_RUNS: &str = " still runs: ";
const COMMAND_ID: &str = "cmd_";
const WAIT: &str = "command_wait";

/// What ends a recipe, and would take with it what a test looks at.
const DELETE: &str = "workspace_delete";

/// All that the model does: the steps of a recipe but the last deletions, with what is
/// learned on the way.
#[derive(Debug)]
pub(crate) struct RecipeScript(pub(crate) &'static Recipe);

impl Script for RecipeScript {
    fn step(&self, results: &[String]) -> Step {
        step_of(self.0, results).unwrap_or_else(|| Step::Say("That was all.".to_owned()))
    }
}

/// Unlike `hotcell smoke` this looks for nothing in the results but ids: hosts show
/// models other parts of them.
fn step_of(recipe: &'static Recipe, results: &[String]) -> Option<Step> {
    let mut learned = BTreeMap::new();
    let mut results = results.iter();
    for step in recipe.steps.iter().filter(|step| step.tool != DELETE) {
        let said = |(name, value): &(&str, Value)| {
            let value = match value {
                Value::Text(text) => json!(text),
                Value::Yes => json!(true),
                Value::Learned(name) => json!(learned.get(name)),
            };
            ((*name).to_owned(), value)
        };
        let arguments: Map<String, Json> = step.arguments.iter().map(said).collect();
        let Some(mut result) = results.next() else {
            return Some(Step::Call(step.tool.to_owned(), Json::Object(arguments)));
        };
        while result.contains(STILL_RUNS) {
            let command = word(result, COMMAND_ID)?;
            let Some(waited) = results.next() else {
                let wait = json!({ "workspace": arguments.get("workspace"), "command": command });
                return Some(Step::Call(WAIT.to_owned(), wait));
            };
            result = waited;
        }
        for (name, beginning) in step.learns {
            learned.insert(*name, word(result, beginning)?);
        }
    }
    None
}

/// The first word that begins so.
fn word(text: &str, beginning: &str) -> Option<String> {
    let word = &text[text.find(beginning)?..];
    let end = word.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(word.len());
    Some(word[..end].to_owned())
}
