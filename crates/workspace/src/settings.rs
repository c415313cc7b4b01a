//! What the operator decided, resolved once at the start.
//!
//! Only this module reads the environment; every variable that
//! [`Settings::from_environment`] knows is listed in [`VARIABLES`].

use std::env;
use std::ffi::OsString;
use std::num::ParseIntError;
use std::path::PathBuf;
use std::str::FromStr;

use chat_hosts::Surroundings;
use chat_hosts::place::project_around;
use egress::upstream::{NotAProxy, Upstream};
use etcetera::BaseStrategy as _;
use operation::{ErrorKind, OpError};
use workspace_api::network::NetworkPolicy;
use workspace_api::spec::Accelerator;

use crate::network::Operator;

/// Every environment variable that Hotcell reads, and what it means.
pub const VARIABLES: &[(&str, &str)] = &[
    (
        HOME_VARIABLE,
        "Directory that holds everything of Hotcell's [default: $XDG_DATA_HOME/hotcell]",
    ),
    (ACCELERATOR_VARIABLE, "What executes guests: auto, kvm or tcg [default: auto]"),
    (
        PROGRAM_VARIABLE,
        "The hotcell program that SDK users start keepers with [default: from PATH]",
    ),
    (MACHINES_VARIABLE, "How many machines may run at once [default: 256]"),
    (MEMORY_VARIABLE, "Memory in MiB that running machines may use in all [default: no limit]"),
    (LOG_VARIABLE, "What to log to standard error, such as `debug` [default: warn]"),
    (PUBLIC_VARIABLE, "Ranges of addresses, separated by commas, that count as public for guests"),
    (
        HOSTS_VARIABLE,
        "File of hosts that guests' names are looked for in before the name system, as /etc/hosts",
    ),
    (AUTHORITIES_VARIABLE, "File of certificates in PEM that guests with a network trust as well"),
    (PROXY_VARIABLE, "Proxy, as http://HOST:PORT, that the host goes through for its guests"),
    (NO_PROXY_VARIABLE, "Hosts, separated by commas, that are reached without that proxy"),
    ("PATH", "Where QEMU, the environment tools and chat hosts are looked for"),
    ("XDG_CONFIG_HOME", "Where several chat hosts keep their configuration [default: ~/.config]"),
    ("CLAUDE_CONFIG_DIR", "Where Claude Code keeps its configuration [default: ~]"),
    ("CODEX_HOME", "Where Codex keeps its configuration [default: ~/.codex]"),
    ("COPILOT_HOME", "Where Copilot CLI keeps its configuration [default: ~/.copilot]"),
    ("NO_COLOR", "Do not use colour"),
];

/// Names the directory that holds everything of ours.
pub const HOME_VARIABLE: &str = "HOTCELL_HOME";
const ACCELERATOR_VARIABLE: &str = "HOTCELL_ACCELERATOR";
const PROGRAM_VARIABLE: &str = "HOTCELL_PROGRAM";
const PUBLIC_VARIABLE: &str = "HOTCELL_EGRESS_PUBLIC";
const HOSTS_VARIABLE: &str = "HOTCELL_EGRESS_HOSTS";
const AUTHORITIES_VARIABLE: &str = "HOTCELL_EGRESS_CA";
const PROXY_VARIABLE: &str = "HTTPS_PROXY";
const NO_PROXY_VARIABLE: &str = "NO_PROXY";
pub(crate) const MACHINES_VARIABLE: &str = "HOTCELL_MACHINES_MAX";
pub(crate) const MEMORY_VARIABLE: &str = "HOTCELL_MEMORY_MIB_MAX";
/// Names the log filter; the binary reads it before anything else.
pub const LOG_VARIABLE: &str = "HOTCELL_LOG";

/// What the operator decided.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The directory that holds everything of ours.
    pub home: PathBuf,
    /// The `hotcell` program, which is also keeper and launcher.
    pub program: PathBuf,
    /// Directories, separated by colons, in which programs are looked for.
    pub search_path: String,
    /// What executes guests.
    pub accelerator: AcceleratorChoice,
    /// What guests may reach at most.
    pub network: Operator,
    /// Why the proxy of the environment cannot be used; whoever wants a network is
    /// told.
    pub proxy_trouble: Option<NotAProxy>,
    /// How much of the host machines may use.
    pub limits: MachineLimits,
}

/// How much of the host machines may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MachineLimits {
    /// How many may run at once.
    pub machines: u32,
    /// How much memory they may use in all, in MiB.
    pub memory_mib: Option<u64>,
}

impl Default for MachineLimits {
    fn default() -> Self {
        Self { machines: 256, memory_mib: None }
    }
}

/// What shall execute guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcceleratorChoice {
    /// The fastest that works here.
    Auto,
    /// This one or none.
    Only(Accelerator),
}

impl FromStr for AcceleratorChoice {
    type Err = NotAnAccelerator;

    fn from_str(text: &str) -> Result<Self, NotAnAccelerator> {
        match text {
            "auto" => Ok(Self::Auto),
            "kvm" => Ok(Self::Only(Accelerator::Kvm)),
            "tcg" => Ok(Self::Only(Accelerator::Tcg)),
            _ => Err(NotAnAccelerator(text.to_owned())),
        }
    }
}

/// A text that names no accelerator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no accelerator: use `auto`, `kvm` or `tcg`")]
pub struct NotAnAccelerator(String);

impl Settings {
    /// What the operator says about the network of a workspace with this policy.
    ///
    /// # Errors
    ///
    /// If something is allowed and the host's proxy cannot be used.
    pub(crate) fn operator(&self, policy: &NetworkPolicy) -> Result<Operator, OpError> {
        match &self.proxy_trouble {
            Some(error) if !policy.is_off() => Err(OpError::new(ErrorKind::InvalidRequest, error)
                .during(format!("{PROXY_VARIABLE} is wrong"))),
            _ => Ok(self.network.clone()),
        }
    }

    /// Reads the environment. `program` is the `hotcell` program itself if the
    /// caller is it; otherwise it is looked for.
    ///
    /// # Errors
    ///
    /// If a variable makes no sense, or there is no home directory.
    pub fn from_environment(program: Option<PathBuf>) -> Result<Self, OpError> {
        let home = match env::var_os(HOME_VARIABLE) {
            Some(home) if !home.is_empty() => std::path::absolute(&home)
                .map_err(|error| OpError::new(ErrorKind::InvalidRequest, &error))?,
            _ => etcetera::choose_base_strategy()
                .map_err(|error| {
                    OpError::new(ErrorKind::Unavailable, &error)
                        .hinted(format!("set {HOME_VARIABLE} to a directory of yours"))
                })?
                .data_dir()
                .join("hotcell"),
        };
        let accelerator = match env::var(ACCELERATOR_VARIABLE) {
            Ok(text) if !text.is_empty() => text.parse().map_err(|error| {
                OpError::new(ErrorKind::InvalidRequest, &error)
                    .during(format!("{ACCELERATOR_VARIABLE} is wrong"))
            })?,
            _ => AcceleratorChoice::Auto,
        };
        let search_path = search_path();
        let program = match program.or_else(|| env::var_os(PROGRAM_VARIABLE).map(PathBuf::from)) {
            Some(program) => program,
            None => find_program("hotcell", &search_path).ok_or_else(|| {
                OpError::plain(ErrorKind::Unavailable, "the program `hotcell` is not in PATH")
                    .hinted(format!("install it, or set {PROGRAM_VARIABLE} to it"))
            })?,
        };
        let (proxy, proxy_trouble) = match proxy() {
            Ok(proxy) => (proxy, None),
            Err(error) => (None, Some(error)),
        };
        let network = Operator { proxy, ..operator()? };
        let limits = machine_limits()?;
        Ok(Self { home, program, search_path, accelerator, network, proxy_trouble, limits })
    }
}

/// What the operator allows machines to use.
fn machine_limits() -> Result<MachineLimits, OpError> {
    let default = MachineLimits::default();
    Ok(MachineLimits {
        machines: number(MACHINES_VARIABLE)?.unwrap_or(default.machines),
        memory_mib: number(MEMORY_VARIABLE)?.or(default.memory_mib),
    })
}

fn number<N: FromStr<Err = ParseIntError>>(variable: &str) -> Result<Option<N>, OpError> {
    match env::var(variable) {
        Ok(text) if !text.is_empty() => text.parse().map(Some).map_err(|error| {
            OpError::new(ErrorKind::InvalidRequest, &error).during(format!("{variable} is wrong"))
        }),
        _ => Ok(None),
    }
}

/// What is decided for the networks of all workspaces.
fn operator() -> Result<Operator, OpError> {
    let listed = env::var(PUBLIC_VARIABLE).unwrap_or_default();
    let ranges = listed.split(',').map(str::trim).filter(|text| !text.is_empty());
    let public = ranges.map(str::parse).collect::<Result<_, _>>().map_err(|error| {
        OpError::new(ErrorKind::InvalidRequest, &error)
            .during(format!("{PUBLIC_VARIABLE} is wrong"))
    })?;
    let file = |variable| match env::var_os(variable) {
        Some(path) if !path.is_empty() => std::path::absolute(path)
            .map(Some)
            .map_err(|error| OpError::new(ErrorKind::InvalidRequest, &error)),
        _ => Ok(None),
    };
    Ok(Operator {
        public,
        hosts: file(HOSTS_VARIABLE)?,
        authorities: file(AUTHORITIES_VARIABLE)?,
        proxy: None,
    })
}

/// The proxy, as other programs are told of it: in capitals or not.
fn proxy() -> Result<Option<Upstream>, NotAProxy> {
    let either = |name: &str| {
        let found = [name.to_ascii_lowercase(), name.to_owned()].map(|name| env::var(name).ok());
        found.into_iter().flatten().find(|text| !text.is_empty())
    };
    let Some(text) = either(PROXY_VARIABLE) else { return Ok(None) };
    let proxy: Upstream = text.parse()?;
    Ok(Some(proxy.but_not_for(&either(NO_PROXY_VARIABLE).unwrap_or_default())))
}

/// What chat hosts find their configuration by.
pub(crate) fn surroundings() -> Result<Surroundings, OpError> {
    let home = etcetera::home_dir().map_err(|error| {
        OpError::new(ErrorKind::Unavailable, &error).hinted("set HOME to your home directory")
    })?;
    let here = env::current_dir().map_err(|error| {
        OpError::new(ErrorKind::Unavailable, &error)
            .during("cannot find the current directory")
            .hinted("change to a directory that exists")
    })?;
    let set = |name: &&'static str| {
        env::var_os(name).filter(|value| !value.is_empty()).map(|value| (*name, value.into()))
    };
    let variables = chat_hosts::place::VARIABLES.iter().filter_map(set).collect();
    Ok(Surroundings { home, variables, project: project_around(&here) })
}

/// The variables of ours that are set.
pub(crate) fn set_variables() -> Vec<&'static str> {
    let ours = VARIABLES.iter().map(|(name, _)| *name).filter(|name| name.starts_with("HOTCELL"));
    ours.filter(|name| env::var_os(name).is_some()).collect()
}

/// The variables that a process of ours needs which goes on by itself, such as the engine
/// of a batch: those that Hotcell reads, and where its user's things lie. Nothing else of
/// this environment reaches it.
#[must_use]
pub fn handed_on() -> Vec<(&'static str, OsString)> {
    const THEIRS: [&str; 4] = ["HOME", "TMPDIR", "https_proxy", "no_proxy"];
    let names = VARIABLES.iter().map(|(name, _)| *name).chain(THEIRS);
    names.filter_map(|name| Some((name, env::var_os(name)?))).collect()
}

/// What a variable of this process's environment holds, which somebody names in a
/// request.
#[must_use]
pub fn variable(name: &str) -> Option<OsString> {
    env::var_os(name)
}

/// `PATH`, and behind it where system tools lie that an ordinary user's `PATH`
/// often lacks.
fn search_path() -> String {
    let path = env::var("PATH").unwrap_or_default();
    let mut parts: Vec<&str> = path.split(':').filter(|part| !part.is_empty()).collect();
    for part in ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin"] {
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    parts.join(":")
}

/// The first executable of that name in a search path.
pub(crate) fn find_program(name: &str, search_path: &str) -> Option<PathBuf> {
    search_path.split(':').map(|directory| PathBuf::from(directory).join(name)).find(|path| {
        rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok() && path.is_file()
    })
}
