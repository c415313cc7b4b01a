//! Workspaces that stay until they are deleted.
//!
//! * `apply_back`: changes for a checkout of the host.
//! * `export`: copying out of one.
//! * `fork`: making more of one.
//! * `listing`: finding them, also when they are gone.
//! * `update`: changing what they are called.

mod apply_back;
mod export;
mod fork;
mod listing;
mod update;

use std::collections::BTreeMap;

mod power;

use operation::{Effect, Example, NoEvents, Operation, Present, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::apply_back::{
    AppliedBack, ApplyBack, ApplyMode, BackChange, Conflicts, Danger, Fate, FilePlan,
};
pub use self::export::{ArchiveFormat, Existing, Export, Exported, ExportedKind};
pub use self::fork::{Fork, Forked};
pub use self::listing::{List, NamePattern, NotAPattern, Tombstone, Workspaces};
pub use self::update::Update;
use crate::digest::Digest;
use crate::id::{WorkspaceId, WorkspaceName, WorkspaceRef};
use crate::idle::{IdleAfter, IdlePolicy};
use crate::label::Label;
use crate::network::NetworkOptions;
use crate::prepare::WorkProgress;
use crate::run::{CommandEvent, CommandOptions, CommandResult};
use crate::secret::SecretName;
use crate::seed::{Seed, SeedReport};
use crate::snapshot::SnapshotRef;
use crate::spec::{Accelerator, EnvironmentRef, Shape};
use crate::state::WorkspaceState;

pub use power::{Hibernate, Start, Stop};

/// Create a workspace from a warm template
///
/// The machine runs when this returns, and stays until it is deleted. Fails
/// with `conflict` if the name is taken and with `unavailable` if the
/// environment is not prepared for this shape.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// Environment to start from
    #[arg(default_value_t)]
    #[serde(default)]
    pub environment: EnvironmentRef,
    /// Name of the workspace [default: its id]
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<WorkspaceName>,
    /// Label it, for finding it again (can be repeated)
    #[arg(long, value_name = "KEY=VALUE")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub label: Vec<Label>,
    /// How large the machine is
    #[command(flatten)]
    #[serde(default)]
    pub shape: Shape,
    /// Which tree becomes /workspace
    #[command(flatten)]
    #[serde(default)]
    pub seed: Seed,
    /// What it may reach
    #[command(flatten)]
    #[serde(default)]
    pub network_policy: NetworkOptions,
    /// What becomes of it when nobody uses it
    #[command(flatten)]
    #[serde(default)]
    pub idle: IdlePolicy,
}

impl Create {
    /// A workspace of the default shape.
    #[must_use]
    pub fn new(environment: EnvironmentRef) -> Self {
        Self { environment, ..Self::default() }
    }

    /// The same with a name.
    #[must_use]
    pub fn with_name(mut self, name: WorkspaceName) -> Self {
        self.name = Some(name);
        self
    }

    /// The same with a network.
    #[must_use]
    pub fn with_network(mut self, network: NetworkOptions) -> Self {
        self.network_policy = network;
        self
    }

    /// The same with another idle policy.
    #[must_use]
    pub fn with_idle(mut self, idle: IdlePolicy) -> Self {
        self.idle = idle;
        self
    }

    /// The same with a label.
    #[must_use]
    pub fn with_label(mut self, label: Label) -> Self {
        self.label.push(label);
        self
    }

    /// The same on a machine of `shape`.
    #[must_use]
    pub fn with_shape(mut self, shape: Shape) -> Self {
        self.shape = shape;
        self
    }

    /// The same with a tree of the host as `/workspace`.
    #[must_use]
    pub fn with_seed(mut self, seed: Seed) -> Self {
        self.seed = seed;
        self
    }
}

impl Operation for Create {
    type Output = Workspace;
    type Event = WorkProgress;
    const NAME: &'static str = "workspace.create";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[
        Example { argv: "", json: "{}" },
        Example {
            argv: "debian:12 --name demo --seed-path .",
            json: r#"{"environment": "debian:12", "name": "demo", "seed": {"path": "."}}"#,
        },
    ];
}

/// A workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Workspace {
    /// Identifies it for ever.
    pub id: WorkspaceId,
    /// Its name.
    pub name: Option<WorkspaceName>,
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Its state.
    pub state: WorkspaceState,
    /// Why it is in that state, if nobody asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Name of the environment that it started from.
    pub environment: EnvironmentRef,
    /// Digest of that environment.
    pub environment_digest: Digest,
    /// What executes it.
    pub accelerator: Accelerator,
    /// How large its machine is.
    pub shape: Shape,
    /// When it was created, RFC 3339 in UTC.
    pub created_at: String,
    /// When somebody last did something in it, RFC 3339 in UTC; looking at it
    /// does not count.
    pub last_activity_at: String,
    /// What becomes of it when nobody uses it.
    #[serde(default)]
    pub idle: IdlePolicy,
    /// When it is put aside unless somebody uses it before, RFC 3339 in UTC; told
    /// of one workspace while it is idle, not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// How long that is from now, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_ms: Option<u64>,
    /// What it was seeded with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<SeedReport>,
    /// Names of the secrets that something in it was given. Their values are hidden
    /// in all that it shows, until it is deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretName>,
    /// Disk space that it uses beyond what it shares, in bytes.
    pub disk_bytes: u64,
    /// How much the guest can write to its drives in all, in bytes; what snapshots keep
    /// of that comes on top.
    pub disk_max_bytes: u64,
    /// Memory of the host that its machine has for itself alone right now, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// What is going on in it right now, while its machine runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity: Option<Activity>,
}

/// What is going on in a running workspace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Activity {
    /// How many commands run.
    pub running_commands: u32,
    /// How many shells are open.
    #[serde(default)]
    pub open_shells: u32,
    /// How many terminals of people are attached to them.
    #[serde(default)]
    pub attached_terminals: u32,
    /// How many services are looked after, whatever state they are in.
    #[serde(default)]
    pub running_services: u32,
    /// How many of them are ready.
    #[serde(default)]
    pub ready_services: u32,
    /// How many services have failed for good.
    #[serde(default)]
    pub failed_services: u32,
}

impl Workspace {
    fn present_idleness(&self, screen: &mut Screen) {
        if self.idle.idle_after == IdleAfter::Never {
            return;
        }
        let left = self.expires_in_ms.map(|left| {
            // To the second: whoever reads this has passed a part of it already.
            let left = jiff::SignedDuration::from_secs((left / 1000).cast_signed());
            format!(", {left:#} from now")
        });
        screen.line(format!("When idle      {}{}", self.idle, left.unwrap_or_default()));
    }
}

impl Activity {
    /// It in a few words; none if nothing is going on.
    #[must_use]
    pub fn in_short(&self) -> String {
        let Self { ready_services, running_services, failed_services, .. } = *self;
        let services = running_services + failed_services;
        let mut parts = Vec::new();
        parts.extend(
            (self.running_commands > 0).then(|| format!("{} commands", self.running_commands)),
        );
        parts.extend((self.open_shells > 0).then(|| format!("{} shells", self.open_shells)));
        parts.extend((services > 0).then(|| format!("{ready_services}/{services} services ready")));
        parts.join(", ")
    }
}

impl Present for Workspace {
    fn present(&self, screen: &mut Screen) {
        let name = self.name.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        screen.line(format!("Workspace      {}", self.id));
        screen.line(format!("Name           {name}"));
        for (key, value) in &self.labels {
            screen.line(format!("Label          {key}={value}"));
        }
        match &self.reason {
            None => screen.line(format!("State          {}", self.state)),
            Some(reason) => screen.line(format!("State          {} ({reason})", self.state)),
        }
        screen.line(format!("Environment    {} {}", self.environment, self.environment_digest));
        screen.line(format!("Machine        {} ({})", self.shape, self.accelerator));
        screen.line(format!("Created        {}", self.created_at));
        screen.line(format!("Last activity  {}", self.last_activity_at));
        self.present_idleness(screen);
        screen.line(format!(
            "Disk           {} KiB, may grow to {} GiB",
            self.disk_bytes.div_ceil(1024),
            self.disk_max_bytes >> 30
        ));
        if let Some(bytes) = self.memory_bytes {
            screen.line(format!("Memory         {} MiB of the host's", bytes.div_ceil(1 << 20)));
        }
        if let Some(seed) = &self.seed {
            seed.present(screen);
        }
        if !self.secrets.is_empty() {
            let names: Vec<&str> = self.secrets.iter().map(SecretName::as_str).collect();
            screen.line(format!("Secrets        was given {}", names.join(", ")));
        }
        if let Some(activity) = &self.activity {
            let Activity { running_commands, open_shells, attached_terminals, .. } = activity;
            screen.line(format!(
                "Running        {running_commands} commands, {open_shells} shells, \
                 {attached_terminals} terminals attached"
            ));
            let Activity { running_services, ready_services, failed_services, .. } = activity;
            screen.line(format!(
                "Services       {ready_services} of {running_services} ready, \
                 {failed_services} failed"
            ));
        }
    }
}

/// Run a command in a workspace
///
/// Streams what the command writes and exits with its exit code, as `run` does.
/// The workspace keeps what the command changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// How the command runs
    #[command(flatten)]
    #[serde(default)]
    pub options: CommandOptions,
    /// Program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

impl Exec {
    /// Runs `command` in `workspace`.
    #[must_use]
    pub fn new<S: Into<String>>(
        workspace: WorkspaceRef,
        command: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            workspace,
            options: CommandOptions::default(),
            command: command.into_iter().map(Into::into).collect(),
        }
    }

    /// The same with other options of the command.
    #[must_use]
    pub fn with_options(mut self, options: CommandOptions) -> Self {
        self.options = options;
        self
    }
}

impl Operation for Exec {
    type Output = CommandResult;
    type Event = CommandEvent;
    const NAME: &'static str = "workspace.exec";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[Example {
        argv: "demo --timeout 30s --secret DEPLOY_TOKEN=TOKEN -- make deploy",
        json: r#"{"workspace": "demo", "options": {"timeout": "30s",
                  "secret": ["DEPLOY_TOKEN=TOKEN"]}, "command": ["make", "deploy"]}"#,
    }];
}

/// Show a workspace
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
}

impl Operation for Status {
    type Output = Workspace;
    type Event = NoEvents;
    const NAME: &'static str = "workspace.status";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] =
        &[Example { argv: "demo", json: r#"{"workspace": "demo"}"# }];
}

/// Put a workspace back to how it was created, or to a snapshot
///
/// Its disks and its memory become what they were; name, id, network policy and
/// snapshots stay. Commands in the background, shells and services that ran in
/// the snapshot run again; whatever else runs is lost: commands under way end
/// with `machine_lost`. Fails with `unavailable`, and changes nothing, if the
/// host no longer has what this needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Reset {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// Snapshot to go back to; `baseline` is how it was created
    #[arg(long, value_name = "SNAPSHOT", default_value_t)]
    #[serde(default)]
    pub to: SnapshotRef,
}

impl Operation for Reset {
    type Output = Workspace;
    type Event = NoEvents;
    const NAME: &'static str = "workspace.reset";
    const EFFECT: Effect = Effect::Destroys;
    const EXAMPLES: &'static [Example] = &[
        Example { argv: "demo", json: r#"{"workspace": "demo"}"# },
        Example {
            argv: "demo --to before-upgrade",
            json: r#"{"workspace": "demo", "to": "before-upgrade"}"#,
        },
    ];
}

/// Delete a workspace with everything in it
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Delete {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
}

impl Operation for Delete {
    type Output = Deleted;
    type Event = NoEvents;
    const NAME: &'static str = "workspace.delete";
    const EFFECT: Effect = Effect::Destroys;
    const EXAMPLES: &'static [Example] =
        &[Example { argv: "demo", json: r#"{"workspace": "demo"}"# }];
}

/// A workspace that no longer exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Deleted {
    /// The id that it had.
    pub id: WorkspaceId,
}

impl Present for Deleted {
    fn present(&self, screen: &mut Screen) {
        screen.line(format!("Deleted {}", self.id));
    }
}
