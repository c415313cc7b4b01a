//! What clients ask of a keeper besides carrying frames to its guest.
//!
//! A question travels on stream 0 with a number that its client chose, and is
//! answered once, with that number: questions that take long hold up neither
//! others nor frames. Each question is a type that knows its answer's.
//!
//! ```text
//! client ── Ask { id, ask } ──▶ keeper: at once, or by a task of its own
//!        ◀── Answer { id, … } | Declined { id, error }
//! ```

use operation::OpError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use workspace_api::workspace::Activity;

/// A question to a keeper.
pub(crate) trait Question: Into<Ask> {
    /// What answers it.
    type Answer: Serialize + DeserializeOwned;
}

/// All questions.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "question", rename_all = "snake_case")]
pub(crate) enum Ask {
    /// See [`CurrentActivity`].
    Activity(CurrentActivity),
    /// See [`WriteLedger`].
    WriteLedger(WriteLedger),
}

/// What is going on in the workspace right now.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct CurrentActivity {}

impl Question for CurrentActivity {
    type Answer = Activity;
}

impl From<CurrentActivity> for Ask {
    fn from(question: CurrentActivity) -> Self {
        Self::Activity(question)
    }
}

/// Have everything written into the ledger that has happened so far.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct WriteLedger {}

impl Question for WriteLedger {
    type Answer = ();
}

impl From<WriteLedger> for Ask {
    fn from(question: WriteLedger) -> Self {
        Self::WriteLedger(question)
    }
}

/// An answer on its way to whoever asked.
pub(crate) fn answer<Q: Question>(result: Result<Q::Answer, OpError>) -> Result<Value, OpError> {
    result.map(|answer| serde_json::to_value(answer).expect("answers are plain data"))
}
