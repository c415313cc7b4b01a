//! What is known of a batch: folded from its journal, with or without an engine.

use operation::{Effect, Example, NoEvents, Operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Target;
use crate::actor::Actor;
use crate::id::{BatchId, CommitName, TaskId, UnitId, WaitId};
use crate::limits::BatchLimits;

/// Show how far a batch is: units, waits, usage, and whether its engine lives
///
/// Reads the journal, and disturbs nobody. Works without an engine as well. With
/// `--follow` it goes on until the batch is over (exit code 0 if all is done, 1 if not),
/// waits for somebody (114), or has no engine that goes on with it (116).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// Which batch
    #[command(flatten)]
    #[serde(default)]
    pub target: Target,
    /// Go on and tell what changes, until the batch is over or waits for somebody
    #[arg(long)]
    #[serde(default)]
    pub follow: bool,
}

impl Status {
    /// How far a batch is now.
    #[must_use]
    pub const fn of(target: Target) -> Self {
        Self { target, follow: false }
    }
}

impl Operation for Status {
    type Output = BatchStatus;
    type Event = StatusChange;
    const NAME: &'static str = "batch.status";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] = &[
        Example { argv: "", json: "{}" },
        Example { argv: "bat_0190", json: r#"{"target": {"batch": "bat_0190"}}"# },
        Example { argv: "--follow", json: r#"{"follow": true}"# },
    ];
}

/// Something in a batch that has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusChange {
    /// When it was seen, RFC 3339 in UTC.
    pub at: String,
    /// What is new, in words.
    pub news: Vec<String>,
    /// How the batch is now.
    pub status: BatchStatus,
}

/// Why a batch is not followed any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FollowEnd {
    /// It is over.
    Over,
    /// Somebody has to say something: answer what waits, or let it go on.
    Waits,
    /// It has no engine.
    NoEngine,
    /// Whoever followed it did not want to know more.
    Stopped,
}

/// List the batches, the newest first
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Only those that are not over
    #[arg(long)]
    #[serde(default)]
    pub open: bool,
}

impl Operation for List {
    type Output = BatchList;
    type Event = NoEvents;
    const NAME: &'static str = "batch.list";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] =
        &[Example { argv: "", json: "{}" }, Example { argv: "--open", json: r#"{"open": true}"# }];
}

/// The batches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BatchList {
    /// The newest first.
    pub batches: Vec<BatchSummary>,
}

/// A batch in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BatchSummary {
    /// Which.
    pub id: BatchId,
    /// The repository's directory; none if nothing can be known of the batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// When it was started, RFC 3339 in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Where it is; none if nothing can be known of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<BatchState>,
    /// Whether its engine lives.
    pub engine: EngineState,
    /// How many units it has.
    pub units: u32,
    /// How many of them are done.
    pub done: u32,
    /// How many answers it waits for.
    pub waits: u32,
    /// Why nothing can be known of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// What is known of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BatchStatus {
    /// Identifies it for ever.
    pub id: BatchId,
    /// The repository's directory.
    pub repository: String,
    /// When it was started, RFC 3339 in UTC.
    pub created: String,
    /// Where it is.
    pub state: BatchState,
    /// Whether its engine lives.
    pub engine: EngineState,
    /// The engine of now, or the last one, by its epoch; 0 if there was none.
    pub epoch: u64,
    /// Who answers what it waits for.
    pub owner: Actor,
    /// How many units have a lane at the same time at most.
    pub lanes: u32,
    /// What does the work, and where.
    pub agent: AgentStatus,
    /// When it gives up, and on what.
    pub limits: BatchLimits,
    /// The commit that it began with.
    pub base: CommitName,
    /// The tip of its integration branch, as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integration: Option<CommitName>,
    /// The units, in the order in which they are preferred.
    pub units: Vec<UnitStatus>,
    /// What somebody has to answer.
    pub waits: Vec<WaitStatus>,
    /// What all of it has used.
    pub usage: UsageStatus,
    /// What of the engine's own doing failed the last time, and is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// The last record of the journal that this is folded from.
    pub sequence: u64,
    /// Why it is not followed any further; none if it was not followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub followed_until: Option<FollowEnd>,
}

/// What does the work of a batch, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentStatus {
    /// Which agent.
    pub kind: String,
    /// Where it runs: `cell`, `guest` or `worktree`.
    pub lane: String,
    /// What is not kept apart there.
    pub leaves_open: String,
}

/// Where a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BatchState {
    /// It was made, and no engine has begun with it yet.
    New,
    /// It goes on, as long as its engine lives.
    Running,
    /// Somebody paused it.
    Paused,
    /// It has used up what it may.
    Ceiling,
    /// Somebody aborted it, and not everything is stopped and captured yet.
    Aborting,
    /// It is over: all units are done.
    Completed,
    /// It is over: some units are done.
    Partial,
    /// It is over: no unit is done.
    Failed,
}

impl BatchState {
    /// Whether it is over, unless somebody has a unit tried again.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Partial | Self::Failed)
    }
}

/// Whether a batch has an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EngineState {
    /// None has begun with it.
    Never,
    /// It lives.
    Alive,
    /// It has ended.
    Gone,
}

/// What is known of a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnitStatus {
    /// Which.
    pub id: UnitId,
    /// Where it is.
    pub state: UnitState,
    /// The same in words, with the reason.
    pub about: String,
    /// The packet's directory.
    pub home: String,
    /// What has to be merged before it starts.
    pub after: Vec<TaskId>,
    /// Its lane, while it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<u32>,
    /// Which attempt this is; 0 before the first.
    pub attempt: u32,
    /// How many contexts this attempt has opened.
    pub contexts: u32,
    /// How many steps its packet has, as far as its agent was heard of.
    pub steps: u32,
    /// How many of them its agent calls complete.
    pub steps_complete: u32,
    /// What it has used, over all attempts.
    pub usage: UsageStatus,
    /// What has gone wrong, and how often.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<FailureCount>,
    /// What the engine could not do for it the last time, and tries again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// Where a unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnitState {
    /// It waits for others to be merged.
    Blocked,
    /// It waits for a lane.
    Ready,
    /// It gets its lane.
    Preparing,
    /// It has a lane, and no agent in it.
    Resting,
    /// A context is opened.
    Opening,
    /// Its agent is at work.
    Working,
    /// Its agent is ended, and its work captured.
    Ending,
    /// Its work is made a commit.
    Committing,
    /// It waits for its turn to be merged.
    Queued,
    /// It is merged and verified.
    Merging,
    /// It gives its lane back.
    Clearing,
    /// It is merged.
    Done,
    /// It was given up.
    Failed,
    /// It was left out.
    Skipped,
}

impl UnitState {
    /// The state as a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Ready => "ready",
            Self::Preparing => "preparing",
            Self::Resting => "resting",
            Self::Opening => "opening",
            Self::Working => "working",
            Self::Ending => "ending",
            Self::Committing => "committing",
            Self::Queued => "queued",
            Self::Merging => "merging",
            Self::Clearing => "clearing",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// What was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsageStatus {
    /// Tokens, in and out.
    pub tokens: u64,
    /// Money, in millionths of a dollar.
    pub money_micros: u64,
    /// Calls of tools.
    pub calls: u64,
    /// How long agents were at work, without contexts that are open, in milliseconds.
    pub worked_ms: u64,
}

/// How often something has gone wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailureCount {
    /// What.
    pub what: String,
    /// How often.
    pub times: u32,
}

/// Something that somebody has to answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WaitStatus {
    /// Which.
    pub id: WaitId,
    /// The unit that waits; the whole batch if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitId>,
    /// What has to be said.
    pub reason: String,
    /// Who has to say it.
    pub owner: Actor,
    /// Since when, RFC 3339 in UTC.
    pub since: String,
    /// Until when, RFC 3339 in UTC.
    pub deadline: String,
    /// What happens then.
    pub default: String,
}
