//! The values of a ceiling, as an operator writes them.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use crate::network::{HostPattern, NetworkPolicy};

/// What workspaces may reach at most: `off`, `egress` for every public address, or
/// hosts, separated by commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkCeiling {
    /// Nothing.
    Off,
    /// Only these hosts, of which there is at least one.
    Only(Vec<HostPattern>),
    /// Every public address.
    Egress,
}

impl NetworkCeiling {
    const OFF: &'static str = "off";
    const EGRESS: &'static str = "egress";

    /// Whether a policy allows nothing that this does not.
    #[must_use]
    pub fn covers(&self, policy: &NetworkPolicy) -> bool {
        policy.is_off()
            || match self {
                Self::Off => false,
                Self::Egress => true,
                Self::Only(_) => {
                    !policy.allow.is_empty()
                        && policy.allow.iter().all(|host| self.covers_host(host))
                }
            }
    }

    /// Whether hosts may be reached.
    #[must_use]
    pub fn covers_host(&self, host: &HostPattern) -> bool {
        match self {
            Self::Off => false,
            Self::Egress => true,
            Self::Only(hosts) => hosts.iter().any(|allowed| host.is_within(allowed)),
        }
    }
}

impl FromStr for NetworkCeiling {
    type Err = NotACeiling;

    fn from_str(text: &str) -> Result<Self, NotACeiling> {
        let wrong = || NotACeiling(text.to_owned());
        match text {
            Self::OFF => Ok(Self::Off),
            Self::EGRESS => Ok(Self::Egress),
            hosts => {
                let hosts: Result<Vec<_>, _> = hosts.split(',').map(str::parse).collect();
                let hosts: Vec<HostPattern> = hosts.map_err(|_| wrong())?;
                // A policy that is narrowed to it has to be one.
                if hosts.len() > NetworkPolicy::ALLOW_MAX {
                    return Err(wrong());
                }
                Ok(Self::Only(hosts))
            }
        }
    }
}

impl fmt::Display for NetworkCeiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str(Self::OFF),
            Self::Egress => f.write_str(Self::EGRESS),
            Self::Only(hosts) => {
                for (position, host) in hosts.iter().enumerate() {
                    f.write_str(if position == 0 { "" } else { "," })?;
                    host.fmt(f)?;
                }
                Ok(())
            }
        }
    }
}

/// A text that limits no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no limit for a network: write `off`, `egress`, or at most {max} hosts such as \
         `pip.test,*.example.org:443`", max = NetworkPolicy::ALLOW_MAX)]
pub struct NotACeiling(String);

/// What may be done at most to the checkout of the host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ApplyBackCeiling {
    /// Nothing, and nothing is said of it either.
    No,
    /// It may be said what would be done.
    #[default]
    DryRun,
    /// It may be done, unless it is dangerous or in conflict.
    Yes,
}

impl ApplyBackCeiling {
    /// The word for it, as options have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::DryRun => "dry-run",
            Self::Yes => "yes",
        }
    }
}

/// A directory of the host, by its absolute path without links, `.` and `..`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRoot(PathBuf);

impl HostRoot {
    /// The root at a path that was resolved.
    ///
    /// # Errors
    ///
    /// If it is not absolute or goes up.
    pub fn new(path: PathBuf) -> Result<Self, NotARoot> {
        let goes_up = path.components().any(|component| component == Component::ParentDir);
        if path.is_absolute() && !goes_up { Ok(Self(path)) } else { Err(NotARoot(path)) }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// A path that is no root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is no absolute path without `..`", .0.display())]
pub struct NotARoot(PathBuf);
