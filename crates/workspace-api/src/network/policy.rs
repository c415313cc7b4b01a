//! Policies: how they are asked for, and what they are.

use std::fmt;

use operation::{Present, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pattern::HostPattern;

/// How far a workspace may reach.
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
pub enum NetworkMode {
    /// Nothing: the guest has no route.
    #[default]
    Off,
    /// Public addresses, by TCP.
    Egress,
}

impl fmt::Display for NetworkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Egress => "egress",
        })
    }
}

/// What the workspace may reach
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkOptions {
    /// How far the guest reaches [default: off, or egress with --allow]
    #[arg(long, value_enum, value_name = "POLICY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkMode>,
    /// Reach only this host, such as pip.test, *.example.org or example.org:443 (can be repeated)
    #[arg(long, value_name = "HOST")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<HostPattern>,
}

impl NetworkOptions {
    /// Every public address.
    #[must_use]
    pub fn egress() -> Self {
        Self { network: Some(NetworkMode::Egress), allow: Vec::new() }
    }

    /// Only these hosts.
    #[must_use]
    pub fn only(hosts: impl IntoIterator<Item = HostPattern>) -> Self {
        Self { network: Some(NetworkMode::Egress), allow: hosts.into_iter().collect() }
    }

    /// The policy that is asked for.
    ///
    /// # Errors
    ///
    /// If the options contradict each other, or the list is too long.
    pub fn policy(&self) -> Result<NetworkPolicy, ContradictoryOptions> {
        match (self.network, self.allow.as_slice()) {
            (Some(NetworkMode::Off), [_, ..]) => Err(ContradictoryOptions::AllowedButOff),
            (_, list) if list.len() > NetworkPolicy::ALLOW_MAX => {
                Err(ContradictoryOptions::TooMany(list.len()))
            }
            (Some(NetworkMode::Off) | None, []) => Ok(NetworkPolicy::default()),
            (Some(NetworkMode::Egress) | None, list) => {
                Ok(NetworkPolicy { mode: NetworkMode::Egress, allow: list.to_vec() })
            }
        }
    }
}

/// Why options make no policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContradictoryOptions {
    /// Hosts are allowed, and the network is off.
    #[error("hosts are allowed, but the network is off")]
    AllowedButOff,
    /// There are too many patterns.
    #[error("{0} hosts are allowed, the limit is {max}", max = NetworkPolicy::ALLOW_MAX)]
    TooMany(usize),
}

/// What a workspace may reach.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NetworkPolicy {
    /// How far it may reach.
    pub mode: NetworkMode,
    /// Only these hosts; every public one if the list is empty.
    #[serde(default)]
    pub allow: Vec<HostPattern>,
}

impl NetworkPolicy {
    /// How many patterns a policy may have.
    pub const ALLOW_MAX: usize = 256;

    /// Whether nothing at all may be reached.
    #[must_use]
    pub const fn is_off(&self) -> bool {
        matches!(self.mode, NetworkMode::Off)
    }
}

impl fmt::Display for NetworkPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.mode)?;
        for (position, pattern) in self.allow.iter().enumerate() {
            f.write_str(if position == 0 { " to " } else { ", " })?;
            write!(f, "{pattern}")?;
        }
        Ok(())
    }
}

impl Present for NetworkPolicy {
    fn present(&self, screen: &mut Screen) {
        screen.line(format!("Network        {self}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_make_one_policy_or_none() {
        let host: HostPattern = "example.org".parse().unwrap();
        let policy = |network, allow: &[HostPattern]| {
            NetworkOptions { network, allow: allow.to_vec() }.policy()
        };
        let list = [host.clone()];
        assert!(policy(None, &[]).unwrap().is_off());
        assert!(policy(Some(NetworkMode::Off), &[]).unwrap().is_off());
        assert_eq!(policy(None, &list), policy(Some(NetworkMode::Egress), &list));
        assert_eq!(policy(Some(NetworkMode::Off), &list), Err(ContradictoryOptions::AllowedButOff));
        let many = vec![host; 257];
        assert_eq!(policy(None, &many), Err(ContradictoryOptions::TooMany(257)));
        assert_eq!(policy(None, &list).unwrap().to_string(), "egress to example.org");
    }
}
