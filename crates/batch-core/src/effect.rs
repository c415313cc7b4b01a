//! Effects: what the engine has done outside of itself.
//!
//! An effect is committed to the journal as an intent before it starts, and its
//! outcome after. An engine may die anywhere in between, and its successor sees
//! only the intent. So each kind says under which key it is done, and what
//! happens when nobody knows whether it was:
//!
//! ```text
//!              ┌───────────── failed, with tries left ────────────┐
//!              ▼                                                  │
//!  Intended ─▶ Running ── outcome ─────────────────────────────▶ Ended
//!              ▲  │ engine died, or overdue                       ▲
//!              │  ▼                                               │
//!              │ Seeking ── found done ───────────────────────────┤
//!              │  │ found not done: redo                          │
//!              └──┤                                               │
//!              ▲  │ unknown, or out of tries                      │
//!              │  ▼                                               │
//!              └─ Waiting ── ruling or default: again, or give up ┘
//! ```
//!
//! | kind | key | when nobody knows |
//! |---|---|---|
//! | fence | epoch, or attempt | redo: a fence only rises |
//! | prepare | attempt | look the lane up, else redo |
//! | start | conversation | give up: agents die with their engine; fenced and stopped |
//! | inject | message and conversation | as the adapter can prove: redo, look up, or ask |
//! | interrupt | conversation | give up: the stop that follows does not ask |
//! | stop | conversation | redo: what is stopped stays so |
//! | capture | effect | look the reference up, else redo |
//! | commit | effect | look the commit up by its trailer, else redo |
//! | merge | effect | redo: aside, from the same commits |
//! | verify | commit | redo |
//! | advance | commits from, to | look the branch up: it tells |
//! | finish | unit | look the file up, else redo |
//! | publish | view | redo: the same text |
//! | remove | attempt | look the lane up, else redo |
//! | integrate | request | look the operator's branch up, else redo; give up if it cannot be seen |
//!
//! An agent that hears nothing while it works *defers* what it is sent. That is no
//! failure: nothing of it has arrived, and it is sent when the turn is over.
//!
//! To look something up is to make sure first that nothing is still at it: what
//! an earlier engine started is over when the answer is given.
//!
//! An engine that dies while an effect is under way says nothing about the effect, so
//! that is no try of it. What kills its engine every time is bounded all the same:
//! deaths are counted by themselves, and after [`Effect::DEATHS_MAX`] somebody is asked.

use std::fmt;
use std::time::Duration;

use batch_api::{
    CommitName, ConversationId, EffectId, Epoch, MessageId, RequestId, Sequence, WaitId,
};
use serde::{Deserialize, Serialize};

use crate::integration::Handover;
use crate::journal::Subject;
use crate::spec::Receipts;
use crate::time::Time;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Let nobody act under an earlier epoch any more; about an attempt, let its
    /// agent's calls no longer through.
    Fence,
    /// Make a lane for the attempt, from the tip of the integration branch.
    Prepare {
        /// Which lane.
        lane: u32,
        /// Earlier work of the unit, to go on from.
        carry: Option<CommitName>,
    },
    /// Start an agent in a fresh context.
    Start {
        /// The conversation.
        conversation: ConversationId,
        /// The messages that open it.
        opening: Vec<MessageId>,
    },
    /// Give a message to an agent at work.
    Inject {
        /// Into which conversation.
        conversation: ConversationId,
        /// The message.
        message: MessageId,
    },
    /// Ask an agent to end its turn.
    Interrupt {
        /// Whose.
        conversation: ConversationId,
    },
    /// End an agent and all it started, and see that nothing is left.
    Stop {
        /// Whose.
        conversation: ConversationId,
    },
    /// Put the lane's tree, index and untracked files under a reference of ours.
    Capture,
    /// Commit in the lane what the agent left uncommitted.
    Commit,
    /// Merge a commit with the tip of the integration branch, aside.
    Merge {
        /// The commit.
        commit: CommitName,
    },
    /// Run the verification commands on a merge.
    Verify {
        /// The merge.
        commit: CommitName,
    },
    /// Move the integration branch, if it is where it was.
    Advance {
        /// Where it was.
        from: CommitName,
        /// Where it goes.
        to: CommitName,
    },
    /// Write the packet's `.DONE`.
    Finish,
    /// Write what people read: status files and the like.
    Publish {
        /// Which change of the view it shows at least.
        view: u64,
    },
    /// Remove the lane, whose content is reachable elsewhere.
    Remove {
        /// Which lane.
        lane: u32,
        /// What proves it; `None` if preparing the lane failed, so that nobody was
        /// ever in it.
        proof: Option<CommitName>,
    },
    /// Bring work to where the operator wants it.
    Integrate {
        /// Who asked for it.
        request: RequestId,
        /// The commit of the integration branch.
        commit: CommitName,
        /// Where to, and how.
        handover: Handover,
    },
}

/// The kinds of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the kind of the action of its name")]
pub enum Kind {
    Fence,
    Prepare,
    Start,
    Inject,
    Interrupt,
    Stop,
    Capture,
    Commit,
    Merge,
    Verify,
    Advance,
    Finish,
    Publish,
    Remove,
    Integrate,
}

/// What happens when nobody knows whether an effect was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// It is done again: twice is once.
    Redo,
    /// It is looked up, and done again if it was not done.
    LookUp,
    /// It is taken for lost; what follows does not depend on it.
    GiveUp,
    /// Somebody has to say.
    Ask,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 15] = [
        Self::Fence,
        Self::Prepare,
        Self::Start,
        Self::Inject,
        Self::Interrupt,
        Self::Stop,
        Self::Capture,
        Self::Commit,
        Self::Merge,
        Self::Verify,
        Self::Advance,
        Self::Finish,
        Self::Publish,
        Self::Remove,
        Self::Integrate,
    ];

    /// What happens when nobody knows whether it was done.
    #[must_use]
    pub const fn rule(self, receipts: Receipts) -> Rule {
        match (self, receipts) {
            (Self::Inject, Receipts::Dedupes)
            | (Self::Fence | Self::Stop | Self::Merge | Self::Verify | Self::Publish, _) => {
                Rule::Redo
            }
            (Self::Start | Self::Interrupt, _) => Rule::GiveUp,
            (Self::Inject, Receipts::Unprovable) => Rule::Ask,
            (Self::Inject, Receipts::Searchable)
            | (
                Self::Prepare
                | Self::Capture
                | Self::Commit
                | Self::Advance
                | Self::Finish
                | Self::Remove
                | Self::Integrate,
                _,
            ) => Rule::LookUp,
        }
    }

    /// How long it may take before the engine no longer believes in an answer.
    #[must_use]
    pub const fn patience(self) -> Duration {
        match self {
            Self::Fence | Self::Inject | Self::Interrupt | Self::Finish | Self::Publish => {
                Duration::from_secs(60)
            }
            Self::Start | Self::Stop | Self::Commit | Self::Advance => Duration::from_secs(300),
            Self::Prepare | Self::Capture | Self::Merge | Self::Remove | Self::Integrate => {
                Duration::from_secs(1800)
            }
            Self::Verify => Duration::from_secs(4 * 3600),
        }
    }

    /// The kind as a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fence => "fence",
            Self::Prepare => "prepare",
            Self::Start => "start",
            Self::Inject => "inject",
            Self::Interrupt => "interrupt",
            Self::Stop => "stop",
            Self::Capture => "capture",
            Self::Commit => "commit",
            Self::Merge => "merge",
            Self::Verify => "verify",
            Self::Advance => "advance",
            Self::Finish => "finish",
            Self::Publish => "publish",
            Self::Remove => "remove",
            Self::Integrate => "integrate",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Action {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Fence => Kind::Fence,
            Self::Prepare { .. } => Kind::Prepare,
            Self::Start { .. } => Kind::Start,
            Self::Inject { .. } => Kind::Inject,
            Self::Interrupt { .. } => Kind::Interrupt,
            Self::Stop { .. } => Kind::Stop,
            Self::Capture => Kind::Capture,
            Self::Commit => Kind::Commit,
            Self::Merge { .. } => Kind::Merge,
            Self::Verify { .. } => Kind::Verify,
            Self::Advance { .. } => Kind::Advance,
            Self::Finish => Kind::Finish,
            Self::Publish { .. } => Kind::Publish,
            Self::Remove { .. } => Kind::Remove,
            Self::Integrate { .. } => Kind::Integrate,
        }
    }
}

/// An effect that has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// Its id, the same however often it is tried.
    pub id: EffectId,
    /// What it is about.
    pub subject: Subject,
    /// What is done.
    pub action: Action,
    /// The record that intends it.
    pub intended: Sequence,
    /// The engine that started it last.
    pub epoch: Epoch,
    /// How often it was started, but for starts that only came after a death.
    pub tries: u32,
    /// How many engines have died while it was under way, or looked up.
    pub deaths: u32,
    /// How it stands.
    pub state: EffectState,
    /// Why it failed the last time, for people.
    pub trouble: Option<String>,
}

/// How an effect stands that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EffectState {
    /// It was started.
    Running {
        /// When.
        since: Time,
    },
    /// Nobody knows; it is being looked up.
    Seeking {
        /// Since when.
        since: Time,
    },
    /// It failed, and is tried again.
    Resting {
        /// Not before then.
        until: Time,
    },
    /// Somebody was asked.
    Waiting {
        /// The question.
        wait: WaitId,
    },
}

impl Effect {
    /// How often an effect is tried before somebody is asked.
    pub const TRIES_MAX: u32 = 4;

    /// How many engines may die at an effect before somebody is asked: far more than
    /// chance needs, and few enough that what kills its engine ends.
    pub const DEATHS_MAX: u32 = 20;

    /// Whether nobody can have done it before.
    #[must_use]
    pub const fn is_first(&self) -> bool {
        self.tries <= 1 && self.deaths == 0
    }

    /// Under which name the outside does it: the same key is the same deed.
    #[must_use]
    pub fn key(&self) -> String {
        let kind = self.action.kind();
        let attempt = self.subject.attempt.as_ref();
        match (&self.action, attempt) {
            (Action::Fence, None) => format!("{kind} {}", self.intended.0),
            (Action::Fence | Action::Prepare { .. } | Action::Remove { .. }, Some(attempt)) => {
                format!("{kind} {attempt}")
            }
            (
                Action::Start { conversation, .. }
                | Action::Interrupt { conversation }
                | Action::Stop { conversation },
                _,
            ) => format!("{kind} {conversation}"),
            (Action::Inject { conversation, message }, _) => {
                format!("{kind} {message} {conversation}")
            }
            (Action::Verify { commit }, _) => format!("{kind} {commit}"),
            (Action::Advance { from, to }, _) => format!("{kind} {from} {to}"),
            (Action::Publish { view }, _) => format!("{kind} {view}"),
            (Action::Integrate { request, .. }, _) => format!("{kind} {request}"),
            (Action::Finish, Some(attempt)) => format!("{kind} {}", attempt.unit),
            (
                Action::Capture
                | Action::Commit
                | Action::Merge { .. }
                | Action::Prepare { .. }
                | Action::Remove { .. }
                | Action::Finish,
                _,
            ) => format!("{kind} {}", self.id),
        }
    }
}

/// How an effect ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// Nobody acts under an earlier epoch, or for the attempt, any more.
    Fenced,
    /// The lane is there.
    Prepared {
        /// The tip that it was made from.
        base: CommitName,
    },
    /// The agent has taken its opening.
    Started,
    /// The agent has taken the message.
    Injected,
    /// The agent hears nothing before its turn is over, and has not got the message.
    Deferred,
    /// The agent was asked, or is not there.
    Interrupted,
    /// Nothing of it is left.
    Stopped,
    /// All that was in the lane is under a reference.
    Captured {
        /// The commit that holds it.
        commit: CommitName,
        /// Its tree: the same tree is no progress.
        tree: CommitName,
    },
    /// All that is in the lane is committed.
    Committed {
        /// The commit.
        commit: CommitName,
    },
    /// The merge is made.
    Merged {
        /// The tip that was merged with.
        base: CommitName,
        /// The merge.
        commit: CommitName,
    },
    /// The merge needs somebody's judgement.
    Conflict,
    /// The verification commands succeeded.
    Green,
    /// They failed.
    Red,
    /// The branch is where it should go.
    Advanced,
    /// The branch is somewhere else.
    Behind,
    /// `.DONE` is written.
    Finished,
    /// What people read is written.
    Published,
    /// The lane is gone.
    Removed,
    /// The lane holds what is nowhere else, and is still there.
    Unproved,
    /// The work is where the operator wants it.
    Integrated {
        /// The commit that is there now.
        commit: CommitName,
    },
    /// It was there already.
    Contained,
    /// Something of the operator's is in the way, and nothing of it was touched.
    InTheWay {
        /// What, for people.
        why: String,
    },
    /// There is no such branch, or no such remote.
    Nowhere {
        /// What is missing, for people.
        what: String,
    },
    /// It could not be done, and is not.
    Failed {
        /// Why, for people.
        why: String,
    },
    /// Nobody knows, and nothing that follows depends on it.
    GivenUp,
}

impl Outcome {
    /// Whether an action of that kind can end so.
    #[must_use]
    pub const fn fits(&self, kind: Kind) -> bool {
        match self {
            Self::Fenced => matches!(kind, Kind::Fence),
            Self::Prepared { .. } => matches!(kind, Kind::Prepare),
            Self::Started => matches!(kind, Kind::Start),
            Self::Injected | Self::Deferred => matches!(kind, Kind::Inject),
            Self::Interrupted => matches!(kind, Kind::Interrupt),
            Self::Stopped => matches!(kind, Kind::Stop),
            Self::Captured { .. } => matches!(kind, Kind::Capture),
            Self::Committed { .. } => matches!(kind, Kind::Commit),
            Self::Merged { .. } | Self::Conflict => matches!(kind, Kind::Merge),
            Self::Green | Self::Red => matches!(kind, Kind::Verify),
            Self::Advanced | Self::Behind => matches!(kind, Kind::Advance),
            Self::Finished => matches!(kind, Kind::Finish),
            Self::Published => matches!(kind, Kind::Publish),
            Self::Removed | Self::Unproved => matches!(kind, Kind::Remove),
            Self::Integrated { .. }
            | Self::Contained
            | Self::InTheWay { .. }
            | Self::Nowhere { .. } => matches!(kind, Kind::Integrate),
            Self::Failed { .. } => true,
            Self::GivenUp => matches!(
                kind,
                Kind::Start
                    | Kind::Interrupt
                    | Kind::Inject
                    | Kind::Prepare
                    | Kind::Commit
                    | Kind::Merge
                    | Kind::Verify
                    | Kind::Integrate
            ),
        }
    }
}

/// What looking an effect up has found. Nothing is still at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It was done.
    Done(Outcome),
    /// It was not done, and will not be.
    NotDone,
    /// It cannot be told.
    Unknown,
}
