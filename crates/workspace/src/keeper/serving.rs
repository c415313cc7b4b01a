//! A keeper while its machine runs: one loop that owns all state.
//!
//! Five things can happen, one at a time: a frame of the guest, a frame of a
//! client, something of the machine, a signal, and nothing for too long (`idle`).
//! None of them is waited for inside the handling of another; what takes long has
//! a task of its own, to which the machine is lent if it is needed (`custody`). A
//! reset is the exception (`resetting`): while it is under way there is no guest
//! that any of them could be for.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use guest_protocol::frame::{Frame, StreamId};
use machine::Notice;
use operation::{ErrorKind, OpError};
use serde_json::Value;
use tokio::signal::unix::Signal;
use tokio::time::timeout;
use workspace_api::idle::IdlePolicy;
use workspace_api::ledger::LedgerEvent;
use workspace_api::service::ServiceStep;
use workspace_api::state::Step;
use workspace_api::workspace::Activity;

use super::asking::{
    AdoptLayer, Ask, Attend, AwaitJob, AwaitNetwork, AwaitService, CurrentActivity, HideSecrets,
    ListPorts, Now, OrderJob, PublishPort, ReadNetworkLog, Restore, SaveMachine, SetIdle,
    SetNetwork, ShowNetwork, StartJob, StartService, StopService, UnpublishPort, WriteJob,
    WriteLedger, answer,
};
use super::clients::{Clients, tell};
use super::concealment::Concealment;
use super::custody::{Custody, Happening};
use super::hub::{ClientId, Hub, Routed};
use super::idle::Idleness;
use super::jobs::JobTable;
use super::ports::{Port, PortTable};
use super::protocol::{FromKeeper, KeeperRequest, Lifetime, ToKeeper};
use super::saving::Saving;
use super::scribe::Scribe;
use super::services::{Process, ServiceTable};
use crate::framing::{FramingError, parse};
use crate::home::{Home, WorkspaceFiles};
use crate::host::private_memory;
use crate::jobs::JobKind;
use crate::link::GuestLink;
use crate::network::gateway::Gateway;
use crate::network::trust;
use crate::store::{Store, StoreError};
use crate::trouble::{GuestTrouble, machine_ended};

/// How many things to be done with the machine may wait.
const ERRANDS_MAX: usize = 16;

/// How long a monitor whose stream broke may take to be seen dead.
const NOTICE_DEADLINE: Duration = Duration::from_secs(2);

/// A keeper whose guest accepts commands.
pub(super) struct Keeper {
    pub(super) home: Home,
    pub(super) files: WorkspaceFiles,
    pub(super) request: KeeperRequest,
    /// Whoever is killed while creating a workspace leaves none behind, so it
    /// lives with its creator until that one says to keep it.
    pub(super) lifetime: Lifetime,
    pub(super) machine: Custody,
    pub(super) link: GuestLink,
    pub(super) hub: Hub,
    pub(super) clients: Clients,
    pub(super) jobs: Rc<JobTable>,
    pub(super) network: Rc<Gateway>,
    pub(super) ports: Rc<PortTable>,
    pub(super) services: Rc<ServiceTable>,
    pub(super) scribe: Scribe,
    pub(super) idleness: Idleness,
    pub(super) concealment: Concealment,
    pub(super) creator: ClientId,
    /// What the loop does next with the machine, for whom.
    pub(super) errands: VecDeque<(ClientId, u64, Errand)>,
    /// What is done once the machine is back.
    pub(super) saving: Option<Saving>,
    /// Whether the guest stands still.
    pub(super) halted: bool,
    /// Who waits until no memory is written to the disk in clear.
    pub(super) secrets_to_come: Vec<(ClientId, u64)>,
    /// Whether layers are being made one.
    pub(super) compacting: Rc<Cell<bool>>,
    pub(super) terminate: Signal,
}

/// Something that is done with the machine.
#[derive(Debug)]
pub(super) enum Errand {
    Restore(Box<Restore>),
    Save(SaveMachine),
    Adopt(AdoptLayer),
}

/// Why a keeper ends.
#[derive(Debug)]
pub(super) enum Ending {
    /// Somebody deleted the workspace.
    Deleted,
    /// Somebody stopped its machine.
    Stopped,
    /// Nobody uses it, so it is stopped.
    Idle(IdlePolicy),
    /// It was put aside with its memory, which is on record.
    Hibernated,
    /// The workspace lived with its creator, who is gone.
    CreatorGone,
    /// Somebody ended this process politely.
    Terminated,
    /// The machine ended by itself or cannot be trusted any more.
    Lost(GuestTrouble),
    /// The machine was ended for a reset and could not be started again.
    NotReset(OpError),
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("workspace", &self.request.workspace).finish_non_exhaustive()
    }
}

impl Keeper {
    /// Serves until there is a reason to end.
    pub(super) async fn serve(&mut self) -> Ending {
        loop {
            let ending = tokio::select! {
                frame = self.link.reader.next() => self.guest_says(frame),
                (client, frame) = self.clients.next(self.idleness.admission()) => self.client_says(client, frame),
                happening = self.machine.next() => match happening {
                    Happening::Notice(notice) => Some(Ending::Lost(GuestTrouble::Notice(notice))),
                    Happening::Back(taken) => self.snapshot_taken(taken),
                },
                _ = self.terminate.recv() => Some(Ending::Terminated),
                () = self.idleness.next() => None,
            };
            if let Some(ending) = ending {
                return ending;
            }
            if let Some(ending) = self.run_errands().await {
                return ending;
            }
            if let Some(ending) = self.look_for_idleness().await {
                return ending;
            }
        }
    }

    /// Does with the machine what somebody asked for, one thing after the other.
    async fn run_errands(&mut self) -> Option<Ending> {
        while self.machine.is_here()
            && let Some((client, id, errand)) = self.errands.pop_front()
        {
            let ending = match errand {
                Errand::Save(save) => {
                    self.begin_saving(client, id, save).await;
                    None
                }
                Errand::Adopt(adopt) => self.adopt(client, id, adopt).await,
                Errand::Restore(restore) => self.restore(client, id, *restore).await,
            };
            if ending.is_some() {
                return ending;
            }
        }
        None
    }

    fn errand(&mut self, client: ClientId, id: u64, errand: Errand) {
        if self.errands.len() < ERRANDS_MAX {
            self.errands.push_back((client, id, errand));
            return;
        }
        let error = format!("{ERRANDS_MAX} snapshots and resets wait already");
        let error = OpError::plain(ErrorKind::Exhausted, error).hinted("try again later");
        self.answer(client, id, async { Err(error) });
    }

    fn guest_says(&mut self, frame: Result<Frame, FramingError>) -> Option<Ending> {
        let routed = match frame {
            Ok(frame) => self.hub.guest_says(frame).map_err(GuestTrouble::Fault),
            Err(error) => Err(GuestTrouble::Framing(error)),
        };
        match routed {
            Ok(routed) => {
                self.send(routed);
                None
            }
            Err(trouble) => Some(Ending::Lost(trouble)),
        }
    }

    fn client_says(
        &mut self,
        client: ClientId,
        frame: Result<Frame, FramingError>,
    ) -> Option<Ending> {
        let Ok(frame) = frame else { return self.client_gone(client) };
        if frame.stream == StreamId::EPOCH {
            return match parse::<ToKeeper>(&frame) {
                Ok(Some(message)) => self.told(client, message),
                _ => self.client_gone(client),
            };
        }
        let frame = match self.network.bundle() {
            Some(bundle) => trust::told(frame, &bundle),
            None => frame,
        };
        match self.hub.client_says(client, frame) {
            Ok(routed) => {
                self.send(routed);
                None
            }
            Err(fault) => {
                tracing::warn!(%fault, "a client is dropped");
                self.client_gone(client)
            }
        }
    }

    /// What a client says to the keeper itself.
    fn told(&mut self, client: ClientId, message: ToKeeper) -> Option<Ending> {
        match message {
            ToKeeper::Open(_) => self.client_gone(client),
            ToKeeper::Delete => Some(Ending::Deleted),
            ToKeeper::Stop => Some(Ending::Stopped),
            ToKeeper::Keep => {
                self.lifetime = self.request.lifetime;
                if let Some(sender) = self.clients.sender(client) {
                    tell(sender, &FromKeeper::Kept);
                }
                None
            }
            ToKeeper::Note { event } => {
                if event.is_activity() {
                    self.idleness.used();
                }
                self.scribe.note(event);
                None
            }
            ToKeeper::Verbatim { stream } => {
                self.hub.declare_verbatim(client, stream);
                None
            }
            ToKeeper::Ask { id, ask } => {
                self.asked(client, id, ask);
                None
            }
        }
    }

    fn asked(&mut self, client: ClientId, id: u64, ask: Ask) {
        if ask.is_activity() {
            self.idleness.used();
            self.scribe.touch();
        }
        match ask {
            Ask::Activity(_) => {
                let now = Now {
                    activity: self.activity(),
                    expires_at: self.idleness.expires_at(),
                    memory_bytes: self.memory_bytes(),
                };
                self.answer(client, id, async move { answer::<CurrentActivity>(Ok(now)) });
            }
            Ask::Attend(_) => {
                self.clients.attend(client);
                self.answer(client, id, async { answer::<Attend>(Ok(())) });
            }
            Ask::AwaitNetwork(_) => {
                let network = Rc::clone(&self.network);
                self.answer(
                    client,
                    id,
                    async move { answer::<AwaitNetwork>(network.settle().await) },
                );
            }
            Ask::ShowNetwork(_) => {
                let now = self.network.state();
                self.answer(client, id, async move { answer::<ShowNetwork>(Ok(now)) });
            }
            Ask::SetNetwork(SetNetwork { policy }) => {
                let network = Rc::clone(&self.network);
                self.answer(client, id, async move {
                    answer::<SetNetwork>(network.set_policy(policy).await)
                });
            }
            Ask::ReadNetworkLog(ReadNetworkLog { after }) => {
                let page = self.network.log(after);
                self.answer(client, id, async move { answer::<ReadNetworkLog>(Ok(page)) });
            }
            Ask::HideSecrets(_) if self.saves_in_clear() => {
                self.secrets_to_come.push((client, id));
            }
            Ask::HideSecrets(_) => self.hide_secrets(client, id),
            Ask::StartJob(start) => {
                let jobs = Rc::clone(&self.jobs);
                self.answer(client, id, async move { answer::<StartJob>(jobs.start(start).await) });
            }
            Ask::WriteJob(WriteJob { id: job, input }) => {
                let jobs = Rc::clone(&self.jobs);
                self.answer(client, id, async move {
                    answer::<WriteJob>(jobs.write_input(&job, input.0.into()).await)
                });
            }
            Ask::OrderJob(OrderJob { id: job, order }) => {
                let jobs = Rc::clone(&self.jobs);
                self.answer(client, id, async move {
                    answer::<OrderJob>(jobs.order(&job, order).await)
                });
            }
            Ask::AwaitJob(AwaitJob { id: job, until, deadline_ms }) => {
                let jobs = Rc::clone(&self.jobs);
                self.answer(client, id, async move {
                    let deadline = Duration::from_millis(deadline_ms);
                    answer::<AwaitJob>(jobs.wait(&job, until, deadline).await)
                });
            }
            Ask::PublishPort(PublishPort { port }) => {
                let port = Port { guest: port.guest, host: port.host, service: None };
                let done = self.ports.publish(port);
                self.answer(client, id, async move { answer::<PublishPort>(done) });
            }
            Ask::UnpublishPort(UnpublishPort { guest }) => {
                let done = self.ports.unpublish(guest);
                self.answer(client, id, async move { answer::<UnpublishPort>(done) });
            }
            Ask::ListPorts(_) => {
                let now = self.ports.list();
                self.answer(client, id, async move { answer::<ListPorts>(Ok(now)) });
            }
            Ask::SetIdle(SetIdle { policy, extension_ms }) => {
                self.idleness.set(policy, extension_ms.map(Duration::from_millis));
                let until = self.idleness.extended_until();
                if let (Some(_), Some(until)) = (extension_ms, until) {
                    self.scribe.note(LedgerEvent::IdleExtended { until: until.to_string() });
                }
                self.answer(client, id, async move { answer::<SetIdle>(Ok(until)) });
            }
            Ask::Hibernate(_) => self.idleness.ask(client, id),
            Ask::Restore(restore) => self.errand(client, id, Errand::Restore(restore)),
            Ask::AdoptLayer(adopt) => self.errand(client, id, Errand::Adopt(adopt)),
            Ask::SaveMachine(save) => self.errand(client, id, Errand::Save(save)),
            Ask::StartService(start) => {
                let StartService { definition, exec, secrets } = *start;
                let done = self.services.start(definition, Process { exec, secrets });
                self.answer(client, id, async move { answer::<StartService>(done) });
            }
            Ask::StopService(StopService { service }) => {
                let done = self.services.stop(&service);
                self.answer(client, id, async move { answer::<StopService>(done) });
            }
            Ask::AwaitService(AwaitService { service, until, deadline_ms }) => {
                let services = Rc::clone(&self.services);
                self.answer(client, id, async move {
                    let deadline = Duration::from_millis(deadline_ms);
                    answer::<AwaitService>(services.wait(&service, until, deadline).await)
                });
            }
            Ask::WriteLedger(_) => {
                let scribe = self.scribe.clone();
                self.answer(client, id, async move {
                    scribe.flush().await;
                    answer::<WriteLedger>(Ok(()))
                });
            }
        }
    }

    fn activity(&self) -> Activity {
        let services = self.services.counts();
        let in_front = self.hub.commands(|client| self.clients.is_outside(client));
        let behind = self.jobs.running(|kind| matches!(kind, JobKind::Command));
        let open_shells = self.jobs.running(|kind| matches!(kind, JobKind::Shell { .. }));
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Activity {
            running_commands: count(in_front + behind),
            open_shells: count(open_shells),
            attached_terminals: count(self.clients.attending()),
            running_services: count(services.running),
            ready_services: count(services.ready),
            failed_services: count(services.failed),
        }
    }

    fn memory_bytes(&self) -> Option<u64> {
        let monitor = private_memory(self.machine.monitor_pid()?)?;
        Some(monitor + private_memory(std::process::id())?)
    }

    /// Whether something runs that is a use of the workspace as long as it does.
    pub(super) fn is_held(&self) -> bool {
        let Activity { running_commands, running_services, attached_terminals, .. } =
            self.activity();
        running_commands + running_services + attached_terminals > 0
    }

    /// Hides what the workspace holds by now; the client may then give it to
    /// something.
    pub(super) fn hide_secrets(&self, client: ClientId, id: u64) {
        let concealment = self.concealment.clone();
        concealment.expect();
        self.answer(client, id, async move {
            // It reads the database, which may be busy.
            let refreshed = tokio::task::spawn_blocking(move || concealment.refresh());
            let hidden = refreshed
                .await
                .unwrap_or_else(|error| Err(OpError::new(ErrorKind::Internal, &error)));
            answer::<HideSecrets>(hidden)
        });
    }

    /// Answers a question when `work` is done, which holds up nothing else.
    pub(super) fn answer(
        &self,
        client: ClientId,
        id: u64,
        work: impl Future<Output = Result<Value, OpError>> + 'static,
    ) {
        let Some(sender) = self.clients.sender(client).cloned() else { return };
        let concealment = self.concealment.clone();
        tokio::task::spawn_local(async move {
            let said = match work.await {
                Ok(answer) => FromKeeper::Answer { id, answer },
                Err(error) => FromKeeper::Declined { id, error },
            };
            tell(&sender, &concealment.message(said));
        });
    }

    fn client_gone(&mut self, client: ClientId) -> Option<Ending> {
        self.clients.remove(client);
        let farewell = self.hub.client_gone(client);
        self.send(farewell);
        let lives_with_creator = self.lifetime == Lifetime::WithCreator;
        (lives_with_creator && client == self.creator).then_some(Ending::CreatorGone)
    }

    pub(super) fn send(&self, routed: impl IntoIterator<Item = Routed>) {
        for routed in routed {
            match routed {
                Routed::ToGuest(frame) => self.link.sender.frame(frame),
                Routed::ToClient(client, frame) => {
                    if let Some(sender) = self.clients.sender(client) {
                        sender.frame(frame);
                    }
                }
            }
        }
    }

    /// Ends the machine, settles the workspace's record, and says farewell.
    pub(super) async fn end(mut self, ending: Ending) {
        let outcome = match ending {
            Ending::Lost(trouble) => {
                let trouble = explain(self.machine.notice(), trouble).await;
                Outcome::Lost(machine_ended(&trouble, &self.files.console()))
            }
            Ending::NotReset(error) => Outcome::Lost(error),
            Ending::Deleted | Ending::CreatorGone => Outcome::Deleted,
            Ending::Stopped => Outcome::Stopped(None),
            Ending::Idle(IdlePolicy { idle_after, .. }) => {
                Outcome::Stopped(Some(format!("nobody used it for {idle_after}")))
            }
            Ending::Hibernated => {
                // They go on when the machine does.
                self.jobs.let_go(&self.jobs.under_way());
                Outcome::Hibernated
            }
            Ending::Terminated => Outcome::Lost(OpError::plain(
                ErrorKind::MachineLost,
                "the workspace's keeper was told to end",
            )),
        };
        match &outcome {
            Outcome::Stopped(reason) => {
                let reason = reason.as_deref().unwrap_or("the workspace was stopped");
                self.services.end_all(ServiceStep::Halt, reason);
            }
            Outcome::Lost(error) => self.services.end_all(ServiceStep::Lose, &error.message),
            Outcome::Hibernated => self.services.let_go(),
            Outcome::Deleted => {
                // Whoever wrote down how they ended would make the directory anew.
                self.services.let_go();
                self.jobs.let_go(&self.jobs.under_way());
            }
        }
        self.ports.close();
        let outcome = outcome.concealed(&self.concealment);
        let exit = self.machine.stop().await;
        self.scribe.flush().await;
        let settled = self.settle(&outcome);
        if let Err(error) = &settled {
            tracing::error!(%error, %exit, "the workspace's record could not be settled");
        }
        let farewell = match (outcome, settled) {
            (Outcome::Lost(error), _) => FromKeeper::Lost { error },
            (Outcome::Deleted, Ok(())) => FromKeeper::Deleted,
            (Outcome::Stopped(_), Ok(())) => FromKeeper::Stopped,
            (Outcome::Hibernated, _) => FromKeeper::Hibernated,
            (Outcome::Deleted | Outcome::Stopped(_), Err(error)) => FromKeeper::Failed { error },
        };
        self.clients.dismiss(&farewell).await;
    }

    fn settle(&self, outcome: &Outcome) -> Result<(), OpError> {
        let store = Store::open(&self.home)?;
        let vanishes = self.lifetime == Lifetime::WithCreator;
        let (step, reason) = match outcome {
            Outcome::Hibernated => return Ok(()),
            Outcome::Stopped(reason) => (Step::Stop, reason.as_deref()),
            Outcome::Lost(error) if !vanishes => (Step::MachineEnded, Some(error.message.as_str())),
            Outcome::Lost(error) => (Step::Delete, Some(error.message.as_str())),
            Outcome::Deleted => (Step::Delete, Some("deleted")),
        };
        if step == Step::Delete {
            self.files.delete()?;
        }
        match store.step(self.request.workspace, step, reason) {
            // Whoever found the files gone has settled the record as well.
            Ok(_) | Err(StoreError::NotFound(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// What became of a workspace whose keeper ends.
#[derive(Debug)]
enum Outcome {
    Deleted,
    /// For this reason, if nobody asked for it.
    Stopped(Option<String>),
    /// Its record says so already.
    Hibernated,
    Lost(OpError),
}

impl Outcome {
    fn concealed(self, concealment: &Concealment) -> Self {
        match self {
            Self::Lost(error) => Self::Lost(concealment.error(error)),
            plain @ (Self::Deleted | Self::Stopped(_) | Self::Hibernated) => plain,
        }
    }
}

/// A monitor that ends closes the guest's stream as well, and what is seen first
/// is a matter of luck: its notice says more.
pub(super) async fn explain(
    notice: impl Future<Output = Notice>,
    trouble: GuestTrouble,
) -> GuestTrouble {
    if !trouble.is_broken_stream() {
        return trouble;
    }
    match timeout(NOTICE_DEADLINE, notice).await {
        Ok(notice) => GuestTrouble::Notice(notice),
        Err(_) => trouble,
    }
}
