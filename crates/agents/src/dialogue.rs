//! One conversation with one process of an agent.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::event::Event;
use crate::json::beginning;

/// Most bytes of a line that an agent may say: an image as text fits.
pub const LINE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Identifies a message to an agent, in all that is said about it.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Key(pub Uuid);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Key {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Uuid::parse_str(text).ok().map(Self)
    }
}

/// A message to an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Identifies it.
    pub key: Key,
    /// What it says.
    pub text: String,
}

/// What a line of an agent's means.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// What happened, in its order.
    pub events: Vec<Event>,
    /// Lines to write to the process now.
    pub reply: Vec<String>,
}

impl Heard {
    pub(crate) fn event(event: Event) -> Self {
        Self { events: vec![event], reply: Vec::new() }
    }

    pub(crate) fn reply(line: String) -> Self {
        Self { events: Vec::new(), reply: vec![line] }
    }

    pub(crate) fn odd(line: &[u8]) -> Self {
        Self::event(Event::Odd { line: beginning(&String::from_utf8_lossy(line)) })
    }
}

/// Why an agent cannot be told something now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotNow {
    /// The conversation is not open yet.
    #[error("the conversation is not open yet")]
    Opening,
    /// It is at work, and is told nothing until its turn is over.
    #[error("the agent is at work, and is told nothing until its turn is over")]
    Working,
    /// There is no turn to interrupt.
    #[error("the agent is not at work")]
    Idle,
    /// It cannot be told anything once it runs.
    #[error("this kind of agent is not spoken to")]
    Deaf,
}

/// One conversation with one process of an agent: what is to be written to it, and
/// what it means that it says. Lines have no line end.
pub trait Dialogue: fmt::Debug + Send {
    /// Begins, with the message that opens the conversation.
    fn open(&mut self, first: &Said) -> Vec<String>;

    /// Takes a line that the process wrote.
    fn hear(&mut self, line: &[u8]) -> Heard;

    /// Tells the agent something: while it works, as it can be told; otherwise as the
    /// beginning of another turn.
    ///
    /// # Errors
    ///
    /// If it cannot be told now.
    fn say(&mut self, message: &Said) -> Result<Vec<String>, NotNow>;

    /// Ends the turn. [`crate::End::Interrupted`] tells that it has ended.
    ///
    /// # Errors
    ///
    /// If there is nothing to interrupt.
    fn interrupt(&mut self) -> Result<Vec<String>, NotNow>;
}
