//! What agents and verification have said and printed, kept as traces.
//!
//! ```text
//! said ──▶ secrets hidden ──▶ kept, durable ──▶ told: a fact names it ──▶ the outcome
//! ```
//!
//! A trace is kept before it is told, and told before the outcome of what printed it: so a
//! fact never names what was not kept, and an effect that has ended has told what it kept.
//! A SIGKILL before that leaves a trace that no fact names, which is pruned in its turn;
//! what is done again keeps it again. One that cannot be kept stops no work.

use batch_api::{AttemptId, ConversationId, EffectId};
use batch_core::decide::Input;
use batch_core::trace::{Source, Trace};
use redaction::{Redactor, Secrets};
use workspace_api::run::CommandResult;

use super::world::{World, told};
use crate::journal::{JournalError, SqliteJournal, TRACE_BYTES_MAX};

/// Most bytes of all traces of a batch; the oldest go first.
const TRACES_BYTES_MAX: u64 = 512 * 1024 * 1024;

impl World {
    /// Keeps what an agent was told and has said.
    pub(super) fn keep_transcript(&self, conversation: &ConversationId, said: Vec<u8>) {
        let of = Source::Transcript { conversation: conversation.clone() };
        self.keep(&conversation.agent.attempt, said, of, 0);
    }

    /// Keeps what a line of verification has printed.
    pub(super) fn keep_verification(
        &self,
        attempt: &AttemptId,
        effect: EffectId,
        line: &str,
        done: &CommandResult,
    ) {
        let CommandResult { stdout, stderr, exit_code, .. } = done;
        let ending = format!("\nexit code {exit_code}\n");
        let printed =
            [b"$ ", line.as_bytes(), b"\n", &stdout.tail.0, &stderr.tail.0, ending.as_bytes()];
        let cut = stdout.omitted_bytes + stderr.omitted_bytes;
        self.keep(attempt, printed.concat(), Source::Verification { effect }, cut);
    }

    fn keep(&self, attempt: &AttemptId, content: Vec<u8>, of: Source, cut_bytes: u64) {
        if content.is_empty() {
            return;
        }
        let (content, more) = self.presentable(content);
        let store = SqliteJournal::traces_in(&self.setup.directory);
        let kept = store.keep(&content).and_then(|digest| {
            store.shrink(TRACES_BYTES_MAX)?;
            Ok::<_, JournalError>(digest)
        });
        match kept {
            Ok(digest) => {
                let (bytes, cut_bytes) = (content.len() as u64, cut_bytes + more);
                let trace = Trace { digest, bytes, of, cut_bytes };
                self.door.tell(Input::Traced { attempt: attempt.clone(), trace });
            }
            Err(error) => {
                tracing::warn!(%attempt, error = told(&error), "a trace is not kept");
            }
        }
    }

    /// A trace without the credentials of agents, and no longer than it may be: the end
    /// counts. How many bytes were cut off.
    fn presentable(&self, content: Vec<u8>) -> (Vec<u8>, u64) {
        let mut hidden = match self.secrets() {
            Some(secrets) => hide(secrets, &content),
            None => content,
        };
        let more = hidden.len().saturating_sub(TRACE_BYTES_MAX);
        hidden.drain(..more);
        (hidden, more as u64)
    }

    /// The credentials of agents, as far as they can be hidden.
    pub(super) fn secrets(&self) -> Option<Secrets> {
        let pairs = self.agent.host()?.credentials.pairs();
        // Shorter ones cannot be told from other text.
        let fits = |value: &str| (Secrets::VALUE_MIN..=Secrets::VALUE_MAX).contains(&value.len());
        let pairs = pairs.iter().filter(|(_, value)| fits(value));
        Secrets::new(pairs.map(|(name, value)| (name.as_str(), value.as_bytes()))).ok()
    }
}

/// A text with secrets hidden.
pub(crate) fn hide(secrets: Secrets, content: &[u8]) -> Vec<u8> {
    let mut redactor = Redactor::new(secrets);
    let mut hidden = redactor.push(content);
    hidden.extend(redactor.finish());
    hidden
}
