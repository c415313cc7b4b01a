//! Names of hosts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use operation::text_value;

/// A domain name in its one canonical form: lower case, without a final dot,
/// labels of letters, digits, `-` and `_`. Names of other scripts are written in
/// their `xn--` form, as they are on the wire.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DomainName(String);

impl DomainName {
    /// Longest name, in bytes (RFC 1035, without the length of the root).
    pub const LENGTH_MAX: usize = 253;
    /// Longest label, in bytes.
    pub const LABEL_MAX: usize = 63;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without its labels that begin with `_`: services are looked up
    /// as `_https._tcp.example.org`, and belong to `example.org`.
    #[must_use]
    pub fn host(&self) -> Option<Self> {
        let mut rest = self.0.as_str();
        while rest.starts_with('_') {
            rest = rest.split_once('.')?.1;
        }
        Some(Self(rest.to_owned()))
    }

    /// Whether it lies below `parent`.
    #[must_use]
    pub fn is_below(&self, parent: &Self) -> bool {
        self.0.strip_suffix(&parent.0).is_some_and(|rest| rest.ends_with('.'))
    }
}

impl FromStr for DomainName {
    type Err = NotADomainName;

    fn from_str(text: &str) -> Result<Self, NotADomainName> {
        let name = text.strip_suffix('.').unwrap_or(text);
        let is_label = |label: &str| {
            (1..=Self::LABEL_MAX).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        // A name whose last label is a number is an address to many programs.
        let is_numeric = |label: &str| {
            label.bytes().all(|b| b.is_ascii_digit())
                || label.to_ascii_lowercase().starts_with("0x")
        };
        let valid = name.len() <= Self::LENGTH_MAX
            && name.split('.').all(is_label)
            && !name.rsplit('.').next().is_some_and(is_numeric);
        if valid { Ok(Self(name.to_ascii_lowercase())) } else { Err(NotADomainName) }
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no domain name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no domain name: labels of letters, digits, `-` and `_`, joined by dots")]
pub struct NotADomainName;

text_value!(DomainName, "^[a-z0-9_-]{1,63}(\\.[a-z0-9_-]{1,63})*$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_form() {
        let name = |text: &str| text.parse::<DomainName>().map(|name| name.to_string());
        assert_eq!(name("Example.ORG.").as_deref(), Ok("example.org"));
        assert_eq!(name("xn--bcher-kva.example").as_deref(), Ok("xn--bcher-kva.example"));
        let long = "x".repeat(64);
        for wrong in
            ["", ".", "a..b", "a b", "bücher.example", "127.1", "0x7f000001", "1.2.3.4", &long]
        {
            assert_eq!(name(wrong), Err(NotADomainName), "{wrong:?}");
        }
    }

    #[test]
    fn below_means_by_whole_labels() {
        let name = |text: &str| text.parse::<DomainName>().unwrap();
        assert!(name("a.b.example.org").is_below(&name("example.org")));
        assert!(!name("example.org").is_below(&name("example.org")));
        assert!(!name("evilexample.org").is_below(&name("example.org")));
        assert_eq!(name("_https._tcp.deb.example").host(), Some(name("deb.example")));
        assert_eq!(name("_tcp").host(), None);
    }
}
