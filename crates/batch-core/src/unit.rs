//! The life of a unit, and the only judge of its steps.
//!
//! ```text
//!  Blocked ──▶ Ready ──▶ Preparing ──▶ Resting ◀────────────────────┐ more to do
//!     ▲  deps    ▲ lane               │   ▲                         │
//!     │  merged  │                    ▼   │ failed                  │
//!     │          │                  Opening                         │
//!     │          │                    │ started                     │
//!     │          │                    ▼  turn over, died, stalled   │
//!     │          │     ┌────────── Working ─────────┐               │
//!     │          │     ▼ abort, ceiling, escalation ▼               │
//!     │          │   Interrupting ──────────────▶ Fencing ─▶ Stopping ─▶ Capturing
//!     │          │                                                  │ complete
//!     │          │              Queued ◀──────── Committing ◀───────┘
//!     │          │                │ its turn
//!     │          │                ▼
//!     │          │              Merging ─▶ Verifying ─▶ Advancing ─▶ Finishing
//!     │          │ again          │ conflict │ red        │ behind:    │
//!     │          └──── Clearing ◀─┴──────────┘            ▼ Queued     ▼
//!     │                  │  ▲                                      Clearing
//!     │ retry            ▼  └ given up                                 │
//!     └───── Failed, Skipped                                         Done
//! ```
//!
//! A unit has a lane from `Preparing` to `Clearing`, and at most one agent, from
//! `Opening` to `Stopping`. Between `Preparing` and `Clearing` every phase but
//! `Resting`, `Working` and `Queued` is one effect, and ends with it. Whether it
//! waits for somebody is not a phase: a unit with an open wait rests.
//!
//! A lane that an agent may have been in, or that was prepared with earlier work,
//! is captured before it is cleared, also where the diagram has no room for it
//! (`Resting` to `Capturing`, when a unit is given up before its first context).
//!
//! Nothing of an attempt survives into the next but what was captured. A context
//! that ends, however it ends, passes through fence, stop and capture, in this
//! order: while an agent can still write, a capture is not the last word.

use batch_api::{AttemptId, CommitName, ConversationId, UnitId, WaitId};
use serde::{Deserialize, Serialize};

use crate::spec::UnitSpec;
use crate::time::Time;

/// Where a unit is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[expect(missing_docs, reason = "the diagram of the module says what each is")]
pub enum Phase {
    Blocked,
    Ready { since: Time },
    Preparing,
    Resting,
    Opening,
    Working,
    Interrupting { end: End },
    Fencing { end: End },
    Stopping { end: End },
    Capturing { end: End },
    Committing,
    Queued { since: Time },
    Merging,
    Verifying,
    Advancing,
    Finishing,
    Clearing { goal: Goal },
    Done,
    Failed { class: Class },
    Skipped { why: Skip },
}

/// Why a context ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum End {
    /// The agent ended its turn.
    Turn,
    /// Its context was full.
    Full,
    /// The agent ended without being asked.
    Crashed,
    /// It showed no progress.
    Stalled,
    /// The engine that had started it is gone.
    Orphaned,
    /// It could not be started.
    NotStarted,
    /// The provider takes no more for now.
    Limited,
    /// It asked somebody.
    Escalated,
    /// It used up what the unit or the batch may use.
    Ceiling,
    /// The unit is given up.
    Doomed,
}

/// What a lane is cleared for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[expect(missing_docs, reason = "each is the phase that follows")]
pub enum Goal {
    Done,
    Again,
    Fail { class: Class },
    Skip { why: Skip },
}

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// No lane could be made.
    Lane,
    /// No agent could be started.
    Start,
    /// The agent died.
    Crashed,
    /// The agent showed no progress in time.
    Stalled,
    /// A context ended without any change.
    Idle,
    /// As many contexts as an attempt may have were not enough.
    Contexts,
    /// Its contexts ended with their engine, again and again, without any change.
    Orphaned,
    /// The merge needs judgement.
    Conflict,
    /// The merge does not pass verification.
    Red,
    /// Something of ours does not work, and somebody gave up on it.
    Trouble,
    /// It asked, and was told to give up, or nobody answered.
    Unanswered,
    /// Somebody, or the policy, aborted it.
    Aborted,
}

/// Why a unit was skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Skip {
    /// Somebody said so.
    Told,
    /// What it needs was not merged.
    Dependency,
    /// The policy after a failure, or an abort of the batch.
    Stopped,
}

impl Class {
    /// How many failures of this class a unit may have before it is given up.
    #[must_use]
    pub const fn budget(self) -> u32 {
        match self {
            Self::Lane | Self::Start | Self::Crashed => 3,
            Self::Stalled | Self::Idle | Self::Conflict | Self::Red => 2,
            // Engines die for reasons of their own; only what ends its engine every time
            // comes this far.
            Self::Orphaned => 32,
            Self::Contexts | Self::Trouble | Self::Unanswered | Self::Aborted => 0,
        }
    }
}

impl Phase {
    /// Whether the unit's life is over, unless somebody has it tried again.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Failed { .. } | Self::Skipped { .. })
    }

    /// Whether the unit has a lane.
    #[must_use]
    pub const fn has_lane(self) -> bool {
        !matches!(self, Self::Blocked | Self::Ready { .. }) && !self.is_over()
    }

    /// Whether an agent may be at work.
    #[must_use]
    pub const fn has_agent(self) -> bool {
        matches!(
            self,
            Self::Opening
                | Self::Working
                | Self::Interrupting { .. }
                | Self::Fencing { .. }
                | Self::Stopping { .. }
        )
    }

    /// Whether the unit is on its way into the integration branch, alone.
    #[must_use]
    pub const fn is_merging(self) -> bool {
        matches!(self, Self::Merging | Self::Verifying | Self::Advancing)
    }

    /// Whether its work is on the integration branch.
    #[must_use]
    pub const fn is_merged(self) -> bool {
        matches!(self, Self::Finishing | Self::Clearing { goal: Goal::Done } | Self::Done)
    }

    /// Whether the step is legal. Total: every pair of phases has an answer.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        use Phase::{
            Advancing, Blocked, Capturing, Clearing, Committing, Done, Failed, Fencing, Finishing,
            Interrupting, Merging, Opening, Preparing, Queued, Ready, Resting, Skipped, Stopping,
            Verifying, Working,
        };
        match self {
            Blocked => matches!(next, Ready { .. } | Failed { .. } | Skipped { .. }),
            Ready { .. } => matches!(next, Preparing | Failed { .. } | Skipped { .. }),
            Preparing => matches!(next, Resting | Clearing { .. }),
            Resting => matches!(next, Opening | Capturing { .. } | Clearing { .. }),
            Opening => matches!(next, Working | Fencing { .. }),
            Working => matches!(next, Interrupting { .. } | Fencing { .. }),
            Interrupting { .. } => matches!(next, Fencing { .. }),
            Fencing { .. } => matches!(next, Stopping { .. }),
            Stopping { .. } => matches!(next, Capturing { .. }),
            Capturing { .. } => matches!(next, Resting | Committing | Clearing { .. }),
            Committing => matches!(next, Queued { .. } | Clearing { .. }),
            Queued { .. } => matches!(next, Merging | Clearing { .. }),
            Merging => matches!(next, Verifying | Clearing { .. }),
            Verifying => matches!(next, Advancing | Resting | Clearing { .. }),
            Advancing => matches!(next, Finishing | Queued { .. } | Clearing { .. }),
            Finishing => matches!(next, Clearing { .. }),
            Clearing { .. } => {
                matches!(next, Done | Ready { .. } | Failed { .. } | Skipped { .. })
            }
            Done => false,
            Failed { .. } | Skipped { .. } => matches!(next, Blocked),
        }
    }
}

/// What an agent says of its packet, as it was read from STATUS.md: a claim.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// How many steps could be read.
    pub steps: u32,
    /// How many of them are checked.
    pub checked: u32,
    /// How many gates have a latest review that wants changes.
    pub revise: u32,
}

/// What was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Tokens, in and out.
    pub tokens: u64,
    /// Money, in millionths of a dollar.
    pub money_micros: u64,
    /// Calls of tools.
    pub calls: u64,
}

impl Usage {
    pub(crate) const fn add(&mut self, more: Self) {
        self.tokens = self.tokens.saturating_add(more.tokens);
        self.money_micros = self.money_micros.saturating_add(more.money_micros);
        self.calls = self.calls.saturating_add(more.calls);
    }
}

/// A unit and all that is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// What was asked.
    pub spec: UnitSpec,
    /// Its place among the units: earlier ones are preferred.
    pub order: usize,
    /// Where it is in its life.
    pub phase: Phase,
    /// The number of its attempt; 0 before the first.
    pub attempt: u32,
    /// Its lane; meaningful while the phase has one.
    pub lane: u32,
    /// How many contexts the attempt has opened.
    pub contexts: u32,
    /// How many of them ended because their engine did.
    pub orphans: u32,
    /// Since when the agent of now is at work.
    pub working_since: Option<Time>,
    /// When it last showed progress.
    pub progress_at: Time,
    /// How often its early exits were intercepted in this context.
    pub intercepts: u32,
    /// Its agent takes no message before then, or before its turn is over.
    pub deaf_until: Time,
    /// Whether it was told to wrap up in this context.
    pub wrapping_up: bool,
    /// No context is opened before then.
    pub rest_until: Time,
    /// What the agent claims of its packet.
    pub status: Status,
    /// What the claim was when this context was opened.
    pub status_before: Status,
    /// What it used, over all attempts.
    pub usage: Usage,
    /// How long agents were at work on it, without the context of now.
    pub worked_ms: u64,
    /// How often its ceiling was granted anew.
    pub grants: u64,
    /// The last capture: commit and tree. `None` while the lane holds what was
    /// not captured yet.
    pub captured: Option<Capture>,
    /// The tree before the context of now.
    pub tree_before: Option<CommitName>,
    /// The last capture of any attempt: work to go on from.
    pub carry: Option<CommitName>,
    /// The commit that is to be merged.
    pub commit: Option<CommitName>,
    /// The merge under way: base and merge.
    pub merge: Option<(CommitName, CommitName)>,
    /// The merge that passed verification.
    pub verified: Option<CommitName>,
    /// What becomes of it as soon as that is possible.
    pub doom: Option<Goal>,
    /// How often each class of failure has happened.
    pub failures: Vec<(Class, u32)>,
}

/// A capture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    /// The commit that holds it.
    pub commit: CommitName,
    /// Its tree.
    pub tree: CommitName,
}

impl Unit {
    /// A unit before anything has happened.
    #[must_use]
    pub fn new(spec: UnitSpec, order: usize) -> Self {
        Self {
            spec,
            order,
            phase: Phase::Blocked,
            attempt: 0,
            lane: 0,
            contexts: 0,
            orphans: 0,
            working_since: None,
            progress_at: Time(0),
            intercepts: 0,
            deaf_until: Time(0),
            wrapping_up: false,
            rest_until: Time(0),
            status: Status::default(),
            status_before: Status::default(),
            usage: Usage::default(),
            worked_ms: 0,
            grants: 0,
            captured: None,
            tree_before: None,
            carry: None,
            commit: None,
            merge: None,
            verified: None,
            doom: None,
            failures: Vec::new(),
        }
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> &UnitId {
        &self.spec.unit
    }

    /// The attempt of now.
    #[must_use]
    pub fn attempt_id(&self) -> AttemptId {
        AttemptId { unit: self.spec.unit.clone(), number: self.attempt }
    }

    /// The conversation of now, or the last one.
    #[must_use]
    pub fn conversation(&self) -> ConversationId {
        ConversationId {
            agent: batch_api::AgentId { attempt: self.attempt_id(), role: batch_api::Role::Worker },
            number: self.contexts,
        }
    }

    /// How many contexts of the attempt ended for a reason of its own, or go on.
    #[must_use]
    pub const fn own_contexts(&self) -> u32 {
        self.contexts.saturating_sub(self.orphans)
    }

    /// How often a class of failure has happened.
    #[must_use]
    pub fn failures(&self, class: Class) -> u32 {
        self.failures.iter().find(|(known, _)| *known == class).map_or(0, |(_, count)| *count)
    }
}

/// A question that somebody has to answer, or its default is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// Its id.
    pub id: WaitId,
    /// Why.
    pub reason: Reason,
    /// Who answers.
    pub owner: batch_api::Actor,
    /// Until when.
    pub deadline: Time,
    /// What happens then.
    pub default: Answer,
}

/// Why something waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Reason {
    /// An agent asked.
    Escalated {
        /// Its message.
        message: batch_api::MessageId,
    },
    /// Whether a message was delivered cannot be proved.
    Undelivered {
        /// The message.
        message: batch_api::MessageId,
    },
    /// An effect fails again and again, or nobody knows whether it was done.
    Stuck {
        /// The effect.
        effect: batch_api::EffectId,
    },
    /// Engine after engine has died at an effect.
    Deadly {
        /// The effect.
        effect: batch_api::EffectId,
    },
    /// A ceiling was reached.
    Ceiling,
}

/// What a wait is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Go on; do it again.
    Go,
    /// Give it up.
    GiveUp,
}
