//! Services: named processes that are looked after.
//!
//! * `state`: how a service is, and the judge of its steps.
//! * `check`: how it is found out whether it is ready.
//! * `logs`: reading what it wrote.

mod check;
mod logs;
mod state;

use std::fmt;
use std::str::FromStr;

use operation::{Effect, Example, NoEvents, Operation, Present, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::check::{Check, CheckKind, NotACheck};
pub use self::logs::{LogChannel, LogEvent, Logs, ServiceLog, ServiceLogs};
pub use self::state::{IllegalStep, ServiceState, ServiceStep, next};
use crate::id::WorkspaceRef;
use crate::job::{JobStatus, Signal};
use crate::port::PortMapping;
use crate::run::CommandOptions;
use crate::time::TimeSpan;
use operation::text_value;

/// Names a service within its workspace: 1 to 63 of `a-z`, `0-9` and `-`,
/// starting with a letter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceName(String);

impl ServiceName {
    /// Longest name, in bytes.
    pub const LENGTH_MAX: usize = 63;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServiceName {
    type Err = NotAServiceName;

    fn from_str(text: &str) -> Result<Self, NotAServiceName> {
        let belongs = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let is_valid = text.len() <= Self::LENGTH_MAX
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.chars().all(belongs);
        if is_valid { Ok(Self(text.to_owned())) } else { Err(NotAServiceName(text.to_owned())) }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A text that is no name of a service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no service name: use 1 to 63 of a-z, 0-9 and `-`, starting with a letter")]
pub struct NotAServiceName(String);

text_value!(ServiceName, "^[a-z][a-z0-9-]{0,62}$");

/// When a service is ready, and whether it stays so
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub struct Readiness {
    /// When it is ready: file:PATH, tcp:PORT, http:PORT/PATH[=STATUS],
    /// command:SCRIPT or log:REGEX [default: as soon as it runs]
    #[arg(long, value_name = "CHECK")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<Check>,
    /// It has failed if it is not ready after this time [default: 30s]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_timeout: Option<TimeSpan>,
    /// Time between two checks until it is ready [default: 200ms]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_interval: Option<TimeSpan>,
    /// Go on checking at this interval once it is ready [default: do not]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_interval: Option<TimeSpan>,
    /// It is unhealthy after so many failed checks in a row [default: 3]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub health_failures: Option<u32>,
}

/// When a service's process is started again
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Never.
    #[default]
    Never,
    /// When it failed: it exited with another code than 0, a signal ended it, it
    /// was not ready in time, or it is unhealthy.
    OnFailure,
    /// Whenever it ends.
    Always,
}

/// What happens when a service's process ends
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args,
)]
#[serde(deny_unknown_fields, default)]
pub struct Ending {
    /// When its process is started again
    #[arg(long, value_enum, default_value_t)]
    pub restart: RestartPolicy,
    /// Give up after so many restarts in a row; a minute of being ready ends the
    /// row [default: 5]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub restart_limit: Option<u32>,
    /// Pause before the first restart; each one in a row doubles it, up to 30
    /// seconds [default: 500ms]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff: Option<TimeSpan>,
    /// Signal that asks it to end [default: TERM]
    #[arg(long, value_name = "SIGNAL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<Signal>,
    /// How long it may take to end before all its processes are killed [default: 10s]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<TimeSpan>,
}

/// Start a service: a named process that a workspace looks after
///
/// Returns when it is ready, and fails if it does not get that far; it goes on
/// without a caller. Its output is kept on disk (the last 8 to 16 MiB of each
/// channel). What its process leaves running is killed when it ends. A service
/// of the same name must not run; one that has ended is replaced. It ends with
/// its machine: after a stop or a reset to the beginning it is `stopped`, and
/// `service restart` starts it as it was defined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// Name of the service
    pub service: ServiceName,
    /// When it is ready
    #[command(flatten)]
    #[serde(default)]
    pub readiness: Readiness,
    /// What happens when its process ends
    #[command(flatten)]
    #[serde(default)]
    pub ending: Ending,
    /// Wait until this service is ready first (can be repeated)
    #[arg(long, value_name = "SERVICE")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<ServiceName>,
    /// Publish this port on the host while the service runs (can be repeated)
    #[arg(long, value_name = "GUEST_PORT[:HOST_PORT]")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<PortMapping>,
    /// Return at once instead of when it is ready
    #[arg(long)]
    #[serde(default)]
    pub no_wait: bool,
    /// How its process runs
    #[command(flatten)]
    #[serde(default)]
    pub options: CommandOptions,
    /// Program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

impl Start {
    /// A service that is ready as soon as it runs, and is not restarted.
    #[must_use]
    pub fn new<S: Into<String>>(
        workspace: WorkspaceRef,
        service: ServiceName,
        command: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            workspace,
            service,
            readiness: Readiness::default(),
            ending: Ending::default(),
            after: Vec::new(),
            publish: Vec::new(),
            no_wait: false,
            options: CommandOptions::default(),
            command: command.into_iter().map(Into::into).collect(),
        }
    }
}

impl Operation for Start {
    type Output = Service;
    type Event = NoEvents;
    const NAME: &'static str = "service.start";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[
        Example {
            argv: "demo web --ready http:8000/ --publish 8000 -- python3 -m http.server 8000",
            json: r#"{"workspace": "demo", "service": "web", "readiness": {"ready": "http:8000/"},
                      "publish": ["8000"], "command": ["python3", "-m", "http.server", "8000"]}"#,
        },
        Example {
            argv: "demo worker --after web --restart on-failure --restart-limit 3 -- ./worker",
            json: r#"{"workspace": "demo", "service": "worker", "after": ["web"],
                      "ending": {"restart": "on-failure", "restart_limit": 3},
                      "command": ["./worker"]}"#,
        },
    ];
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Service {
    /// Names it within its workspace.
    pub name: ServiceName,
    /// How it is.
    pub state: ServiceState,
    /// Why it is so, if nobody asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Where it runs.
    pub cwd: String,
    /// When it is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<Check>,
    /// When its process is started again.
    pub restart: RestartPolicy,
    /// How often its process was started again since the service was started.
    pub restarts: u32,
    /// The services that it comes after.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<ServiceName>,
    /// Ports of it and of the host's loopback that lead to them, while it runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortMapping>,
    /// When it was started, RFC 3339 in UTC.
    pub started_at: String,
    /// When it was ready last, RFC 3339 in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_at: Option<String>,
    /// Its last process, once it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<JobStatus>,
}

impl Service {
    fn state_and_reason(&self) -> String {
        match &self.reason {
            Some(reason) => format!("{} ({reason})", self.state),
            None => self.state.to_string(),
        }
    }
}

impl Present for Service {
    fn present(&self, screen: &mut Screen) {
        screen.line(format!("Service   {}", self.name));
        screen.line(format!("State     {}", self.state_and_reason()));
        screen.line(format!("Runs      {}", self.argv.join(" ")));
        screen.line(format!("In        {}", self.cwd));
        if let Some(check) = &self.ready {
            screen.line(format!("Ready     {check}"));
        }
        if !self.after.is_empty() {
            let after: Vec<&str> = self.after.iter().map(ServiceName::as_str).collect();
            screen.line(format!("After     {}", after.join(", ")));
        }
        for PortMapping { guest, host } in &self.ports {
            let host = host.map_or_else(|| "-".to_owned(), |host| format!("127.0.0.1:{host}"));
            screen.line(format!("Port      {host} -> {guest}"));
        }
        screen.line(format!("Restarts  {}", self.restarts));
        screen.line(format!("Started   {}", self.started_at));
        if let Some(process) = &self.process {
            screen.line(format!("Process   {}", process.summary()));
        }
    }
}

/// List the services of a workspace, by name
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
}

impl Operation for List {
    type Output = Services;
    type Event = NoEvents;
    const NAME: &'static str = "service.list";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] =
        &[Example { argv: "demo", json: r#"{"workspace": "demo"}"# }];
}

/// The services of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Services {
    /// Ordered by name.
    pub services: Vec<Service>,
}

impl Present for Services {
    fn present(&self, screen: &mut Screen) {
        for service in &self.services {
            let argv = service.argv.join(" ");
            let ports: String = service.ports.iter().map(|port| format!("  {port}")).collect();
            screen.line(format!(
                "{:<16} {:<12} {argv}{ports}",
                service.name,
                service.state_and_reason()
            ));
        }
        if self.services.is_empty() {
            screen.note("No services: `hotcell service start` starts one");
        }
    }
}

/// Show a service
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// Name of the service
    pub service: ServiceName,
}

impl Operation for Status {
    type Output = Service;
    type Event = NoEvents;
    const NAME: &'static str = "service.status";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] =
        &[Example { argv: "demo web", json: r#"{"workspace": "demo", "service": "web"}"# }];
}

/// Stop a service
///
/// Its process is asked to end by its signal; when it has ended or its time is
/// up, whatever is left of it is killed. Its ports are closed. A service that
/// does not run stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// Name of the service
    pub service: ServiceName,
}

impl Operation for Stop {
    type Output = Service;
    type Event = NoEvents;
    const NAME: &'static str = "service.stop";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] =
        &[Example { argv: "demo web", json: r#"{"workspace": "demo", "service": "web"}"# }];
}

/// Stop a service if it runs, and start it as it was defined
///
/// Returns when it is ready, as `service start` does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Restart {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// Name of the service
    pub service: ServiceName,
}

impl Operation for Restart {
    type Output = Service;
    type Event = NoEvents;
    const NAME: &'static str = "service.restart";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] =
        &[Example { argv: "demo web", json: r#"{"workspace": "demo", "service": "web"}"# }];
}
