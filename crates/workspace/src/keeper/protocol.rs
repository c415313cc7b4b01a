//! What keepers and their clients say to each other on stream 0.

use std::collections::BTreeSet;
use std::path::PathBuf;

use guest_protocol::frame::StreamId;
use machine::MonitorInfo;
use operation::OpError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use workspace_api::id::WorkspaceId;
use workspace_api::idle::IdlePolicy;
use workspace_api::ledger::LedgerEvent;
use workspace_api::network::NetworkPolicy;
use workspace_api::port::PortMapping;
use workspace_api::secret::SecretName;

use super::asking::Ask;
use crate::link::Identity;
use crate::machines::MonitorNumber;
use crate::network::Operator;
use crate::origin::Origin;

/// What a client tells the keeper.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum ToKeeper {
    /// From the creator, first of all: start this machine.
    Open(Box<KeeperRequest>),
    /// From the creator, once the workspace is on record: keep it even if the
    /// creator goes.
    Keep,
    /// End the machine and delete the workspace.
    Delete,
    /// End the machine and keep the disks.
    Stop,
    /// Something happened that belongs into the ledger.
    Note {
        /// What.
        event: LedgerEvent,
    },
    /// The standard output of this stream, which the client opens next, is not
    /// for people: nothing in it may be altered.
    Verbatim {
        /// The client's stream.
        stream: StreamId,
    },
    /// A question.
    Ask {
        /// Chosen by the client; its answer has the same.
        id: u64,
        /// What is asked.
        ask: Ask,
    },
}

/// What the keeper tells its clients.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum FromKeeper {
    /// To the creator: the machine accepts commands.
    Ready,
    /// To whoever comes later, first of all: what is asked from now on is heard.
    Welcome,
    /// To the creator: the workspace stays from now on.
    Kept,
    /// To the creator: the machine could not be started. Final.
    Failed {
        /// Why.
        error: OpError,
    },
    /// The machine ended by itself. Final.
    Lost {
        /// Why.
        error: OpError,
    },
    /// The workspace is deleted. Final.
    Deleted,
    /// The machine was stopped. Final.
    Stopped,
    /// The machine was put aside with its memory. Final.
    Hibernated,
    /// Answers a question.
    Answer {
        /// Which.
        id: u64,
        /// As its type says.
        answer: Value,
    },
    /// A question that cannot be answered.
    Declined {
        /// Which.
        id: u64,
        /// Why.
        error: OpError,
    },
}

/// Everything that a keeper needs to know about its workspace.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeeperRequest {
    /// The workspace.
    pub(crate) workspace: WorkspaceId,
    /// The directory that holds everything of ours.
    pub(crate) home: PathBuf,
    /// The hidden subcommand's program, which starts monitors.
    pub(crate) program: PathBuf,
    /// The monitor.
    pub(crate) monitor: MonitorInfo,
    /// As whom it runs when root starts it.
    pub(crate) monitor_number: MonitorNumber,
    /// What its machine comes from.
    pub(crate) origin: Origin,
    /// Who the guest is.
    pub(crate) identity: Identity,
    /// Names of the secrets that it holds: none, or it is looked what to hide.
    pub(crate) secrets: BTreeSet<SecretName>,
    /// What it may reach.
    pub(crate) network: NetworkPolicy,
    /// What the operator says about that.
    pub(crate) operator: Operator,
    /// Ports of it that were published when its machine last ran.
    pub(crate) ports: Vec<PortMapping>,
    /// A drive's layer without content.
    pub(crate) empty_layer: PathBuf,
    /// What becomes of it when nobody uses it.
    pub(crate) idle: IdlePolicy,
    /// How long the workspace lives.
    pub(crate) lifetime: Lifetime,
    /// What becomes of it if its caller goes before saying that it is kept.
    pub(crate) unkept: Unkept,
}

/// What becomes of a workspace whose caller goes before saying that it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unkept {
    /// It is deleted: it was just being created.
    Vanishes,
    /// It runs on: it existed before.
    Stays,
}

/// How long a workspace lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Lifetime {
    /// Until somebody deletes it.
    UntilDeleted,
    /// As long as its creator is connected.
    WithCreator,
}

impl Lifetime {
    /// The lifetime as a word, as it is in JSON.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::UntilDeleted => "until_deleted",
            Self::WithCreator => "with_creator",
        }
    }
}
