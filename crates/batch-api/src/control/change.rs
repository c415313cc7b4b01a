//! What is asked of a batch's engine. Every request has a name: repeated, it gets the
//! first answer, whichever engine gives it. What was answered is in the journal.

use operation::{Effect, Example, NoEvents, Operation, Present, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Target, UnitRef};
use crate::id::{BatchId, RequestId, UnitId};

/// An operation that asks a batch's engine for something.
macro_rules! change {
    (
        $(#[$doc:meta])* $name:ident, $operation:literal,
        { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* } -> $output:ident,
        [$($argv:literal => $json:literal),+]
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $kind,)*
            /// Which batch
            #[command(flatten)]
            #[serde(default)]
            pub target: Target,
            /// Name of this request: repeated, it gets the first answer
            #[arg(long, value_name = "ID")]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub request_id: Option<RequestId>,
        }

        impl Operation for $name {
            type Output = $output;
            type Event = NoEvents;
            const NAME: &'static str = $operation;
            const EFFECT: Effect = Effect::Changes;
            const EXAMPLES: &'static [Example] = &[$(Example { argv: $argv, json: $json }),+];
        }
    };
}

change! {
    /// Open no more lanes and contexts of a batch; agents at work go on
    ///
    /// What they finish meanwhile is merged. `batch resume` lets the batch go on.
    Pause, "batch.pause", {} -> Changed,
    ["" => "{}", "bat_0190 --request-id p-1" => r#"{"target": {"batch": "bat_0190"}, "request_id": "p-1"}"#]
}

change! {
    /// Let a batch go on: after a pause, or after its engine or the host died
    ///
    /// An engine that lives is found, and none is started beside it. A new one takes over
    /// from the journal: no finished work is repeated, and what was under way is looked up.
    Resume, "batch.resume", {
        /// Replace the engine even if it lives: one that was stopped, say. It is refused
        /// everything from then on
        #[arg(long)]
        #[serde(default)]
        take_over: bool,
    } -> Resumed,
    ["" => "{}", "bat_0190" => r#"{"target": {"batch": "bat_0190"}}"#]
}

change! {
    /// Stop everything that a batch does, for good
    ///
    /// Agents are stopped mechanically, and what lies in their lanes is captured first.
    /// What was merged stays on the integration branch.
    Abort, "batch.abort", {} -> Changed,
    ["" => "{}", "bat_0190" => r#"{"target": {"batch": "bat_0190"}}"#]
}

change! {
    /// Try a task again that has failed or was skipped, and what was skipped because of it
    Retry, "batch.retry", {
        /// Task, or unit
        unit: UnitRef,
    } -> Changed,
    ["TP-014" => r#"{"unit": "TP-014"}"#,
     "TP-014 bat_0190" => r#"{"unit": "TP-014", "target": {"batch": "bat_0190"}}"#]
}

change! {
    /// Leave a task out: it is stopped and captured, and what depends on it is skipped
    Skip, "batch.skip", {
        /// Task, or unit
        unit: UnitRef,
    } -> Changed,
    ["TP-014" => r#"{"unit": "TP-014"}"#,
     "TP-014@app/1 bat_0190" => r#"{"unit": "TP-014@app/1", "target": {"batch": "bat_0190"}}"#]
}

/// Something that was asked of a batch, and is in its journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Changed {
    /// The batch.
    pub id: BatchId,
    /// What was asked: the operation's verb.
    pub change: String,
    /// The unit that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitId>,
    /// The name under which it can be repeated.
    pub request_id: RequestId,
}

impl Present for Changed {
    fn present(&self, screen: &mut Screen) {
        let unit = self.unit.as_ref().map(|unit| format!(" {unit}")).unwrap_or_default();
        screen.line(format!("{}{unit}: accepted by {}", self.change, self.id));
        screen.note(format!("`hotcell batch status {}` shows what comes of it", self.id));
    }
}

/// A batch that was told to go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resumed {
    /// The batch.
    pub id: BatchId,
    /// Which engine it has now, by its epoch.
    pub engine: u64,
    /// Where that comes from.
    pub outcome: ResumeOutcome,
    /// The name under which it can be repeated.
    pub request_id: RequestId,
}

/// What a batch was told to go on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResumeOutcome {
    /// Its engine lives, and goes on.
    Alive,
    /// A new engine took over.
    Started,
}

impl Present for Resumed {
    fn present(&self, screen: &mut Screen) {
        let Self { id, engine, outcome, .. } = self;
        screen.line(match outcome {
            ResumeOutcome::Alive => format!("{id} goes on: its engine {engine} is alive"),
            ResumeOutcome::Started => format!("{id} goes on: engine {engine} has taken over"),
        });
        screen.note(format!("`hotcell batch status {id}` shows how far it is"));
    }
}
