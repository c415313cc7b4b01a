//! Operations on what a workspace may reach.

use std::fmt;

use operation::{Effect, Example, NoEvents, Operation, Present, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::policy::{NetworkOptions, NetworkPolicy};
use crate::id::{WorkspaceId, WorkspaceRef};

/// Show what a workspace may reach
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Show {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
}

impl Operation for Show {
    type Output = NetworkState;
    type Event = NoEvents;
    const NAME: &'static str = "network.show";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] =
        &[Example { argv: "demo", json: r#"{"workspace": "demo"}"# }];
}

/// Change what a running workspace may reach
///
/// Holds from then on: connections that it no longer allows are reset before
/// this returns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// What it may reach
    #[command(flatten)]
    #[serde(default)]
    pub network_policy: NetworkOptions,
}

impl Operation for Set {
    type Output = NetworkState;
    type Event = NoEvents;
    const NAME: &'static str = "network.set";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[
        Example {
            argv: "demo --network off",
            json: r#"{"workspace": "demo", "network_policy": {"network": "off"}}"#,
        },
        Example {
            argv: "demo --allow pip.test --allow *.pythonfiles.test:443",
            json: r#"{"workspace": "demo",
                      "network_policy": {"allow": ["pip.test", "*.pythonfiles.test:443"]}}"#,
        },
    ];
}

/// Show what a running workspace reached, and what it was refused
///
/// The newest come last; the oldest are forgotten after 1,000. Names that were
/// looked up and allowed are not listed: the connections to them are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
}

impl Operation for Log {
    type Output = NetworkLog;
    type Event = NoEvents;
    const NAME: &'static str = "network.log";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] =
        &[Example { argv: "demo", json: r#"{"workspace": "demo"}"# }];
}

/// What a workspace may reach, and how much of that it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NetworkState {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The policy.
    pub policy: NetworkPolicy,
    /// Ranges of addresses that the host's operator counts as public.
    pub counted_as_public: Vec<String>,
    /// Connections that are open right now.
    pub open_connections: u32,
}

impl Present for NetworkState {
    fn present(&self, screen: &mut Screen) {
        self.policy.present(screen);
        if !self.counted_as_public.is_empty() {
            screen.line(format!("Public too     {}", self.counted_as_public.join(", ")));
        }
        screen.line(format!("Connections    {}", self.open_connections));
    }
}

/// What a workspace reached, and what it was refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NetworkLog {
    /// The entries, oldest first.
    pub entries: Vec<NetworkEntry>,
}

impl Present for NetworkLog {
    fn present(&self, screen: &mut Screen) {
        for entry in &self.entries {
            screen.line(entry.to_string());
        }
    }
}

/// One attempt to reach something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NetworkEntry {
    /// When it began, RFC 3339 in UTC.
    pub at: String,
    /// What the guest wanted: a name, or an address if it looked none up, and a
    /// port unless it only asked for the name.
    pub target: String,
    /// What became of it.
    pub verdict: NetworkVerdict,
    /// Why it was refused, or why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What allows it, if it was refused and can be allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Where the host connected to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Bytes that the guest sent.
    pub sent_bytes: u64,
    /// Bytes that it received.
    pub received_bytes: u64,
    /// How long it took or has taken so far, in milliseconds.
    pub duration_ms: u64,
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NetworkVerdict {
    /// It is allowed and open.
    Open,
    /// It was allowed and has ended.
    Closed,
    /// It was refused, at once or when it turned out to be something else.
    Denied,
    /// It was allowed, and could not be made or broke.
    Failed,
}

impl fmt::Display for NetworkVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Denied => "denied",
            Self::Failed => "failed",
        })
    }
}

impl fmt::Display for NetworkEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {:<6}  {}", self.at, self.verdict, self.target)?;
        match self.verdict {
            NetworkVerdict::Open | NetworkVerdict::Closed => write!(
                f,
                "  sent {} B, received {} B, {} ms",
                self.sent_bytes, self.received_bytes, self.duration_ms
            )?,
            NetworkVerdict::Denied | NetworkVerdict::Failed => {}
        }
        if let Some(reason) = &self.reason {
            write!(f, "  {reason}")?;
        }
        self.remedy.as_ref().map_or(Ok(()), |remedy| write!(f, " ({remedy})"))
    }
}
