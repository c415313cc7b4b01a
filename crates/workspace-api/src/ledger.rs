//! The ledger: what happened in a workspace, in order, for ever.
//!
//! Every host crossing, command, edit, service, snapshot and decision of policy
//! is one [`LedgerEvent`]. An event names things and counts them; it holds no
//! content of files, no value of a secret, and of the output of a command its
//! last lines if it failed. To add a
//! kind, add a variant: older programs show an event that they do not know as
//! it is ([`LedgerEvent::Other`]), so a variant's fields may grow, never change.

mod bounds;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::digest::Digest;
use crate::id::{WorkspaceId, WorkspaceName};
use crate::idle::{IdleAction, IdlePolicy};
use crate::spec::{EnvironmentRef, Shape};

/// Something that happened in a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LedgerEvent {
    /// Its creation began.
    Created {
        /// Its name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<WorkspaceName>,
        /// What it starts from.
        environment: EnvironmentRef,
        /// Digest of that environment.
        environment_digest: Digest,
        /// How large its machine is.
        shape: Shape,
    },
    /// A tree of the host became `/workspace`.
    Seeded {
        /// What kind of thing it came from, such as `directory`.
        source: String,
        /// Where it lay.
        origin: String,
        /// Files in it, if they were counted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        files: Option<u64>,
        /// Size of the tree's image in bytes.
        bytes: u64,
    },
    /// Its machine runs.
    Started {},
    /// Its name, its labels or its idle policy were changed.
    Updated {
        /// The name that it has now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<WorkspaceName>,
        /// The labels that it has now.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        labels: BTreeMap<String, String>,
        /// The idle policy that it has now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        idle: Option<IdlePolicy>,
        /// The size that its machine has from its next start on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shape: Option<Shape>,
    },
    /// Nobody uses it: unless that changes it will be put aside.
    IdleWarned {
        /// How.
        action: IdleAction,
        /// When, RFC 3339 in UTC.
        expires_at: String,
    },
    /// Somebody wants it kept ready although nobody uses it.
    IdleExtended {
        /// Until when, RFC 3339 in UTC.
        until: String,
    },
    /// A command began.
    CommandStarted {
        /// Names the command in this workspace.
        command: String,
        /// Program and arguments, shortened if they are long.
        argv: Vec<String>,
        /// Where it ran.
        cwd: String,
        /// Names of the secrets that it was given.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        secrets: Vec<String>,
    },
    /// A command ended, or could not begin.
    CommandEnded {
        /// The command.
        command: String,
        /// Its exit code, as a shell counts it; none if it never ran or was lost.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit_code: Option<u8>,
        /// Why there is no exit code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// How long it ran, in milliseconds.
        duration_ms: u64,
        /// Bytes that it wrote to its standard output.
        stdout_bytes: u64,
        /// Bytes that it wrote to its standard error.
        stderr_bytes: u64,
        /// The last lines that it wrote, if it failed: to its standard error, or
        /// else to its standard output. Shortened, and without values of secrets.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output_end: Option<String>,
    },
    /// A file was written whole.
    FileWritten {
        /// The file in the guest.
        path: String,
        /// Its size in bytes.
        bytes: u64,
    },
    /// Parts of a file were replaced.
    FileEdited {
        /// The file in the guest.
        path: String,
        /// How many places were replaced.
        replacements: u64,
    },
    /// A file, directory or link was made, moved, copied or deleted.
    FileChanged {
        /// What was done, such as `mkdir`, `move`, `copy` or `delete`.
        action: String,
        /// With what, in the guest.
        path: String,
        /// Where it went.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
    },
    /// A patch was applied.
    PatchApplied {
        /// The files that it changed, shortened if they are many.
        paths: Vec<String>,
        /// How many files it changed.
        files: u64,
    },
    /// A snapshot was taken.
    SnapshotCreated {
        /// Its name.
        snapshot: String,
        /// Its size in bytes.
        bytes: u64,
    },
    /// A snapshot was deleted.
    SnapshotDeleted {
        /// Its name.
        snapshot: String,
    },
    /// The workspace went back to a snapshot; none means its beginning.
    Reset {
        /// The snapshot.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        snapshot: Option<String>,
    },
    /// Children were made of this workspace.
    Forked {
        /// The children.
        children: Vec<WorkspaceId>,
    },
    /// This workspace was made of another one.
    ForkedFrom {
        /// The other one.
        parent: WorkspaceId,
    },
    /// Changes of the host were brought in.
    Synced {
        /// Where they came from.
        origin: String,
        /// Files that were written.
        written: u64,
        /// Files that were deleted.
        deleted: u64,
        /// Bytes that were written.
        bytes: u64,
    },
    /// Something was copied out to the host.
    Exported {
        /// What, in the guest; or `drive` and which one, for a disk.
        path: String,
        /// Where to, on the host.
        to: String,
        /// Files that were written.
        files: u64,
        /// Bytes that were written.
        bytes: u64,
    },
    /// Changes were applied to a checkout of the host.
    AppliedBack {
        /// The checkout.
        to: String,
        /// The files that changed, shortened if they are many.
        paths: Vec<String>,
        /// How many files changed.
        files: u64,
    },
    /// A service was started.
    ServiceStarted {
        /// Its name.
        service: String,
        /// Program and arguments, shortened if they are long.
        argv: Vec<String>,
        /// Names of the secrets that it was given.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        secrets: Vec<String>,
    },
    /// A service is ready.
    ServiceReady {
        /// Its name.
        service: String,
    },
    /// A service was stopped.
    ServiceStopped {
        /// Its name.
        service: String,
    },
    /// A service failed.
    ServiceFailed {
        /// Its name.
        service: String,
        /// How.
        reason: String,
    },
    /// A shell was opened.
    ShellOpened {
        /// Its id.
        shell: String,
        /// Names of the secrets that it was given.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        secrets: Vec<String>,
    },
    /// A shell ended or was closed.
    ShellClosed {
        /// Its id.
        shell: String,
    },
    /// What may be reached from the workspace was changed.
    NetworkChanged {
        /// The policy, in its text form.
        policy: String,
    },
    /// A connection out of the workspace was refused.
    ConnectionDenied {
        /// Where it should have gone: host and port.
        target: String,
        /// The rule that refused it.
        rule: String,
    },
    /// A port of the guest became reachable from the host.
    PortPublished {
        /// The port in the guest.
        guest_port: u16,
        /// The port on the host.
        host_port: u16,
    },
    /// A port of the guest is no longer reachable.
    PortUnpublished {
        /// The port in the guest.
        guest_port: u16,
    },
    /// The workspace was given a secret, or a new value of it.
    SecretSet {
        /// Its name.
        secret: String,
    },
    /// The workspace no longer has a secret.
    SecretDeleted {
        /// Its name.
        secret: String,
    },
    /// Something was decided by policy: allowed or refused.
    PolicyDecided {
        /// What was asked for.
        request: String,
        /// What was decided.
        decision: String,
        /// The rule.
        rule: String,
    },
    /// Events came faster than they could be written down.
    EventsLost {
        /// How many are missing here.
        events: u64,
    },
    /// Its machine ended; its disks stay.
    Stopped {
        /// Why.
        reason: String,
    },
    /// Its machine was put aside with its memory.
    Hibernated {
        /// Why.
        reason: String,
    },
    /// It was deleted. Nothing comes after this.
    Deleted {
        /// Why.
        reason: String,
    },
    /// An event that this program does not know, as it is.
    #[serde(untagged)]
    Other(Map<String, Value>),
}

impl LedgerEvent {
    /// The kind as a word, as it is in JSON.
    #[must_use]
    pub fn kind(&self) -> String {
        let json = serde_json::to_value(self).expect("events are plain data");
        json["kind"].as_str().unwrap_or("unknown").to_owned()
    }

    /// Whether this is something that its user does in the workspace, as
    /// opposed to what the workspace does by itself or what is decided about it.
    #[must_use]
    pub const fn is_activity(&self) -> bool {
        match self {
            Self::Seeded { .. }
            | Self::Updated { .. }
            | Self::IdleExtended { .. }
            | Self::CommandStarted { .. }
            | Self::CommandEnded { .. }
            | Self::FileWritten { .. }
            | Self::FileEdited { .. }
            | Self::FileChanged { .. }
            | Self::PatchApplied { .. }
            | Self::SnapshotCreated { .. }
            | Self::SnapshotDeleted { .. }
            | Self::Reset { .. }
            | Self::Forked { .. }
            | Self::Synced { .. }
            | Self::Exported { .. }
            | Self::AppliedBack { .. }
            | Self::ServiceStarted { .. }
            | Self::ServiceStopped { .. }
            | Self::ShellOpened { .. }
            | Self::ShellClosed { .. }
            | Self::NetworkChanged { .. }
            | Self::PortPublished { .. }
            | Self::PortUnpublished { .. }
            | Self::SecretSet { .. }
            | Self::SecretDeleted { .. } => true,
            Self::Created { .. }
            | Self::Started {}
            | Self::IdleWarned { .. }
            | Self::ForkedFrom { .. }
            | Self::ServiceReady { .. }
            | Self::ServiceFailed { .. }
            | Self::ConnectionDenied { .. }
            | Self::PolicyDecided { .. }
            | Self::EventsLost { .. }
            | Self::Stopped { .. }
            | Self::Hibernated { .. }
            | Self::Deleted { .. }
            | Self::Other(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_a_newer_program_is_kept_as_it_is() {
        let text = r#"{"kind":"teleported","to":{"planet":"mars"}}"#;
        let event: LedgerEvent = serde_json::from_str(text).unwrap();
        assert!(matches!(&event, LedgerEvent::Other(_)));
        assert_eq!(event.kind(), "teleported");
        assert_eq!(serde_json::to_string(&event).unwrap(), text);
    }

    #[test]
    fn kinds_are_words() {
        let event = LedgerEvent::Stopped { reason: "enough".into() };
        assert_eq!(event.kind(), "stopped");
        let json = serde_json::to_string(&event).unwrap();
        assert_eq!(json, r#"{"kind":"stopped","reason":"enough"}"#);
        assert_eq!(serde_json::from_str::<LedgerEvent>(&json).unwrap(), event);
    }
}
