//! What the journal of a batch is made of. A fact says what happened and never
//! what follows: that is decided once, and written down as further facts. So the
//! state is folded without any policy, and an engine with other rules folds an
//! old journal to the same state.

use batch_api::{CommitName, EffectId, MessageId, RequestId, WaitId};
use serde::{Deserialize, Serialize};

use crate::effect::{Action, Outcome};
use crate::integration::Handover;
use crate::journal::Digest;
use crate::mail::{Message, Receipt};
use crate::spec::BatchSpec;
use crate::state::{Ending, Halt};
use crate::time::Time;
use crate::trace::Trace;
use crate::unit::{Answer, Class, Goal, Phase, Status, Usage, Wait};

/// One fact. What it is about is in the subject of its record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fact {
    /// An engine took over, under the epoch of the record.
    EngineStarted,
    /// The batch is to be this.
    Planned {
        /// What.
        spec: Box<BatchSpec>,
    },
    /// A request was answered; repeated, it gets the same answer.
    Answered {
        /// The client's name for it.
        request: RequestId,
        /// The digest of the command: another one under the same name is refused.
        command: Digest,
        /// The answer.
        reply: Reply,
    },
    /// The batch stands still, or goes on.
    Halted {
        /// Why; `None` if it goes on.
        halt: Option<Halt>,
    },
    /// The provider takes nothing before then.
    Limited {
        /// When.
        until: Time,
    },
    /// The batch is over, until somebody has a unit tried again.
    BatchEnded {
        /// How.
        ending: Ending,
    },
    /// A unit entered a phase.
    Moved {
        /// Which.
        to: Phase,
    },
    /// A unit began an attempt in a lane.
    Began {
        /// The lane.
        lane: u32,
    },
    /// A unit's failure was counted; it rests.
    Failure {
        /// Its class.
        class: Class,
        /// Until when.
        rest_until: Time,
    },
    /// A unit will be given up as soon as that is possible.
    Doomed {
        /// What becomes of it.
        goal: Goal,
    },
    /// A unit may use as much again.
    Granted,
    /// A unit that was over is tried again.
    Revived,
    /// Work is to be brought to where the operator wants it.
    Requested {
        /// The name of the request.
        request: RequestId,
        /// The tip of the integration branch when it was asked for.
        commit: CommitName,
        /// Where to, and how.
        handover: Handover,
    },
    /// An effect is intended.
    Intended {
        /// Its id.
        effect: EffectId,
        /// What.
        action: Action,
    },
    /// Nobody knows whether an effect was done; it is looked up.
    Sought {
        /// Which.
        effect: EffectId,
        /// How many engines have died at it.
        #[serde(default, skip_serializing_if = "is_zero")]
        deaths: u32,
    },
    /// An effect failed, and is tried again.
    Postponed {
        /// Which.
        effect: EffectId,
        /// Not before then.
        until: Time,
        /// Why, for people.
        why: String,
    },
    /// An effect waits for somebody.
    Blocked {
        /// Which.
        effect: EffectId,
        /// The question.
        wait: WaitId,
    },
    /// An effect was started again, under the same key.
    Restarted {
        /// Which.
        effect: EffectId,
        /// How often it was started, with this one; not counted is what only comes
        /// after a death.
        tries: u32,
        /// How many engines have died at it.
        #[serde(default, skip_serializing_if = "is_zero")]
        deaths: u32,
    },
    /// An effect ended.
    Ended {
        /// Which.
        effect: EffectId,
        /// How.
        outcome: Outcome,
    },
    /// An agent's packet was read.
    StatusRead {
        /// What it claims.
        status: Status,
    },
    /// An agent used something: progress.
    Used {
        /// How much more.
        usage: Usage,
    },
    /// A unit's agent hears nothing before then, or before its turn is over.
    Deaf {
        /// When it is tried again.
        until: Time,
    },
    /// An agent was kept from ending its turn early, or told to wrap up.
    Nudged {
        /// What for.
        nudge: Nudge,
    },
    /// A message was accepted.
    Mailed {
        /// The message.
        message: Message,
    },
    /// A message came further with the unit.
    Receipted {
        /// The message.
        message: MessageId,
        /// How far.
        receipt: Receipt,
    },
    /// Somebody has to answer something.
    WaitOpened {
        /// What, whom, until when.
        wait: Wait,
    },
    /// It was answered, or its default was taken.
    WaitClosed {
        /// Which.
        wait: WaitId,
        /// With what.
        answer: Answer,
    },
    /// Something that was said or printed is kept, as a trace. Nothing depends on it.
    Traced {
        /// What, and where it is found.
        trace: Trace,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// What the engine says to an agent of its own accord.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nudge {
    /// There is more to do.
    Continue,
    /// The context is nearly full.
    WrapUp,
}

/// What a command is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Reply {
    /// It is in the journal.
    Accepted,
    /// The message is in the journal.
    Mailed {
        /// Its id.
        message: MessageId,
    },
    /// It was refused, and nothing has changed.
    Refused {
        /// Why.
        refusal: Refusal,
    },
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Refusal {
    /// Another command has that name.
    #[error("the request was used before, for something else")]
    RequestReused,
    /// It is not for this actor to say.
    #[error("this is not for whoever asked to decide")]
    NotAllowed,
    /// The batch is planned already.
    #[error("the batch has been started before")]
    Started,
    /// There is no batch yet.
    #[error("the batch has not been started")]
    NotStarted,
    /// It cannot be run.
    #[error("the batch cannot be run: {why}")]
    Spec {
        /// Why.
        why: String,
    },
    /// No such unit, or none that can receive it.
    #[error("there is no such unit to speak of")]
    NoUnit,
    /// No such wait is open.
    #[error("nothing waits for that")]
    NoWait,
    /// The message does not answer anything that is in force.
    #[error("there is no such message to answer")]
    NoMessage,
    /// The unit is where this makes no sense.
    #[error("the unit is not where this is possible")]
    WrongPhase,
    /// Too many at once.
    #[error("too many messages are under way")]
    TooMany,
    /// Nobody reads what is sent there.
    #[error("no agent of the batch has that role")]
    NoAgent,
    /// Such a message cannot be sent, or not there.
    #[error("a message of that kind cannot be sent there")]
    WrongKind,
    /// There is nothing to bring anywhere.
    #[error("there is no integration branch yet")]
    NothingMerged,
}
