//! What an engine acts on, and who carries which order out.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agents::Adapter;
use batch_api::{AttemptId, BatchId, CommitName, EffectId, Epoch, MessageId, RequestId, UnitId};
use batch_core::decide::Input;
use batch_core::effect::{Action, Effect, Found, Outcome};
use batch_core::state::State;
use batch_git::{GitError, Store};
use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use workspace::Engine;
use workspace_api::spec::EnvironmentRef;

use super::agent::{Agent, HostAgent, Hosted};
use super::cell::Cells;
use super::handover::LENT_MAX;
use super::projection::View;
use super::{AgentSetup, Door, LaneMode, Surroundings, lookup, told, worktree};
use crate::taskplane::Files;

/// Where a batch lives, and what its lanes are made of. It is written down when the
/// batch is made, so it holds nothing that is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// The batch.
    pub batch: BatchId,
    /// A directory of the batch's own. It is where this is found, so it is not written.
    #[serde(skip)]
    pub directory: PathBuf,
    /// The operator's checkout.
    pub operator: PathBuf,
    /// The commit that the batch begins with, by any name that it has there.
    pub base: String,
    /// What lanes start from.
    pub environment: EnvironmentRef,
    /// What does the work.
    pub agent: AgentSetup,
    /// Lines for the guest's shell that have to succeed on what is merged.
    pub verify: Vec<String>,
}

impl Setup {
    /// Whether anything of the batch runs in a machine.
    pub(crate) const fn needs_machines(&self) -> bool {
        !matches!(self.agent.lane, LaneMode::Worktree) || !self.verify.is_empty()
    }
}

/// How often an effect is looked up that cannot be.
const LOOKUPS_MAX: u32 = 20;

/// How long to wait before it is looked up again.
const LOOKUP_PAUSE: Duration = Duration::from_secs(1);

/// Threads that tasks run on. They wait for other programs nearly always.
const THREADS: usize = 2;

/// A failure, as the journal tells it.
pub(crate) type Trouble = Box<dyn std::error::Error + Send + Sync>;

/// What an engine acts on.
#[derive(Debug, Clone)]
pub struct World {
    pub(super) setup: Arc<Setup>,
    pub(super) agent: Arc<Agent>,
    pub(super) cells: Cells,
    pub(super) door: Door,
    runtime: Arc<Runtime>,
    /// The store, and under which epoch it is ours.
    store: Arc<Mutex<Option<(Epoch, Store)>>>,
    pub(super) taskplane: Arc<Mutex<Option<Files>>>,
    under_way: Arc<Mutex<BTreeMap<EffectId, UnderWay>>>,
    /// What requests may use of their clients' environments.
    lent: Arc<Mutex<BTreeMap<RequestId, Surroundings>>>,
    /// There once the engine has fenced its predecessors, if agents run on the host.
    hosted: Arc<Mutex<Option<Arc<Hosted>>>>,
}

/// What is at an effect.
#[derive(Debug)]
struct UnderWay {
    attempt: Option<AttemptId>,
    task: JoinHandle<()>,
}

impl World {
    /// A world whose news go through `door`.
    ///
    /// # Errors
    ///
    /// If there are no threads for it.
    pub fn new(setup: Setup, cells: Arc<Engine>, door: Door) -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("world")
            .enable_all()
            .build()?;
        let (setup, store) = (Arc::new(setup), Arc::new(Mutex::new(None)));
        let (cells, runtime) = (Cells(cells), Arc::new(runtime));
        let (taskplane, under_way, hosted) = (Arc::default(), Arc::default(), Arc::default());
        let lent = Arc::default();
        let agent = Arc::new(Agent::Guest(setup.agent.command.clone()));
        Ok(Self { setup, agent, cells, door, runtime, store, taskplane, under_way, lent, hosted })
    }

    /// The same world, with an agent that is a program on the host.
    #[must_use]
    pub fn with_host(self, agent: HostAgent) -> Self {
        let agent = match agent.adapter {
            Adapter::Command => Agent::Turns(agent),
            _ => Agent::Host(agent),
        };
        Self { agent: Arc::new(agent), ..self }
    }

    /// The batch.
    #[must_use]
    pub fn batch(&self) -> BatchId {
        self.setup.batch
    }

    /// Starts an effect. Its outcome comes through the door.
    pub(super) fn start(&self, epoch: Epoch, effect: Effect, state: &State) {
        let about = About::of(&effect, state);
        let world = self.clone();
        self.at(&effect.clone(), async move {
            let outcome = world.carry_out(epoch, &effect, about).await;
            let outcome =
                outcome.unwrap_or_else(|trouble| Outcome::Failed { why: told(&*trouble) });
            world.door.tell(Input::Outcome { effect: effect.id, outcome });
        });
    }

    /// Looks an effect up, of which nothing is under way any more.
    pub(super) fn find(&self, epoch: Epoch, effect: Effect, state: &State) {
        let about = About::of(&effect, state);
        let world = self.clone();
        self.at(&effect.clone(), async move {
            let mut found = lookup::find(&world, epoch, &effect, &about).await;
            // What the last engine had under way may still be ending: a workspace, say,
            // that was being made. Somebody is only asked if that does not pass.
            for _ in 1..LOOKUPS_MAX {
                let Err(trouble) = &found else { break };
                tracing::warn!(effect = %effect.id, trouble = told(&**trouble), "a look-up failed");
                tokio::time::sleep(LOOKUP_PAUSE).await;
                found = lookup::find(&world, epoch, &effect, &about).await;
            }
            let found = found.unwrap_or(Found::Unknown);
            world.door.tell(Input::Found { effect: effect.id, found });
        });
    }

    /// Has a task be at an effect, and nothing else: what was at it before is ended
    /// first. A stop ends whatever is still at its attempt: a start that was given up
    /// may be so slow that it would come after it.
    fn at(&self, effect: &Effect, task: impl Future<Output = ()> + Send + 'static) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let attempt = effect.subject.attempt.clone();
        let is_stop = matches!(effect.action, Action::Stop { .. });
        let ends = |id: &EffectId, other: &UnderWay| {
            *id == effect.id || is_stop && other.attempt == attempt
        };
        under_way.retain(|_, other| !other.task.is_finished());
        let before: Vec<UnderWay> =
            under_way.extract_if(.., |id, other| ends(id, other)).map(|(_, other)| other).collect();
        let task = self.runtime.spawn(async move {
            for UnderWay { task: before, .. } in before {
                before.abort();
                let _ = before.await;
            }
            task.await;
        });
        under_way.insert(effect.id, UnderWay { attempt, task });
    }

    async fn carry_out(
        &self,
        epoch: Epoch,
        effect: &Effect,
        about: About,
    ) -> Result<Outcome, Trouble> {
        match (&effect.action, &about.unit) {
            (Action::Fence, None) => self.own(epoch).await.map(|()| Outcome::Fenced),
            (Action::Fence, Some(unit)) => self.fence(unit).await,
            (Action::Publish { .. }, _) => {
                self.publish(about.view.as_ref().ok_or("there is nothing to publish")?)?;
                Ok(Outcome::Published)
            }
            (Action::Integrate { request, commit, handover }, _) => {
                self.check(epoch)?;
                self.integrate(request, commit, handover).await
            }
            (action, Some(unit)) => {
                // One that was replaced while it was stopped begins nothing more.
                self.check(epoch)?;
                self.of_unit(effect, action, unit).await
            }
            (action, None) => Err(format!("`{}` is about no unit", action.kind()).into()),
        }
    }

    async fn of_unit(
        &self,
        effect: &Effect,
        action: &Action,
        unit: &AboutUnit,
    ) -> Result<Outcome, Trouble> {
        match action {
            Action::Prepare { carry, .. } => self.prepare(unit, carry.as_ref()).await,
            Action::Start { conversation, opening } => {
                self.open(effect, unit, conversation, opening).await
            }
            Action::Inject { conversation, message } => {
                self.inject(effect, unit, conversation, *message).await
            }
            Action::Interrupt { conversation } => self.interrupt(unit, conversation).await,
            Action::Stop { conversation } => self.stop(unit, conversation).await,
            Action::Capture => self.capture(effect, unit).await,
            Action::Commit => self.commit(unit).await,
            Action::Merge { commit } => self.merge(unit, commit).await,
            Action::Verify { commit } => self.verify(effect, unit, commit).await,
            Action::Advance { from, to } => self.advance(from, to).await,
            Action::Finish => {
                self.finish(unit)?;
                Ok(Outcome::Finished)
            }
            Action::Remove { proof, .. } => self.remove(unit, proof.as_ref()).await,
            Action::Fence | Action::Publish { .. } | Action::Integrate { .. } => {
                Err("it is not about a unit".into())
            }
        }
    }

    /// Takes the store over, or makes it.
    async fn own(&self, epoch: Epoch) -> Result<(), Trouble> {
        let stores = self.setup.directory.join("repository");
        let store = Store::create(&stores, epoch, &self.setup.operator, &self.setup.base).await?;
        *self.store.lock().unwrap_or_else(PoisonError::into_inner) = Some((epoch, store));
        worktree::sweep(&self.setup.directory);
        if let Some(agent) = self.agent.host()
            && self.hosted().is_err()
        {
            let begun = Hosted::begin(&self.setup.directory, epoch, agent).await?;
            *self.hosted.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(begun));
        }
        Ok(())
    }

    /// Keeps what a request may use of its client's environment.
    pub(super) fn lend(&self, request: RequestId, surroundings: Surroundings) {
        let mut lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        if lent.len() >= LENT_MAX {
            lent.pop_first();
        }
        lent.insert(request, surroundings);
    }

    pub(super) fn lent(&self, request: &RequestId) -> Option<Surroundings> {
        self.lent.lock().unwrap_or_else(PoisonError::into_inner).get(request).cloned()
    }

    /// The engine's agents on the host, once it has fenced its predecessors.
    pub(super) fn hosted(&self) -> Result<Arc<Hosted>, Trouble> {
        let hosted = self.hosted.lock().unwrap_or_else(PoisonError::into_inner);
        hosted.clone().ok_or_else(|| "no agent can be on the host before the fence".into())
    }

    /// The store, which is there once the engine has fenced its predecessors.
    pub(super) fn store(&self) -> Result<Store, GitError> {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let store = store.as_ref().map(|(_, store)| store.clone());
        store.ok_or_else(|| GitError::NotOwned { path: self.setup.directory.clone() })
    }

    /// The epoch of this engine, once it has fenced its predecessors.
    pub(super) fn epoch(&self) -> Result<Epoch, GitError> {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let epoch = store.as_ref().map(|(epoch, _)| *epoch);
        epoch.ok_or_else(|| GitError::NotOwned { path: self.setup.directory.clone() })
    }

    /// Fails unless the engine of that epoch still owns the batch.
    pub(super) fn check(&self, epoch: Epoch) -> Result<(), GitError> {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        match &*store {
            Some((owner, store)) if *owner == epoch => store.check_owner(),
            _ => Err(GitError::NotOwned { path: self.setup.directory.clone() }),
        }
    }
}

/// What an order is about, as it was known when it was given.
#[derive(Debug)]
pub(super) struct About {
    pub(super) unit: Option<AboutUnit>,
    /// What is published, if that is what is asked for.
    view: Option<View>,
}

/// A unit, as far as its effects have to know it.
#[derive(Debug)]
pub(super) struct AboutUnit {
    pub(super) unit: UnitId,
    pub(super) attempt: AttemptId,
    /// The packet's directory.
    pub(super) home: PathBuf,
    pub(super) captured: Option<CommitName>,
    /// What the agent is told, in its order.
    pub(super) messages: Vec<String>,
    /// What it was told before in the same conversation, and has not answered.
    pub(super) in_force: Vec<String>,
}

impl AboutUnit {
    /// All that a program is told which knows nothing of an earlier turn, as whole lines.
    pub(super) fn told(&self) -> String {
        let mut told = [&*self.in_force, &*self.messages].concat().join("\n\n---\n\n");
        if !told.is_empty() {
            told.push('\n');
        }
        told
    }
}

impl About {
    fn of(effect: &Effect, state: &State) -> Self {
        let unit = effect.subject.unit.as_ref().and_then(|id| state.units.get(id)).map(|unit| {
            let attempt = unit.attempt_id();
            AboutUnit {
                unit: unit.id().clone(),
                attempt: effect.subject.attempt.clone().unwrap_or(attempt),
                home: PathBuf::from(&unit.spec.home),
                captured: unit.captured.as_ref().map(|capture| capture.commit.clone()),
                messages: messages(&effect.action)
                    .iter()
                    .filter_map(|message| state.mail.get(message))
                    .map(|mail| told::told(mail, unit.id(), state))
                    .collect(),
                in_force: told::in_force(&effect.action, unit.id(), state),
            }
        });
        let is_view = matches!(effect.action, Action::Publish { .. });
        Self { unit, view: is_view.then(|| View::of(state)) }
    }
}

/// The messages that an action gives to an agent.
fn messages(action: &Action) -> &[MessageId] {
    match action {
        Action::Start { opening, .. } => opening,
        Action::Inject { message, .. } => std::slice::from_ref(message),
        _ => &[],
    }
}

/// An error with its causes, in one line.
pub(crate) fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    // A line break separates words.
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().filter(|c| !c.is_control()).take(1000).collect()
}
