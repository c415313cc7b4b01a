//! The tools: few, none deferred, named and shaped as models know them.
//!
//! What can be done in a lane is written once, in a module for each subject ([`command`],
//! [`session`], [`mod@file`], [`patch`], [`search`], [`mail`]); what that is called, and in
//! which words it is asked for and told, is a list for each family of models
//! ([`shapes`]). An agent with hands of its own has those only by which it speaks.
//!
//! Arguments that a tool does not know are ignored: models bring habits along.

mod command;
mod file;
mod mail;
mod patch;
mod search;
mod session;
mod shapes;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use operation::{BoxFuture, OpError};
use rmcp::model::{CallToolResult, ContentBlock};
use schemars::{JsonSchema, schema_for};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::lane::Lane;
use crate::engine::Trouble;

pub(super) use session::Sessions;
pub(super) use shapes::of;

/// How long a call takes at most. Agents give up on slower tools, and read messages
/// between calls only.
pub(super) const PATIENCE: Duration = Duration::from_secs(25);

/// Most bytes of text in an answer.
const TEXT_BYTES_MAX: usize = 48 * 1024;

/// What an agent is told whose machine died.
const REVIVED: &str = "Your machine died and was started again. What tools have told as written is there; \
                       commands that ran are gone. Look at what is there before you go on.";

/// What is told where a message ended the waiting.
const CUT_SHORT: &str = "A message for you ended the waiting. ";

/// What the guest calls the repository.
const TREE: &str = "/workspace";

/// What a call comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Text(String),
    Image { content: Vec<u8>, kind: &'static str },
    Failed(String),
}

/// A tool.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) schema: fn() -> Map<String, Value>,
    pub(super) call: for<'a> fn(&'a Lane, Value) -> BoxFuture<'a, Answer>,
}

/// The arguments of a tool, and what it does with them.
trait Tool: DeserializeOwned + JsonSchema + Send {
    const NAME: &'static str;
    const ABOUT: &'static str;

    fn call(self, lane: &Lane) -> impl Future<Output = Result<Answer, Trouble>> + Send;
}

const fn row<T: Tool>() -> Row {
    Row { name: T::NAME, about: T::ABOUT, schema: schema::<T>, call: call::<T> }
}

fn schema<T: Tool>() -> Map<String, Value> {
    let Value::Object(mut schema) = schema_for!(T).to_value() else { return Map::new() };
    for told_elsewhere in ["$schema", "title", "description"] {
        schema.remove(told_elsewhere);
    }
    schema
}

fn call<T: Tool>(lane: &Lane, arguments: Value) -> BoxFuture<'_, Answer> {
    Box::pin(async move {
        let asked: T = match serde_json::from_value(arguments) {
            Ok(asked) => asked,
            Err(error) => return Answer::Failed(format!("the arguments do not fit: {error}")),
        };
        let trouble = match asked.call(lane).await {
            Ok(answer) => return answer,
            Err(trouble) => failure(&*trouble),
        };
        let Ok(cell) = lane.cell() else { return Answer::Failed(trouble) };
        // Nothing is done again: what of it was done is for the agent to see.
        Answer::Failed(match cell.revive().await {
            Ok(false) => trouble,
            Ok(true) => format!("{REVIVED} {trouble}"),
            Err(error) => format!("{trouble}: {}", error.message),
        })
    })
}

/// An error as a model reads it: without words of the program that it has never seen.
fn failure(trouble: &(dyn std::error::Error + Send + Sync + 'static)) -> String {
    match trouble.downcast_ref::<OpError>() {
        Some(error) => {
            let causes = error.causes.iter().map(String::as_str);
            std::iter::once(&*error.message).chain(causes).collect::<Vec<_>>().join(": ")
        }
        None => crate::engine::explained(trouble),
    }
}

impl Answer {
    /// Text, as much of it as an answer holds.
    fn text(text: impl Into<String>) -> Self {
        Self::Text(shortened(text.into()))
    }

    /// The answer as the protocol has it.
    pub(super) fn told(self) -> CallToolResult {
        match self {
            Self::Text(text) => CallToolResult::success(vec![ContentBlock::text(text)]),
            Self::Image { content, kind } => {
                CallToolResult::success(vec![ContentBlock::image(STANDARD.encode(content), kind)])
            }
            Self::Failed(why) => CallToolResult::error(vec![ContentBlock::text(shortened(why))]),
        }
    }
}

/// The beginning and the end of what is too long.
fn shortened(text: String) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text;
    }
    let half = TEXT_BYTES_MAX / 2;
    let (head, tail) = (text.floor_char_boundary(half), text.ceil_char_boundary(text.len() - half));
    format!("{}\n[… {} bytes left out here …]\n{}", &text[..head], tail - head, &text[tail..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_long_text_both_ends_are_kept() {
        let text = shortened(format!("begin{}end", "ü".repeat(TEXT_BYTES_MAX)));
        assert!(text.starts_with("begin") && text.ends_with("end"));
        assert!(text.len() < TEXT_BYTES_MAX + 100, "{}", text.len());
    }
}
