//! What agents say, in words that are the same for all of them.

use serde::{Deserialize, Serialize};

use crate::dialogue::Key;

/// Most characters that are kept of a text, of arguments or of a result. All of it is
/// in the transcript.
pub const TEXT_CHARACTERS_MAX: usize = 2000;

/// Something that an agent said or did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The conversation is open.
    Opened {
        /// What the agent calls it.
        session: String,
        /// Names of the tools that the model is offered, if the agent says so.
        tools: Option<Vec<String>>,
    },
    /// A message has entered the context: the model sees it from its next step on.
    Taken {
        /// Which message.
        key: Key,
    },
    /// A message was given up before it was taken.
    Dropped {
        /// Which message.
        key: Key,
    },
    /// Text of the model's.
    Said {
        /// The beginning of it.
        text: String,
    },
    /// A tool was called.
    Called {
        /// Names the call.
        call: String,
        /// The tool.
        tool: String,
        /// The beginning of its arguments.
        arguments: String,
    },
    /// A tool answered.
    Answered {
        /// Names the call.
        call: String,
        /// Whether it failed.
        failed: bool,
    },
    /// What the conversation has cost so far.
    Spent(Usage),
    /// How full the context is.
    Context {
        /// Tokens in it.
        used: u64,
        /// Tokens that it can hold, if the agent says so.
        window: Option<u64>,
    },
    /// The context was made smaller by summarising it.
    Compacted,
    /// The model could not be asked, and will be asked again.
    Retrying {
        /// Which try this was.
        attempt: u64,
        /// The beginning of what was wrong.
        reason: String,
    },
    /// The provider takes no more requests for now.
    Limited {
        /// When it does again, in seconds since the beginning of 1970.
        until: Option<u64>,
        /// Which limit.
        limit: String,
    },
    /// The agent asked whether it may do something, and was told that it may not.
    Denied {
        /// What it wanted.
        what: String,
    },
    /// A turn is over. The process goes on and can be spoken to.
    Ended(End),
    /// A line that makes no sense.
    Odd {
        /// The beginning of it.
        line: String,
    },
}

/// What a conversation has cost since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens that the model read, without those of a cache.
    pub input: u64,
    /// Tokens that it read from a cache.
    pub cached: u64,
    /// Tokens that it wrote.
    pub output: u64,
    /// Millionths of a dollar, if the agent says so.
    pub micro_dollars: Option<u64>,
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum End {
    /// The model had nothing more to do.
    Completed {
        /// The beginning of what it said last.
        text: String,
    },
    /// Somebody interrupted it.
    Interrupted,
    /// It could not go on.
    Failed {
        /// What kind of failure that is.
        failure: Failure,
        /// The beginning of what the agent says about it.
        text: String,
    },
}

/// Kinds of failures, by what helps against them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// Waiting: the provider takes no more requests for now.
    Limit,
    /// The operator: credentials, a model that does not exist, no money.
    Access,
    /// A fresh context: this one is full.
    Overflow,
    /// Trying again: the provider has trouble.
    Provider,
    /// A ceiling that was set was reached.
    Ceiling,
    /// Nobody knows.
    Unknown,
}

impl Failure {
    /// What a status of HTTP means that a provider answered with.
    #[must_use]
    pub const fn of_status(status: u64) -> Self {
        match status {
            429 => Self::Limit,
            400..=404 => Self::Access,
            413 => Self::Overflow,
            408 | 409 | 500..=599 => Self::Provider,
            _ => Self::Unknown,
        }
    }
}
