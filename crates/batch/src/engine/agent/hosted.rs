//! What an engine has of its agents on the host: their custody, their gateway, and how
//! each is reached.
//!
//! ```text
//!           open                     opening taken
//!  nothing ──────▶ process in custody ───────────▶ at work ──▶ gone by itself
//!                     │ obeys orders                 │ stop
//!                     └──────────────────────────────┴──▶ killed, and seen to be
//! ```
//!
//! **Owner.** [`Hosted`]: one per engine and epoch, begun when the engine fences its
//! predecessors. Custody proves first that nothing of theirs is left. Each process has a
//! task that holds it, reached by orders.
//! **SIGKILL** of the engine ends the agent by its warden, at once; the next engine sees
//! to it, and no agent is adopted. Its calls fail, as the gateway is gone.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use batch_api::{AttemptId, ConversationId, Epoch};
use tokio::sync::{OnceCell, RwLock, mpsc, oneshot};
use tokio::time::timeout;

use super::super::world::Trouble;
use super::adapter::HostAgent;
use super::conversing::Order;
use crate::custody::{Custodian, Held, Holding, Order as ProcessOrder, Outcome};
use crate::gateway::Gateway;

/// Most orders to an agent that wait.
const ORDERS_MAX: usize = 16;

/// The registry of processes in a batch's directory.
pub(crate) const CUSTODY: &str = "custody";

/// What an engine has of its agents on the host.
#[derive(Debug)]
pub(crate) struct Hosted {
    pub(super) epoch: Epoch,
    custodian: Custodian,
    pub(super) gateway: Gateway,
    at_work: Mutex<BTreeMap<ConversationId, mpsc::Sender<Order>>>,
    /// Whether the agent is proved to keep its hands in a lane.
    pub(super) proved: OnceCell<()>,
    /// Held by every start until its process can be reached.
    starting: RwLock<()>,
    /// Held by what runs for the engine itself.
    running: tokio::sync::Mutex<()>,
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
        let (at_work, proved) = (Mutex::default(), OnceCell::new());
        let (starting, running) = (RwLock::default(), tokio::sync::Mutex::default());
        Ok(Self { epoch, custodian, gateway, at_work, proved, starting, running })
    }

    pub(super) async fn fence(&self, attempt: &AttemptId) {
        self.gateway.fence(attempt).await;
    }

    /// Starts an agent's process, which can be reached by orders from then on. A start
    /// that nobody waits for any more goes on to its end, so that nothing is half begun
    /// when a stop comes.
    pub(super) async fn start(
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

    /// How an agent's process is reached, unless it is gone.
    pub(super) fn orders(&self, conversation: &ConversationId) -> Option<mpsc::Sender<Order>> {
        self.all().get(conversation).filter(|orders| !orders.is_closed()).cloned()
    }

    /// Runs a process of the engine's own to its end, and ends what it left behind. One at
    /// a time: one that nobody waits for any more goes on to its end, or to that of the
    /// patience with it.
    pub(super) async fn run(
        self: &Arc<Self>,
        order: ProcessOrder,
        patience: Duration,
    ) -> Result<Outcome, Trouble> {
        let hosted = Arc::clone(self);
        let ran = tokio::spawn(async move {
            let _running = hosted.running.lock().await;
            let mut held = hosted.custodian.start(order).await?;
            drop(held.take_stdin());
            // What it prints is for nobody, and must be read so that it goes on.
            let said = held.take_stdout();
            let deaf = tokio::spawn(async move {
                if let Some(mut said) = said {
                    while let Ok(Some(_)) = said.next().await {}
                }
            });
            let ended = match timeout(patience, held.wait()).await {
                Ok(ended) => ended,
                Err(_) => held.kill().await,
            };
            deaf.abort();
            Ok::<_, Trouble>(ended?)
        });
        ran.await?
    }

    fn all(&self) -> std::sync::MutexGuard<'_, BTreeMap<ConversationId, mpsc::Sender<Order>>> {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
