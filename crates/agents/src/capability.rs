//! What agents differ in.

use serde::Serialize;

/// What an adapter can do, with the version of the agent that its tests run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct Capabilities {
    /// What becomes of a message to an agent at work.
    pub steering: Steering,
    /// How a message that may have been taken is told from one that was not.
    pub receipts: Receipts,
    /// What becomes of a running tool when the turn is interrupted.
    pub interrupted: Surviving,
    /// What it says about the cost of its work.
    pub spending: Spending,
    /// Whether its hands can be kept in a workspace.
    pub isolation: Isolation,
}

/// What becomes of a message to an agent at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Steering {
    /// It enters the turn that runs.
    Folds,
    /// It opens a turn after the one that runs.
    Queues,
    /// It has to wait until the turn is over: what would become of it is not known.
    Waits,
    /// It is not heard.
    Deaf,
}

/// How a message that may have been taken is told from one that was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Receipts {
    /// It need not be told: sent again with the same key, it is taken once.
    Dedupes,
    /// The transcript has its key.
    Searchable,
    /// It cannot be told.
    Unprovable,
}

/// What becomes of a running tool when the turn is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Surviving {
    /// It is ended.
    Ended,
    /// It goes on; ending it is up to whoever owns the processes.
    GoesOn,
}

/// What an agent says about the cost of its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Spending {
    /// Tokens and money.
    Money,
    /// Tokens.
    Tokens,
    /// Money, when a turn is over; of tokens, those of the last answer in it.
    MoneyAtEnd,
    /// Nothing.
    Untold,
}

/// Whether an agent's hands can be kept in a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// It can be launched with no tools but those of the gateway. Whether a certain
    /// version with a certain model keeps to that has to be proved.
    Gateway,
    /// Its tools are its own, and act where it runs.
    Own,
}
