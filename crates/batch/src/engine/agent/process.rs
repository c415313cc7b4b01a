//! Agents that are programs of the host, with their hands in their lane.
//!
//! ```text
//!           open                     opening taken
//!  nothing ──────▶ process in custody ───────────▶ at work ──▶ gone by itself
//!                     │ conversing: lines ⇄ events   │ stop
//!                     └──────────────────────────────┴──▶ killed, and seen to be
//! ```
//!
//! **Owner.** [`Hosted`]: one per engine and epoch, begun when the engine fences its
//! predecessors. Custody proves first that nothing of theirs is left. Each process has a
//! task that converses with it, reached by orders.
//! **SIGKILL** of the engine ends the agent by its warden, at once; the next engine sees
//! to it, and no agent is adopted. Its calls fail, as the gateway is gone. Of a message
//! that was on its way it is looked up in the agent's own records whether it arrived.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agents::{Gateway as Server, Said, Task};
use batch_api::{AttemptId, ConversationId, Epoch, MessageId};
use batch_core::effect::{Effect, Found, Outcome};
use tokio::sync::{OnceCell, RwLock, mpsc, oneshot};
use tokio::time::timeout;

use super::super::claims;
use super::super::world::{AboutUnit, Trouble, World};
use super::Packet;
use super::adapter::HostAgent;
use super::conversing::{Conversing, Order};
use super::opening;
use super::place::{Place, key};
use crate::custody::{Custodian, Held, Holding, Limits, Order as ProcessOrder};
use crate::gateway::{BRIDGE_SUBCOMMAND, Gateway, Lane};

/// What agents call their server of tools.
const SERVER: &str = "hotcell";

/// Most orders to an agent that wait.
const ORDERS_MAX: usize = 16;

/// How long an agent may take to read its opening.
const OPENING_TIMEOUT: Duration = Duration::from_secs(120);

/// The registry of processes in a batch's directory.
pub(crate) const CUSTODY: &str = "custody";

/// What an engine has of its agents on the host.
#[derive(Debug)]
pub(crate) struct Hosted {
    epoch: Epoch,
    custodian: Custodian,
    gateway: Gateway,
    at_work: Mutex<BTreeMap<ConversationId, mpsc::Sender<Order>>>,
    /// Whether the agent is proved to keep its hands in a lane.
    proved: OnceCell<()>,
    /// Held by every start until its process can be reached.
    starting: RwLock<()>,
}

impl Hosted {
    /// Takes the batch's processes over, ends what earlier engines left, and lets
    /// agents reach their lanes.
    pub(crate) async fn begin(
        directory: &Path,
        epoch: Epoch,
        agent: &HostAgent,
    ) -> Result<Self, Trouble> {
        let gateway = Gateway::open(directory, epoch)?;
        let registry = directory.join(CUSTODY);
        let holding = Holding::detect(&registry, &agent.search_path)?;
        let program = agent.hotcell.clone();
        let (custodian, settled) = Custodian::begin(&registry, epoch, holding, program).await?;
        for left in settled {
            tracing::info!(?left, "an earlier engine's process was seen to");
        }
        let (at_work, starting) = (Mutex::default(), RwLock::default());
        Ok(Self { epoch, custodian, gateway, at_work, proved: OnceCell::new(), starting })
    }

    pub(super) async fn fence(&self, attempt: &AttemptId) {
        self.gateway.fence(attempt).await;
    }

    /// Starts an agent's process, which can be reached by orders from then on. A start
    /// that nobody waits for any more goes on to its end, so that nothing is half begun
    /// when a stop comes.
    async fn start(
        self: &Arc<Self>,
        conversation: &ConversationId,
        order: ProcessOrder,
    ) -> Result<(Held, mpsc::Receiver<Order>), Trouble> {
        let (hosted, conversation) = (Arc::clone(self), conversation.clone());
        let begun = tokio::spawn(async move {
            let _starting = hosted.starting.read().await;
            let held = hosted.custodian.start(order).await?;
            let (orders, inbox) = mpsc::channel(ORDERS_MAX);
            hosted.all().insert(conversation, orders);
            Ok::<_, Trouble>((held, inbox))
        });
        begun.await?
    }

    /// Ends an agent's process, if there is one, and proves it.
    pub(super) async fn stop(&self, conversation: &ConversationId) -> Result<(), Trouble> {
        drop(self.starting.write().await);
        let Some(orders) = self.orders(conversation) else { return Ok(()) };
        let (answer, answered) = oneshot::channel();
        // One whose task has ended is proved gone.
        if orders.send(Order::Stop(answer)).await.is_ok()
            && let Ok(stopped) = answered.await
        {
            stopped?;
        }
        self.all().remove(conversation);
        Ok(())
    }

    fn orders(&self, conversation: &ConversationId) -> Option<mpsc::Sender<Order>> {
        self.all().get(conversation).cloned()
    }

    fn all(&self) -> std::sync::MutexGuard<'_, BTreeMap<ConversationId, mpsc::Sender<Order>>> {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    pub(super) async fn open_on_host(
        &self,
        agent: &HostAgent,
        effect: &Effect,
        unit: &AboutUnit,
        conversation: &ConversationId,
    ) -> Result<Outcome, Trouble> {
        let (lane, hosted) = (self.existing(unit).await?, self.hosted()?);
        hosted.proved.get_or_try_init(|| agent.prove()).await?;
        // What an earlier context left running would work beside ours.
        self.kill_all(&lane).await?;
        self.give_reviews(&lane, &unit.home).await?;
        let packet = Packet { prompt: claims::prompt(&unit.home)?, home: unit.home.clone() };
        let place = Place::of(&self.setup.directory, conversation);
        place.make(conversation)?;
        let (store, door) = (self.store()?, self.door.clone());
        let hands =
            Arc::new(Lane::new(conversation.clone(), hosted.epoch, lane.clone(), store, door));
        hosted.gateway.admit(Arc::clone(&hands), &place.pass())?;
        let server = Server {
            name: SERVER.to_owned(),
            program: agent.hotcell.clone(),
            arguments: vec![
                BRIDGE_SUBCOMMAND.to_owned(),
                place.pass().to_string_lossy().into_owned(),
            ],
            variables: Vec::new(),
        };
        let instructions = opening::instructions(&lane).await?;
        let task = Task {
            program: &agent.program,
            directory: &place.directory(),
            home: &place.home(),
            model: Some(&agent.model),
            instructions: &instructions,
            gateway: &server,
            resume: None,
        };
        let (launch, dialogue) = agent.adapted(&task);
        for file in &launch.files {
            Place::write(&file.path, &file.content)?;
        }
        let order = ProcessOrder {
            key: format!("{}-{}", effect.id, effect.tries).parse()?,
            label: format!("worker of {}", unit.unit).parse()?,
            program: agent.program.clone(),
            environment: agent.environment(&launch)?,
            arguments: launch.arguments,
            directory: place.directory(),
            limits: Limits::default(),
            stderr: place.stderr(),
        };
        let (held, inbox) = hosted.start(conversation, order).await?;
        let first = Said { key: key(conversation, None), text: opening::first(unit) };
        let (opened, is_open) = oneshot::channel();
        let conversing = Conversing::new(
            self.clone(),
            (lane, hands),
            (conversation.clone(), packet, agent.window()),
            (held, dialogue, place),
            (inbox, opened),
        )?;
        tokio::spawn(conversing.run(first));
        match timeout(OPENING_TIMEOUT, is_open).await {
            Ok(Ok(())) => Ok(Outcome::Started),
            Ok(Err(_)) => Err("the agent ended before it had read anything".into()),
            Err(_) => Err("the agent did not read what it was told".into()),
        }
    }

    pub(super) async fn inject_on_host(
        &self,
        unit: &AboutUnit,
        conversation: &ConversationId,
        message: MessageId,
    ) -> Result<Outcome, Trouble> {
        let text = unit.messages.first().ok_or("the message is gone")?.clone();
        let said = Said { key: key(conversation, Some(message)), text };
        let orders = self.hosted()?.orders(conversation).ok_or("the agent is gone")?;
        let (answer, answered) = oneshot::channel();
        orders.send(Order::Say { said, message, answer }).await?;
        answered.await??;
        Ok(Outcome::Injected)
    }

    pub(super) async fn interrupt_on_host(
        &self,
        conversation: &ConversationId,
    ) -> Result<Outcome, Trouble> {
        // The stop that follows does not ask.
        if let Some(orders) = self.hosted()?.orders(conversation) {
            let _ = orders.send(Order::Interrupt).await;
        }
        Ok(Outcome::Interrupted)
    }

    /// Removes what agents of an attempt have left on the host, once its lane is gone.
    pub(in crate::engine) fn clear_places(&self, unit: &AboutUnit) -> Result<(), Trouble> {
        Ok(Place::clear(&self.setup.directory, &unit.attempt)?)
    }

    /// Whether a message of an engine that died reached its agent, by what the agent
    /// wrote down itself. Agents die with their engine, so nothing is added any more.
    pub(in crate::engine) async fn find_injected(
        &self,
        agent: &HostAgent,
        conversation: &ConversationId,
        message: MessageId,
    ) -> Result<Found, Trouble> {
        let place = Place::of(&self.setup.directory, conversation);
        let (adapter, key) = (agent.adapter, key(conversation, Some(message)));
        let look = move || place.has_taken(adapter, key);
        Ok(match tokio::task::spawn_blocking(look).await?? {
            Some(true) => Found::Done(Outcome::Injected),
            Some(false) => Found::NotDone,
            None => Found::Unknown,
        })
    }
}
