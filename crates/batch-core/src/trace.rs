//! Traces: what was said and printed. It is kept by its digest beside the journal, and
//! nothing is ever decided by it: a trace can be pruned or redacted, and the facts that
//! name it, and their chain, stay as they are.

use batch_api::{ConversationId, EffectId};
use serde::{Deserialize, Serialize};

use crate::journal::Digest;

/// A trace that was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trace {
    /// The digest of what was kept.
    pub digest: Digest,
    /// How many bytes that has.
    pub bytes: u64,
    /// What it is.
    pub of: Source,
    /// How many bytes more there were, which are not kept.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cut_bytes: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Where a trace comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// What an agent has said, as its program says it.
    Transcript {
        /// In which conversation.
        conversation: ConversationId,
    },
    /// What the verification commands have printed.
    Verification {
        /// The effect.
        effect: EffectId,
    },
}
