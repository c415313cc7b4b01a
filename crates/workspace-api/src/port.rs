//! Ports of a workspace that can be reached from this host.

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

use operation::{Effect, Example, NoEvents, Operation, Present, Screen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::WorkspaceRef;
use operation::text_value;

/// A port in the guest, and the port of this host that leads to it: `8000:18000`;
/// `8000` alone means any free one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PortMapping {
    /// The port in the guest.
    pub guest: NonZeroU16,
    /// The port on the host; none means any free one.
    pub host: Option<NonZeroU16>,
}

impl FromStr for PortMapping {
    type Err = NotAMapping;

    fn from_str(text: &str) -> Result<Self, NotAMapping> {
        let port = |digits: &str| {
            let only_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
            let number = digits.parse().ok().filter(|_| only_digits);
            number.ok_or_else(|| NotAMapping(text.to_owned()))
        };
        Ok(match text.split_once(':') {
            Some((guest, host)) => Self { guest: port(guest)?, host: Some(port(host)?) },
            None => Self { guest: port(text)?, host: None },
        })
    }
}

impl fmt::Display for PortMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host {
            Some(host) => write!(f, "{}:{host}", self.guest),
            None => self.guest.fmt(f),
        }
    }
}

/// A text that means no ports.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` means no ports: write GUEST_PORT or GUEST_PORT:HOST_PORT, each from 1 to 65535")]
pub struct NotAMapping(String);

text_value!(PortMapping, "^[0-9]{1,5}(:[0-9]{1,5})?$");

/// Make a port of a running workspace reachable from this host
///
/// Connections to the port on the host's loopback (`127.0.0.1`) are carried to
/// the port on the guest's loopback, whatever the network policy is: it is the
/// other direction. Nothing need listen there yet; until then connections are
/// reset. The port stays published until it is unpublished or the workspace is
/// deleted, also when the workspace is reset, or stopped and started. Publishing
/// it again changes nothing. Fails with `conflict` if the host's port is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// Port in the guest, and on the host unless any will do
    #[arg(value_name = "GUEST_PORT[:HOST_PORT]")]
    pub port: PortMapping,
}

impl Operation for Publish {
    type Output = PublishedPort;
    type Event = NoEvents;
    const NAME: &'static str = "port.publish";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] = &[
        Example { argv: "demo 8000", json: r#"{"workspace": "demo", "port": "8000"}"# },
        Example { argv: "demo 8000:18000", json: r#"{"workspace": "demo", "port": "8000:18000"}"# },
    ];
}

/// A port of a workspace that can be reached from this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PublishedPort {
    /// The port in the guest.
    pub guest_port: u16,
    /// The address on the host: always its loopback.
    pub host: String,
    /// The port on the host.
    pub host_port: u16,
    /// The service that it belongs to, and ends with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Why it cannot be reached now, although it is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<String>,
    /// Connections that are open right now.
    #[serde(default)]
    pub open_connections: u32,
    /// Connections that were accepted since the machine runs.
    #[serde(default)]
    pub connections: u64,
}

impl PublishedPort {
    /// What leads to it, such as `127.0.0.1:18000`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.host_port)
    }
}

impl Present for PublishedPort {
    fn present(&self, screen: &mut Screen) {
        let service = self.service.as_ref().map_or_else(String::new, |name| format!("  {name}"));
        let closed =
            self.closed.as_ref().map_or_else(String::new, |why| format!("  closed: {why}"));
        let (address, guest) = (self.address(), self.guest_port);
        screen.line(format!("{address:<21} -> {guest}{service}{closed}"));
    }
}

/// List the ports of a workspace that can be reached from this host
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
}

impl Operation for List {
    type Output = PublishedPorts;
    type Event = NoEvents;
    const NAME: &'static str = "port.list";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] =
        &[Example { argv: "demo", json: r#"{"workspace": "demo"}"# }];
}

/// The published ports of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PublishedPorts {
    /// Ordered by the port in the guest.
    pub ports: Vec<PublishedPort>,
}

impl Present for PublishedPorts {
    fn present(&self, screen: &mut Screen) {
        self.ports.iter().for_each(|port| port.present(screen));
        if self.ports.is_empty() {
            screen.note("No ports: `hotcell port publish` publishes one");
        }
    }
}

/// Make a port of a workspace unreachable again
///
/// Connections that are open are reset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Unpublish {
    /// Name or id of the workspace
    pub workspace: WorkspaceRef,
    /// Port in the guest
    #[arg(value_name = "GUEST_PORT", value_parser = clap::value_parser!(u16).range(1..))]
    #[schemars(range(min = 1))]
    pub guest_port: u16,
}

impl Operation for Unpublish {
    type Output = Unpublished;
    type Event = NoEvents;
    const NAME: &'static str = "port.unpublish";
    const EFFECT: Effect = Effect::Changes;
    const EXAMPLES: &'static [Example] =
        &[Example { argv: "demo 8000", json: r#"{"workspace": "demo", "guest_port": 8000}"# }];
}

/// A port that is no longer published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unpublished {
    /// The port in the guest.
    pub guest_port: u16,
    /// The port that it had on the host.
    pub host_port: u16,
}

impl Present for Unpublished {
    fn present(&self, screen: &mut Screen) {
        screen.note(format!("Port {} is no longer published", self.guest_port));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_prints_what_it_parses() {
        for text in ["8000", "1:65535", "8000:18000"] {
            assert_eq!(text.parse::<PortMapping>().unwrap().to_string(), text);
        }
        for bad in
            ["", "0", "+1", "65536", "80:", ":80", "80:0", "80:90:100", "127.0.0.1:80", "http"]
        {
            assert!(bad.parse::<PortMapping>().is_err(), "{bad}");
        }
    }
}
