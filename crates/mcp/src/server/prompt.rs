//! Prompts: beginnings of conversations that a person chooses.

use super::Server;
use rmcp::model::{
    ErrorData, GetPromptRequestParams, GetPromptResult, Prompt as Definition, PromptArgument,
    PromptMessage, Role,
};

/// The only argument of a prompt.
const TASK: &str = "task";

/// The longest task, in bytes.
const TASK_MAX_BYTES: usize = 16 * 1024;

/// A beginning of a conversation.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// What it is chosen by: lower-case words joined by `-`.
    pub name: &'static str,
    /// What it is, as a heading.
    pub title: &'static str,
    /// When somebody wants it.
    pub about: &'static str,
    /// What a person might say.
    pub example: &'static str,
    /// How the model goes about it.
    pub manner: &'static str,
}

impl Prompt {
    pub(super) fn defined(&self) -> Definition {
        let about = format!("What is to be done, in your own words. For example: {}", self.example);
        let task = PromptArgument::new(TASK).with_description(about).with_required(true);
        Definition::new(self.name, Some(self.about), Some(vec![task])).with_title(self.title)
    }
}

impl<H: Send + Sync + 'static> Server<H> {
    pub(super) fn prompt(
        &self,
        request: &GetPromptRequestParams,
    ) -> Result<GetPromptResult, ErrorData> {
        let refused = |message: String| ErrorData::invalid_params(message, None);
        let Some(prompt) = self.prompts.iter().find(|prompt| prompt.name == request.name) else {
            let known: Vec<&str> = self.prompts.iter().map(|prompt| prompt.name).collect();
            return Err(refused(format!(
                "there is no such prompt; there are {}",
                known.join(", ")
            )));
        };
        let mut arguments = request.arguments.iter().flatten();
        if arguments.clone().any(|(name, _)| name != TASK) {
            return Err(refused(format!("the only argument is `{TASK}`")));
        }
        let task = arguments.next().and_then(|(_, value)| value.as_str());
        let Some(task) = task.filter(|text| (1..=TASK_MAX_BYTES).contains(&text.len())) else {
            return Err(refused(format!("`{TASK}` is a text of 1 to {TASK_MAX_BYTES} bytes")));
        };
        let text = format!("{task}\n\n{}", prompt.manner);
        let message = PromptMessage::new_text(Role::User, text);
        Ok(GetPromptResult::new(vec![message]).with_description(prompt.about))
    }
}
