//! What clients ask of a keeper besides carrying frames to its guest.
//!
//! A question travels on stream 0 with a number that its client chose, and is
//! answered once, with that number: questions that take long hold up neither
//! others nor frames. Each question is a type that knows its answer's.
//!
//! ```text
//! client ── Ask { id, ask } ──▶ keeper: at once, or by a task of its own
//!        ◀── Answer { id, … } | Declined { id, error }
//! ```

use std::num::NonZeroU16;
use std::path::PathBuf;

use guest_protocol::message::Exec;
use jiff::Timestamp;
use operation::OpError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use workspace_api::idle::IdlePolicy;
use workspace_api::network::NetworkPolicy;
use workspace_api::output::OutputBytes;
use workspace_api::port::{PortMapping, PublishedPort};
use workspace_api::service::{ServiceName, ServiceState, Start};
use workspace_api::snapshot::SnapshotName;
use workspace_api::workspace::Activity;

use super::jobs::{JobOrder, JobProgress, Until};
use super::services::ServiceUntil;
use crate::disks::{DriveName, NewLayers};
use crate::jobs::{JobId, JobKind};
use crate::network::gateway::GatewayState;
use crate::network::journal::JournalPage;
use crate::origin::Origin;
use crate::saved::Durability;

/// A question to a keeper.
pub(crate) trait Question: Into<Ask> {
    /// What answers it.
    type Answer: Serialize + DeserializeOwned;
}

/// All questions.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "question", rename_all = "snake_case")]
pub(crate) enum Ask {
    /// See [`CurrentActivity`].
    Activity(CurrentActivity),
    /// See [`Attend`].
    Attend(Attend),
    /// See [`WriteLedger`].
    WriteLedger(WriteLedger),
    /// See [`AwaitNetwork`].
    AwaitNetwork(AwaitNetwork),
    /// See [`ShowNetwork`].
    ShowNetwork(ShowNetwork),
    /// See [`SetNetwork`].
    SetNetwork(SetNetwork),
    /// See [`ReadNetworkLog`].
    ReadNetworkLog(ReadNetworkLog),
    /// See [`HideSecrets`].
    HideSecrets(HideSecrets),
    /// See [`StartJob`].
    StartJob(StartJob),
    /// See [`WriteJob`].
    WriteJob(WriteJob),
    /// See [`OrderJob`].
    OrderJob(OrderJob),
    /// See [`AwaitJob`].
    AwaitJob(AwaitJob),
    /// See [`Restore`].
    Restore(Box<Restore>),
    /// See [`PublishPort`].
    PublishPort(PublishPort),
    /// See [`UnpublishPort`].
    UnpublishPort(UnpublishPort),
    /// See [`ListPorts`].
    ListPorts(ListPorts),
    /// See [`StartService`].
    StartService(Box<StartService>),
    /// See [`StopService`].
    StopService(StopService),
    /// See [`AwaitService`].
    AwaitService(AwaitService),
    /// See [`SetIdle`].
    SetIdle(SetIdle),
    /// See [`Hibernate`].
    Hibernate(Hibernate),
    /// See [`SaveMachine`].
    SaveMachine(SaveMachine),
    /// See [`AdoptLayer`].
    AdoptLayer(AdoptLayer),
}

impl Ask {
    /// Whether whoever asks this uses the workspace, beyond what the ledger says
    /// of it.
    pub(crate) const fn is_activity(&self) -> bool {
        match self {
            Self::SetNetwork(_)
            | Self::Attend(_)
            | Self::HideSecrets(_)
            | Self::StartJob(_)
            | Self::WriteJob(_)
            | Self::OrderJob(_)
            | Self::Restore(_)
            | Self::PublishPort(_)
            | Self::UnpublishPort(_)
            | Self::StartService(_)
            | Self::StopService(_)
            | Self::SetIdle(_) => true,
            // To be put aside is no use of it.
            Self::SaveMachine(save) => matches!(save.guest, GuestMeanwhile::RunsOn),
            Self::Activity(_)
            | Self::WriteLedger(_)
            | Self::AwaitNetwork(_)
            | Self::ShowNetwork(_)
            | Self::ReadNetworkLog(_)
            | Self::AwaitJob(_)
            | Self::Hibernate(_)
            | Self::AdoptLayer(_)
            | Self::ListPorts(_)
            | Self::AwaitService(_) => false,
        }
    }
}

/// Put the machine back to an earlier state; answered when it accepts commands
/// again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Restore {
    /// What the machine comes from.
    pub(crate) origin: Origin,
    /// What its drives become.
    pub(crate) layers: NewLayers,
    /// The snapshot that this is; none means how the workspace was created.
    pub(crate) snapshot: Option<SnapshotName>,
}

impl Question for Restore {
    type Answer = ();
}

impl From<Restore> for Ask {
    fn from(question: Restore) -> Self {
        Self::Restore(Box::new(question))
    }
}

/// Put another idle policy in force, and keep the workspace ready for some time.
/// The answer is until when somebody wants it kept ready.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct SetIdle {
    /// The policy.
    pub(crate) policy: IdlePolicy,
    /// For how long at least, in milliseconds.
    pub(crate) extension_ms: Option<u64>,
}

impl Question for SetIdle {
    type Answer = Option<Timestamp>;
}

impl From<SetIdle> for Ask {
    fn from(question: SetIdle) -> Self {
        Self::SetIdle(question)
    }
}

/// Use one layer instead of several that it is a copy of; refused if those are
/// no longer used.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AdoptLayer {
    /// Of which drive.
    pub(crate) drive: DriveName,
    /// The frozen layers, the uppermost first.
    pub(crate) frozen: Vec<String>,
    /// The one; it lies beside them.
    pub(crate) merged: String,
}

impl Question for AdoptLayer {
    type Answer = ();
}

impl From<AdoptLayer> for Ask {
    fn from(question: AdoptLayer) -> Self {
        Self::AdoptLayer(question)
    }
}

/// Save the machine with its memory, and let it run on; answered when it can be
/// resumed from there. What is saved is the machine at some moment in between.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SaveMachine {
    /// Where to; its lock is held by whoever asks.
    pub(crate) directory: PathBuf,
    /// A drive's layer without content.
    pub(crate) empty_layer: PathBuf,
    /// For how long.
    pub(crate) durability: Durability,
    /// What the guest does.
    #[serde(default)]
    pub(crate) guest: GuestMeanwhile,
}

/// What a guest does while its machine is saved, and afterwards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GuestMeanwhile {
    /// It runs on.
    #[default]
    RunsOn,
    /// It stands still.
    StandsStill,
}

impl Question for SaveMachine {
    type Answer = ();
}

impl From<SaveMachine> for Ask {
    fn from(question: SaveMachine) -> Self {
        Self::SaveMachine(question)
    }
}

/// Put the machine aside with its memory. That it was done is the last thing that the
/// keeper says; it answers only if that cannot be done.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Hibernate {}

impl Question for Hibernate {
    type Answer = ();
}

impl From<Hibernate> for Ask {
    fn from(question: Hibernate) -> Self {
        Self::Hibernate(question)
    }
}

/// What is going on in the workspace right now.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct CurrentActivity {}

/// What is going on in a workspace.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Now {
    /// What runs.
    pub(crate) activity: Activity,
    /// When it is put aside if nothing changes.
    pub(crate) expires_at: Option<Timestamp>,
    /// Memory that machine and keeper have for themselves alone, in bytes, if the
    /// machine is not busy.
    pub(crate) memory_bytes: Option<u64>,
}

impl Question for CurrentActivity {
    type Answer = Now;
}

impl From<CurrentActivity> for Ask {
    fn from(question: CurrentActivity) -> Self {
        Self::Activity(question)
    }
}

/// Count this connection as somebody who is at a shell, for as long as it lasts.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Attend {}

impl Question for Attend {
    type Answer = ();
}

impl From<Attend> for Ask {
    fn from(question: Attend) -> Self {
        Self::Attend(question)
    }
}

/// Have everything written into the ledger that has happened so far.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct WriteLedger {}

impl Question for WriteLedger {
    type Answer = ();
}

impl From<WriteLedger> for Ask {
    fn from(question: WriteLedger) -> Self {
        Self::WriteLedger(question)
    }
}

/// Wait until the guest's side of the network is as the policy wants it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct AwaitNetwork {}

impl Question for AwaitNetwork {
    type Answer = ();
}

impl From<AwaitNetwork> for Ask {
    fn from(question: AwaitNetwork) -> Self {
        Self::AwaitNetwork(question)
    }
}

/// What the workspace may reach right now.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct ShowNetwork {}

impl Question for ShowNetwork {
    type Answer = GatewayState;
}

impl From<ShowNetwork> for Ask {
    fn from(question: ShowNetwork) -> Self {
        Self::ShowNetwork(question)
    }
}

/// Put another policy in force.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SetNetwork {
    /// The policy.
    pub(crate) policy: NetworkPolicy,
}

impl Question for SetNetwork {
    type Answer = GatewayState;
}

impl From<SetNetwork> for Ask {
    fn from(question: SetNetwork) -> Self {
        Self::SetNetwork(question)
    }
}

/// What the workspace reached, and what it was refused: as much as is told at
/// once.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct ReadNetworkLog {
    /// The number of the last entry that is known already; 0 for none.
    pub(crate) after: u64,
}

impl Question for ReadNetworkLog {
    type Answer = JournalPage;
}

impl From<ReadNetworkLog> for Ask {
    fn from(question: ReadNetworkLog) -> Self {
        Self::ReadNetworkLog(question)
    }
}

/// Hide what the workspace holds by now, in everything that is shown of it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct HideSecrets {}

impl Question for HideSecrets {
    type Answer = ();
}

impl From<HideSecrets> for Ask {
    fn from(question: HideSecrets) -> Self {
        Self::HideSecrets(question)
    }
}

/// Start a job and wait until it runs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StartJob {
    /// What it is called from now on.
    pub(crate) id: JobId,
    /// What it is.
    pub(crate) job: JobKind,
    /// What it runs.
    pub(crate) exec: Exec,
    /// Names of the secrets that are among its variables.
    pub(crate) secrets: Vec<String>,
}

impl Question for StartJob {
    type Answer = ();
}

impl From<StartJob> for Ask {
    fn from(question: StartJob) -> Self {
        Self::StartJob(question)
    }
}

/// Give a job input and wait until it was taken. The answer is where the output
/// ended before that.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WriteJob {
    /// Which.
    pub(crate) id: JobId,
    /// The input; none means its end. At most [`WriteJob::BYTES_MAX`].
    pub(crate) input: OutputBytes,
}

impl WriteJob {
    /// What fits into a frame whatever its bytes are.
    pub(crate) const BYTES_MAX: usize = 8 * 1024;
}

impl Question for WriteJob {
    type Answer = ();
}

impl From<WriteJob> for Ask {
    fn from(question: WriteJob) -> Self {
        Self::WriteJob(question)
    }
}

/// Have something done to a job.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OrderJob {
    /// Which.
    pub(crate) id: JobId,
    /// What.
    pub(crate) order: JobOrder,
}

impl Question for OrderJob {
    type Answer = ();
}

impl From<OrderJob> for Ask {
    fn from(question: OrderJob) -> Self {
        Self::OrderJob(question)
    }
}

/// Wait for something of a job. The answer is how far it is then.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AwaitJob {
    /// Which.
    pub(crate) id: JobId,
    /// For what.
    pub(crate) until: Until,
    /// How long at most, in milliseconds.
    pub(crate) deadline_ms: u64,
}

impl Question for AwaitJob {
    type Answer = JobProgress;
}

impl From<AwaitJob> for Ask {
    fn from(question: AwaitJob) -> Self {
        Self::AwaitJob(question)
    }
}

/// Make a port of the guest reachable from the host.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct PublishPort {
    /// The ports.
    pub(crate) port: PortMapping,
}

impl Question for PublishPort {
    type Answer = PublishedPort;
}

impl From<PublishPort> for Ask {
    fn from(question: PublishPort) -> Self {
        Self::PublishPort(question)
    }
}

/// Make it unreachable again. The answer is what it was.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct UnpublishPort {
    /// The port in the guest.
    pub(crate) guest: NonZeroU16,
}

impl Question for UnpublishPort {
    type Answer = PublishedPort;
}

impl From<UnpublishPort> for Ask {
    fn from(question: UnpublishPort) -> Self {
        Self::UnpublishPort(question)
    }
}

/// Which ports can be reached.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct ListPorts {}

impl Question for ListPorts {
    type Answer = Vec<PublishedPort>;
}

impl From<ListPorts> for Ask {
    fn from(question: ListPorts) -> Self {
        Self::ListPorts(question)
    }
}

/// Start a service. It is on record when this is answered.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StartService {
    /// How it is defined.
    pub(crate) definition: Start,
    /// What its process is.
    pub(crate) exec: Exec,
    /// Names of the secrets that are among its variables.
    pub(crate) secrets: Vec<String>,
}

impl Question for StartService {
    type Answer = ();
}

impl From<StartService> for Ask {
    fn from(question: StartService) -> Self {
        Self::StartService(Box::new(question))
    }
}

/// Have a service stopped.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StopService {
    /// Which.
    pub(crate) service: ServiceName,
}

impl Question for StopService {
    type Answer = ();
}

impl From<StopService> for Ask {
    fn from(question: StopService) -> Self {
        Self::StopService(question)
    }
}

/// Wait for something of a service. The answer is how it is then.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AwaitService {
    /// Which.
    pub(crate) service: ServiceName,
    /// For what.
    pub(crate) until: ServiceUntil,
    /// How long at most, in milliseconds.
    pub(crate) deadline_ms: u64,
}

impl Question for AwaitService {
    type Answer = ServiceState;
}

impl From<AwaitService> for Ask {
    fn from(question: AwaitService) -> Self {
        Self::AwaitService(question)
    }
}

/// An answer on its way to whoever asked.
pub(crate) fn answer<Q: Question>(result: Result<Q::Answer, OpError>) -> Result<Value, OpError> {
    result.map(|answer| serde_json::to_value(answer).expect("answers are plain data"))
}
