//! Which messages a conversation holds that is over.

use serde_json::{Value, json};

use super::opening::{Opening, Request};
use crate::dialogue::Key;
use crate::json::{number, object, text};
use crate::launch::Task;
use crate::mark::key_of;

/// Most keys that are kept of a conversation.
const KEYS_MAX: usize = 65_536;

/// Loads a conversation in a process that was launched for nothing else, with a task
/// that goes on with it, and collects the keys of the messages in it.
///
/// A message that is found was taken. One that is not, when [`Replay::finished`], was
/// not, and may be sent again, if the agent is known to have all on record.
#[derive(Debug)]
pub struct Replay {
    opening: Opening,
    asked: u64,
    taken: Vec<Key>,
    end: Option<Result<(), String>>,
}

impl Replay {
    /// One that has not begun, for what was launched with the same task.
    #[must_use]
    pub fn new(task: &Task<'_>) -> Self {
        Self { opening: Opening::new(task), asked: 0, taken: Vec::new(), end: None }
    }

    /// Begins.
    pub fn open(&mut self) -> Vec<String> {
        vec![self.ask(Request::Initialize)]
    }

    fn ask(&mut self, request: Request) -> String {
        self.asked += 1;
        let (method, parameters) = self.opening.request(request);
        json!({"jsonrpc": "2.0", "id": self.asked, "method": method, "params": parameters})
            .to_string()
    }

    /// Takes a line that the process wrote; returns lines for it.
    pub fn hear(&mut self, line: &[u8]) -> Vec<String> {
        let Some(said) = object(line) else { return Vec::new() };
        if text(&said, "/params/update/sessionUpdate") == "user_message_chunk" {
            let key = key_of(text(&said, "/params/update/content/text"));
            if self.taken.len() < KEYS_MAX {
                self.taken.extend(key);
            }
        }
        if said.get("method").is_some() || number(&said, "/id") != Some(self.asked) {
            return Vec::new();
        }
        let request = if self.asked == 1 { Request::Initialize } else { Request::Session };
        match self.opening.answered(request, &said) {
            Ok(Some(Request::Session)) => return vec![self.ask(Request::Session)],
            Ok(_) => self.end = Some(Ok(())),
            Err(_) => self.end = Some(Err(said_wrong(&said))),
        }
        Vec::new()
    }

    /// The keys of all messages in the conversation, once that is known; else what the
    /// agent says why it cannot be.
    #[must_use]
    pub fn finished(&self) -> Option<Result<&[Key], &str>> {
        match &self.end {
            None => None,
            Some(Ok(())) => Some(Ok(&self.taken)),
            Some(Err(why)) => Some(Err(why)),
        }
    }
}

fn said_wrong(said: &Value) -> String {
    match text(said, "/error/message") {
        "" => "it does not load conversations".to_owned(),
        message => crate::json::beginning(message),
    }
}
