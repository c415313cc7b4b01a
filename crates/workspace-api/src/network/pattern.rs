//! The hosts that a list allows.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::name::DomainName;
use operation::text_value;

/// A host that may be reached: `example.org`, `*.example.org` for every name
/// below it, or an address; with `:PORT` only at that port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPattern {
    host: Host,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Host {
    Exactly(DomainName),
    Below(DomainName),
    Address(IpAddr),
}

/// Whether a pattern covers a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cover {
    /// It does.
    Whole,
    /// It names the host, but at another port.
    OtherPort,
    /// It names another host.
    None,
}

impl HostPattern {
    /// The pattern that covers exactly this name at every port.
    #[must_use]
    pub const fn exactly(name: DomainName) -> Self {
        Self { host: Host::Exactly(name), port: None }
    }

    /// Whether it covers a name at a port, or at any port at all.
    #[must_use]
    pub fn covers_name(&self, name: &DomainName, port: Option<u16>) -> Cover {
        let named = match &self.host {
            Host::Exactly(own) => own == name,
            Host::Below(parent) => name.is_below(parent),
            Host::Address(_) => false,
        };
        self.at_port(named, port)
    }

    /// Whether it covers an address at a port.
    #[must_use]
    pub fn covers_address(&self, address: IpAddr, port: u16) -> Cover {
        self.at_port(self.host == Host::Address(address), Some(port))
    }

    /// Whether another pattern covers all that this one does.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        let hosts = match (&self.host, &other.host) {
            (Host::Exactly(name), Host::Below(parent)) => name.is_below(parent),
            (Host::Below(own), Host::Below(parent)) => own == parent || own.is_below(parent),
            (own, others) => own == others,
        };
        hosts && (other.port.is_none() || other.port == self.port)
    }

    fn at_port(&self, named: bool, port: Option<u16>) -> Cover {
        match (named, self.port, port) {
            (false, ..) => Cover::None,
            (true, Some(own), Some(port)) if own != port => Cover::OtherPort,
            (true, ..) => Cover::Whole,
        }
    }
}

impl FromStr for HostPattern {
    type Err = NotAHostPattern;

    fn from_str(text: &str) -> Result<Self, NotAHostPattern> {
        let wrong = || NotAHostPattern(text.to_owned());
        let (host, port) = split_port(text).ok_or_else(wrong)?;
        let host = if let Ok(address) = host.parse::<IpAddr>() {
            Host::Address(address.to_canonical())
        } else if let Some(parent) = host.strip_prefix("*.") {
            Host::Below(parent.parse().map_err(|_| wrong())?)
        } else {
            Host::Exactly(host.parse().map_err(|_| wrong())?)
        };
        Ok(Self { host, port })
    }
}

/// Host and port of `HOST`, `HOST:PORT`, `[ADDRESS]` or `[ADDRESS]:PORT`.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        (address, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
    } else if text.parse::<IpAddr>().is_ok() {
        (text, None)
    } else {
        text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port)))
    };
    let port = match port {
        None => None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            Some(digits.parse().ok().filter(|port| *port != 0)?)
        }
        Some(_) => return None,
    };
    Some((host, port))
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.port) {
            (Host::Exactly(name), _) => write!(f, "{name}")?,
            (Host::Below(parent), _) => write!(f, "*.{parent}")?,
            (Host::Address(IpAddr::V6(address)), Some(_)) => write!(f, "[{address}]")?,
            (Host::Address(address), _) => write!(f, "{address}")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// A text that names no hosts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` names no hosts: write `example.org`, `*.example.org`, or an address, each with `:PORT` if only that port is meant"
)]
pub struct NotAHostPattern(String);

text_value!(HostPattern, "^[A-Za-z0-9*\\[][^ ]{0,262}$");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn covers(pattern: &str, name: &str, port: u16) -> Cover {
        let pattern: HostPattern = pattern.parse().unwrap();
        pattern.covers_name(&name.parse().unwrap(), Some(port))
    }

    #[test]
    fn a_pattern_covers_what_it_says_and_no_more() {
        assert_eq!(covers("example.org", "example.org", 443), Cover::Whole);
        assert_eq!(covers("Example.Org", "example.org", 443), Cover::Whole);
        assert_eq!(covers("example.org", "www.example.org", 443), Cover::None);
        assert_eq!(covers("*.example.org", "a.b.example.org", 443), Cover::Whole);
        assert_eq!(covers("*.example.org", "example.org", 443), Cover::None);
        assert_eq!(covers("*.example.org", "evilexample.org", 443), Cover::None);
        assert_eq!(covers("example.org:443", "example.org", 443), Cover::Whole);
        assert_eq!(covers("example.org:443", "example.org", 22), Cover::OtherPort);
        let address: HostPattern = "[2001:db8::1]:22".parse().unwrap();
        assert_eq!(address.covers_address("2001:db8::1".parse().unwrap(), 22), Cover::Whole);
        assert_eq!(address.covers_address("2001:db8::2".parse().unwrap(), 22), Cover::None);
    }

    #[test]
    fn a_pattern_lies_within_another_that_covers_all_of_it() {
        let within = |own: &str, other: &str| {
            own.parse::<HostPattern>().unwrap().is_within(&other.parse().unwrap())
        };
        for (own, other) in [
            ("example.org", "example.org"),
            ("example.org:443", "example.org"),
            ("a.example.org", "*.example.org"),
            ("*.a.example.org", "*.example.org"),
            ("192.0.2.1:443", "192.0.2.1"),
        ] {
            assert!(within(own, other), "{own} in {other}");
        }
        for (own, other) in [
            ("example.org", "example.org:443"),
            ("example.org:22", "example.org:443"),
            ("example.org", "*.example.org"),
            ("*.example.org", "example.org"),
            ("*.example.org", "*.a.example.org"),
            ("192.0.2.1", "192.0.2.2"),
        ] {
            assert!(!within(own, other), "{own} in {other}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for wrong in [
            "",
            "*",
            "*.",
            "**.example.org",
            "a.*.example.org",
            "example.org:",
            "example.org:0",
            "example.org:65536",
            "example.org:+1",
            "https://example.org",
            "example.org/x",
            "a b",
            "[::1",
            "[::1]x",
            "127.1",
        ] {
            assert!(wrong.parse::<HostPattern>().is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_means_the_same(text in "(\\*\\.)?[a-z]{1,5}(\\.[a-z]{1,5}){0,3}(:[1-9][0-9]{0,3})?|\\[::[1-9]\\](:[1-9])?|::[1-9]") {
            let pattern: HostPattern = text.parse().unwrap();
            prop_assert_eq!(pattern.to_string().parse::<HostPattern>().unwrap(), pattern);
        }
    }
}
