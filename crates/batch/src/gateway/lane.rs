//! A lane as its agent reaches it: who calls, whether he still may, and in what.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use agents::Habits;
use batch_api::{Actor, AttemptId, ConversationId, Epoch};
use batch_core::decide::{Command, Input, Observation};
use batch_core::fact::Reply;
use batch_core::unit::Usage;
use batch_git::Store;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use workspace_api::spec::Variable;

use super::tools::{self, Answer, Row, Sessions};
use crate::engine::cell::Cell;
use crate::engine::{Door, PACKET, Request, Trouble};

/// Most calls of one agent at once; more of them wait.
const CALLS_MAX: usize = 16;

/// How long calls may take to end, once their attempt is fenced: they are waiting for
/// nothing but the guest's answer by then.
const FENCE_TIMEOUT: Duration = Duration::from_secs(20);

/// How long the engine may take to decide on what an agent says to it.
const DECISION_TIMEOUT: Duration = Duration::from_secs(30);

/// Commits of an agent's are told apart from those of people.
pub(crate) const AUTHOR: [(&str, &str); 4] = [
    ("GIT_AUTHOR_NAME", "Agent"),
    ("GIT_AUTHOR_EMAIL", "agent@localhost"),
    ("GIT_COMMITTER_NAME", "Agent"),
    ("GIT_COMMITTER_EMAIL", "agent@localhost"),
];

/// Where a conversation's calls go, and on whose behalf.
#[derive(Debug)]
pub(crate) struct Lane {
    conversation: ConversationId,
    epoch: Epoch,
    /// Where the agent's hands are, and which tools its model knows; none if they are its
    /// own.
    hands: Option<(Cell, Habits)>,
    /// Programs that it goes on with.
    pub(super) sessions: Sessions,
    /// Tells whether this engine still owns the batch.
    store: Store,
    door: Door,
    fenced: CancellationToken,
    under_way: TaskTracker,
    free: Semaphore,
    /// Whether the agent has been told something that it has not read yet.
    message_waits: watch::Sender<bool>,
    /// Counts what the agent said to the engine.
    said: AtomicU64,
}

/// Why a call is not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("this attempt is over: nothing that it calls is carried out any more")]
    Fenced,
    #[error("this engine was replaced by another one: nothing is carried out any more")]
    Stale,
    #[error("the call was cancelled; what it began in the background goes on")]
    Cancelled,
}

impl Lane {
    pub(crate) fn new(
        conversation: ConversationId,
        epoch: Epoch,
        hands: Option<(Cell, Habits)>,
        store: Store,
        door: Door,
    ) -> Self {
        Self {
            conversation,
            epoch,
            hands,
            sessions: Sessions::default(),
            store,
            door,
            fenced: CancellationToken::new(),
            under_way: TaskTracker::new(),
            free: Semaphore::new(CALLS_MAX),
            message_waits: watch::Sender::new(false),
            said: AtomicU64::new(0),
        }
    }

    /// The machine that its agent's hands are in.
    pub(super) fn cell(&self) -> Result<&Cell, Trouble> {
        let hands = self.hands.as_ref().map(|(cell, _)| cell);
        hands.ok_or_else(|| "this agent has hands of its own".into())
    }

    /// Whether its agent has hands of its own.
    pub(crate) const fn has_own_hands(&self) -> bool {
        self.hands.is_none()
    }

    /// The tools that there are.
    pub(super) fn tools(&self) -> &'static [Row] {
        tools::of(self.hands.as_ref().map(|(_, habits)| *habits))
    }

    pub(super) fn conversation(&self) -> &ConversationId {
        &self.conversation
    }

    pub(super) fn attempt(&self) -> &AttemptId {
        &self.conversation.agent.attempt
    }

    /// Cancelled when the attempt is fenced.
    pub(super) fn fenced(&self) -> CancellationToken {
        self.fenced.clone()
    }

    /// Refuses every call from here on, and waits for the end of those under way.
    pub(super) async fn fence(&self) {
        self.fenced.cancel();
        self.under_way.close();
        if timeout(FENCE_TIMEOUT, self.under_way.wait()).await.is_err() {
            tracing::warn!(conversation = %self.conversation, "calls do not end");
        }
    }

    /// Says whether a message waits for the agent; long calls end early then.
    pub(crate) fn set_message_waits(&self, waits: bool) {
        self.message_waits.send_replace(waits);
    }

    /// Variables for the commands of the agent.
    pub(super) fn variables(&self) -> Result<Vec<Variable>, Trouble> {
        let task = &self.attempt().unit.task;
        let variables = [
            format!("BATCH_PACKET={PACKET}"),
            format!("BATCH_TASK={task}"),
            format!("BATCH_CONVERSATION={}", self.conversation),
        ];
        let author = AUTHOR.map(|(name, value)| format!("{name}={value}"));
        let variables = variables.iter().chain(&author);
        Ok(variables.map(|text| text.parse()).collect::<Result<_, _>>()?)
    }

    /// Returns when a message waits for the agent.
    pub(super) async fn until_message(&self) {
        let mut waits = self.message_waits.subscribe();
        // The sender is in `self`, so it does not go away meanwhile.
        let _ = waits.wait_for(|waits| *waits).await;
    }

    /// Carries a call out, if the agent still may call.
    pub(super) async fn call(
        self: &Arc<Self>,
        row: &Row,
        arguments: Value,
        cancelled: CancellationToken,
    ) -> Answer {
        let _under_way = self.under_way.token();
        let Ok(_free) = self.free.acquire().await else { return Refusal::Fenced.into() };
        if let Err(refusal) = self.check() {
            return refusal.into();
        }
        tracing::info!(conversation = %self.conversation, epoch = self.epoch.0, tool = row.name, "call");
        // Of one with hands of its own every call is told by itself.
        if !self.has_own_hands() {
            self.observe(Observation::Used { usage: Usage { calls: 1, ..Usage::default() } });
        }
        let answer = tokio::select! {
            biased;
            () = self.fenced.cancelled() => Refusal::Fenced.into(),
            () = cancelled.cancelled() => Refusal::Cancelled.into(),
            answer = (row.call)(self, arguments) => answer,
        };
        // An engine that was stopped in the middle of a call tells nothing more.
        self.check().map_or_else(Into::into, |()| answer)
    }

    fn check(&self) -> Result<(), Refusal> {
        if self.fenced.is_cancelled() {
            return Err(Refusal::Fenced);
        }
        self.store.check_owner().map_err(|_| Refusal::Stale)
    }

    fn observe(&self, observation: Observation) {
        let conversation = self.conversation.clone();
        self.door.tell(Input::Observed { conversation, observation });
    }

    /// Says something to the engine in the agent's name, and what it answers.
    pub(super) async fn say(&self, command: Command) -> Result<Reply, Trouble> {
        let number = self.said.fetch_add(1, Ordering::Relaxed);
        let name = Sha256::digest(format!("{} {} {number}", self.conversation, self.epoch.0));
        let name: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
        let (answer, answered) = sync_channel(1);
        let actor = Actor::Agent(self.conversation.agent.clone());
        let request = Request { request: name.parse()?, actor, command, answer };
        let door = self.door.clone();
        let asked = tokio::task::spawn_blocking(move || {
            door.ask(request).then(|| answered.recv_timeout(DECISION_TIMEOUT).ok()).flatten()
        });
        asked.await?.ok_or_else(|| "the engine did not answer".into())
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        Self::Failed(refusal.to_string())
    }
}
