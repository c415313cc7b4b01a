//! The recipes, as beginnings of conversations.

use ::mcp::Prompt;
use workspace_api::profile;

/// The recipes for which these tools are enough.
pub(super) fn of(tools: &[String]) -> Vec<Prompt> {
    let is_there = |name: &str| tools.iter().any(|tool| tool == name);
    let feasible = recipes::RECIPES
        .iter()
        .filter(|recipe| recipe.steps.iter().all(|step| is_there(step.tool)));
    let prompts = feasible.filter_map(|recipe| {
        Some(Prompt {
            name: recipe.name,
            title: recipe.title,
            about: recipe.story,
            example: recipe.task,
            manner: profile::find(recipe.mode)?.instructions,
        })
    });
    prompts.collect()
}
