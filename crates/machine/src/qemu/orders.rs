//! What the monitor is told on the control stream (QMP), as types.

use serde_json::{Value, json};

/// Name under which a descriptor waits in the monitor for the next order.
const STATE_DESCRIPTOR: &str = "state";

/// Name of the only job that a monitor of ours has.
const JOB: &str = "job";

/// How fast a snapshot may be written, in bytes per second. The monitor's own
/// value is made for networks.
const UNLIMITED_BYTES_PER_S: u64 = 1_000_000_000_000;

/// How long the monitor may expect the last of a snapshot to take when it halts
/// the guest, in milliseconds.
const DOWNTIME_LIMIT_MS: u64 = 10;

/// An order to the monitor. Names of nodes are ours, never the caller's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    QmpCapabilities,
    Stop,
    Cont,
    /// Says where memory is, and asks for events.
    MigrateSetCapabilities(Memory),
    /// Lets a snapshot run as fast as it can.
    MigrateSetParameters,
    /// Names the descriptor that comes with it.
    Getfd,
    /// Writes the state to that descriptor.
    Migrate,
    /// Reads the state from that descriptor.
    MigrateIncoming,
    /// Goes on from the point where guest and drives stand still.
    MigrateContinue,
    MigrateCancel,
    QueryMigrate,
    /// Puts the descriptor that comes with it into a set.
    AddFd {
        set: u32,
    },
    /// Closes the descriptors of a set, but for those in use.
    RemoveFd {
        set: u32,
    },
    BlockdevAdd(Node),
    /// Opens a node again, over another one.
    BlockdevReopen(Node),
    BlockdevDel {
        node: String,
    },
    /// Puts layers on top of drives, all at the same moment.
    Transaction(Vec<Overlay>),
    /// Copies into a layer what lies between it and `base`.
    BlockStream {
        node: String,
        base: String,
    },
}

/// Where the guest's memory is while its state is written or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Memory {
    /// In the file behind it, so it is left out.
    InFile,
    /// In the stream, because nobody else sees what became of it: memory that is
    /// only ours is never left out. What is left of the stream without it is a state
    /// like any other. Its writer halts for us before the last of it.
    InStream,
}

/// A node of a drive's chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) kind: NodeKind,
    pub(super) access: NodeAccess,
}

/// What a node is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NodeKind {
    /// The file in a set of descriptors.
    File { set: u32 },
    /// Bytes as the guest sees them, in the file of another node.
    Raw { file: String },
    /// A layer in the file of another node.
    Layer { file: String, backing: Option<String> },
}

/// Whether a node can be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NodeAccess {
    ReadWrite,
    ReadOnly,
}

/// A node that becomes the top of a drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Overlay {
    pub(super) node: String,
    pub(super) overlay: String,
}

impl Node {
    /// The node in the monitor's words, as it is created.
    pub(super) fn json(&self) -> Value {
        let read_only = self.access == NodeAccess::ReadOnly;
        match &self.kind {
            NodeKind::File { set } => json!({
                "node-name": self.name, "driver": "file", "filename": format!("/dev/fdset/{set}"),
                "read-only": read_only, "discard": "unmap",
            }),
            NodeKind::Raw { file } => json!({
                "node-name": self.name, "driver": "raw", "file": file, "read-only": read_only,
            }),
            NodeKind::Layer { file, backing } => json!({
                "node-name": self.name, "driver": "qcow2", "file": file, "backing": backing,
                "read-only": read_only, "discard": "unmap",
            }),
        }
    }
}

impl Order {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::QmpCapabilities => "qmp_capabilities",
            Self::Stop => "stop",
            Self::Cont => "cont",
            Self::MigrateSetCapabilities(_) => "migrate-set-capabilities",
            Self::MigrateSetParameters => "migrate-set-parameters",
            Self::Getfd => "getfd",
            Self::Migrate => "migrate",
            Self::MigrateIncoming => "migrate-incoming",
            Self::MigrateContinue => "migrate-continue",
            Self::MigrateCancel => "migrate_cancel",
            Self::QueryMigrate => "query-migrate",
            Self::AddFd { .. } => "add-fd",
            Self::RemoveFd { .. } => "remove-fd",
            Self::BlockdevAdd(_) => "blockdev-add",
            Self::BlockdevReopen(_) => "blockdev-reopen",
            Self::BlockdevDel { .. } => "blockdev-del",
            Self::Transaction(_) => "transaction",
            Self::BlockStream { .. } => "block-stream",
        }
    }

    fn arguments(&self) -> Value {
        match self {
            Self::QmpCapabilities
            | Self::Stop
            | Self::Cont
            | Self::MigrateCancel
            | Self::QueryMigrate => json!({}),
            Self::MigrateSetCapabilities(memory) => json!({ "capabilities": [
                { "capability": "x-ignore-shared", "state": true },
                { "capability": "pause-before-switchover", "state": *memory == Memory::InStream },
                { "capability": "events", "state": true },
            ] }),
            Self::MigrateSetParameters => json!({
                "max-bandwidth": UNLIMITED_BYTES_PER_S, "downtime-limit": DOWNTIME_LIMIT_MS,
            }),
            Self::Getfd => json!({ "fdname": STATE_DESCRIPTOR }),
            Self::Migrate | Self::MigrateIncoming => {
                json!({ "uri": format!("fd:{STATE_DESCRIPTOR}") })
            }
            Self::MigrateContinue => json!({ "state": "pre-switchover" }),
            Self::AddFd { set } | Self::RemoveFd { set } => json!({ "fdset-id": set }),
            Self::BlockdevAdd(node) => node.json(),
            Self::BlockdevReopen(node) => json!({ "options": [node.json()] }),
            Self::BlockdevDel { node } => json!({ "node-name": node }),
            Self::Transaction(overlays) => {
                let actions = overlays.iter().map(|Overlay { node, overlay }| {
                    json!({
                        "type": "blockdev-snapshot",
                        "data": { "node": node, "overlay": overlay },
                    })
                });
                json!({ "actions": actions.collect::<Vec<_>>() })
            }
            Self::BlockStream { node, base } => json!({
                "job-id": JOB, "device": node, "base-node": base,
            }),
        }
    }

    /// The line that gives this order.
    pub(super) fn line(&self, id: u64) -> String {
        let order = json!({ "execute": self.name(), "arguments": self.arguments(), "id": id });
        format!("{order}\n")
    }
}
