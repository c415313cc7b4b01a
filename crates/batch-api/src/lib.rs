//! The contract of batches: the words that the engine, its journal and people
//! share. No I/O, no clock.
//!
//! * [`id`]: who and what is spoken of.
//! * [`actor`]: who speaks.
//! * [`init`], [`plan`], [`control`], [`processes`], [`agents`]: operations; the table of them is [`operations`].
//! * [`init`], [`plan`], [`control`], [`mailbox`], [`mod@export`], [`processes`]: operations; the table of them is [`operations`].
//! * [`trace`]: what was said and printed.
//! * [`task`]: what a task is, in the words of its packet.

pub mod actor;
pub mod agents;
pub mod control;
pub mod export;
pub mod id;
pub mod init;
pub mod limits;
pub mod mailbox;
pub mod plan;
pub mod processes;
pub mod task;
mod text;
pub mod trace;

use operation::cli::Noun;

pub use actor::{Actor, Name};
pub use id::{
    AgentId, AttemptId, BatchId, CommitName, ConversationId, EffectId, Epoch, MessageId,
    RepositoryName, RequestId, Role, Sequence, TaskId, UnitId, WaitId,
};
pub use task::{AreaName, ReviewLevel, ScopePattern, Size};

operation::operations! {
    /// Implemented by whatever carries out every operation on batches.
    BatchOperations:
    init::Init,
    plan::Plan,
    control::start::Start,
    control::status::Status,
    control::status::List,
    control::change::Pause,
    control::change::Resume,
    control::change::Abort,
    control::change::Retry,
    control::change::Skip,
    mailbox::send::Send,
    mailbox::send::Broadcast,
    mailbox::send::Answer,
    mailbox::inbox::Inbox,
    mailbox::replies::Replies,
    export::Export,
    control::integrate::Integrate,
    control::events::Events,
    control::doctor::Doctor,
    trace::Traces,
    trace::Trace,
    trace::Prune,
    trace::Redact,
    processes::Processes,
    agents::Agents,
}

/// The nouns of the operations' names, and their help.
pub const NOUNS: &[Noun] =
    &[Noun { name: "batch", about: "Many agents on a graph of tasks, unattended" }];
