//! The contract of batches: the words that the engine, its journal and people
//! share. No I/O, no clock.
//!
//! * [`id`]: who and what is spoken of.
//! * [`actor`]: who speaks.
//! * [`task`]: what a task is, in the words of its packet.

pub mod actor;
pub mod id;
pub mod task;
mod text;

pub use actor::{Actor, Name};
pub use id::{
    AgentId, AttemptId, BatchId, CommitName, ConversationId, EffectId, Epoch, MessageId,
    RepositoryName, RequestId, Role, Sequence, TaskId, UnitId, WaitId,
};
pub use task::{AreaName, ReviewLevel, ScopePattern, Size};
