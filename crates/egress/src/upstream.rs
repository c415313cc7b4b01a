//! The proxy through which a host reaches others, if it reaches them in no other
//! way.
//!
//! Said as everywhere, in `HTTPS_PROXY` and `NO_PROXY`; asked for a tunnel
//! (`CONNECT`, RFC 9110 9.3.6) to the name that the guest meant, never to an
//! address that was found for it: only so does the proxy's own policy apply.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use crate::address::AddressRange;

/// The longest head of an answer that is read, in bytes.
pub const ANSWER_MAX: usize = 16 * 1024;

/// How many header fields an answer may have.
const FIELDS_MAX: usize = 64;

/// The port of a proxy that does not say which.
const PORT: u16 = 80;

/// A proxy that speaks plain HTTP/1.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    host: String,
    port: u16,
    /// What authenticates us, ready for the header.
    credentials: Option<String>,
    direct: Vec<Direct>,
}

/// What is reached without the proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Direct {
    Everything,
    /// A name and all names below it.
    Names(String),
    Addresses(AddressRange),
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("direct", &self.direct)
            .finish_non_exhaustive()
    }
}

/// Why a proxy does not give a tunnel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It says so.
    #[error("the host's proxy answers {0}")]
    Status(u16),
    /// It does not speak HTTP/1.
    #[error("the host's proxy does not answer as a proxy does")]
    NotHttp,
}

impl Upstream {
    /// The proxy, but for the hosts of a list as `NO_PROXY` has it: names (with
    /// all that lies below them), addresses and ranges, separated by commas; `*`
    /// for everything. What makes no sense in it means nothing.
    #[must_use]
    pub fn but_not_for(self, list: &str) -> Self {
        let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        Self { direct: entries.map(direct).collect(), ..self }
    }

    /// Where the proxy is.
    #[must_use]
    pub fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// Whether a host, a name in lower case or an address, is reached through it.
    #[must_use]
    pub fn applies_to(&self, host: &str) -> bool {
        let address: Option<IpAddr> = host.parse().ok();
        !self.direct.iter().any(|direct| match (direct, address) {
            (Direct::Everything, _) => true,
            (Direct::Addresses(range), Some(address)) => range.contains(address),
            (Direct::Names(name), None) => {
                host.strip_suffix(name.as_str()).is_some_and(|r| r.is_empty() || r.ends_with('.'))
            }
            _ => false,
        })
    }

    /// The request for a tunnel to a host, a name or an address.
    #[must_use]
    pub fn request(&self, host: &str, port: u16) -> Vec<u8> {
        let host = match host.parse() {
            Ok(IpAddr::V6(address)) => format!("[{address}]"),
            _ => host.to_owned(),
        };
        let credentials = self.credentials.as_ref().map_or_else(String::new, |credentials| {
            format!("Proxy-Authorization: Basic {credentials}\r\n")
        });
        format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{credentials}\r\n")
            .into_bytes()
    }
}

/// The length of the head of a proxy's answer, if it is complete and a tunnel is
/// there; what follows it comes through the tunnel.
///
/// # Errors
///
/// If there is none.
pub fn answer(bytes: &[u8]) -> Result<Option<usize>, Refused> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut parsed = httparse::Response::new(&mut fields);
    match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => match parsed.code {
            Some(200..=299) => Ok(Some(length)),
            Some(code) => Err(Refused::Status(code)),
            None => Err(Refused::NotHttp),
        },
        Ok(httparse::Status::Partial) if bytes.len() < ANSWER_MAX => Ok(None),
        Ok(httparse::Status::Partial) | Err(_) => Err(Refused::NotHttp),
    }
}

/// One entry of `NO_PROXY`.
fn direct(entry: &str) -> Direct {
    if entry == "*" {
        return Direct::Everything;
    }
    match entry.parse() {
        Ok(range) => Direct::Addresses(range),
        Err(_) => {
            let name = entry.strip_prefix('*').unwrap_or(entry);
            Direct::Names(name.trim_start_matches('.').to_ascii_lowercase())
        }
    }
}

impl FromStr for Upstream {
    type Err = NotAProxy;

    fn from_str(text: &str) -> Result<Self, NotAProxy> {
        let rest = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some(_) => return Err(NotAProxy),
            None => text,
        };
        let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, rest),
        };
        let (host, port) = split(place).ok_or(NotAProxy)?;
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_host) {
            return Err(NotAProxy);
        }
        let credentials = user.map(|user| BASE64_STANDARD.encode(decoded(user)));
        Ok(Self { host: host.to_owned(), port, credentials, direct: Vec::new() })
    }
}

/// Host and port of `HOST`, `HOST:PORT`, `[ADDRESS]` or `[ADDRESS]:PORT`.
fn split(place: &str) -> Option<(&str, u16)> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, port.strip_prefix(':'))
        }
        None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    Some((host, port.map_or(Some(PORT), |port| port.parse().ok())?))
}

/// Text in which `%41` stands for `A`.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.bytes().next() {
        let escaped = rest.get(1..3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped.filter(|_| first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[3..];
            }
            None => {
                let length = rest.chars().next().map_or(1, char::len_utf8);
                bytes.extend_from_slice(&rest.as_bytes()[..length]);
                rest = &rest[length..];
            }
        }
    }
    bytes
}

/// A text that names no proxy. It may hold a password, so it is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it names no proxy that can be used: write `http://HOST:PORT`")]
pub struct NotAProxy;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn upstream(text: &str) -> Upstream {
        text.parse().unwrap()
    }

    #[test]
    fn a_proxy_is_written_as_everywhere() {
        assert_eq!(upstream("http://proxy.example:3128/").address(), ("proxy.example", 3128));
        assert_eq!(upstream("proxy.example").address(), ("proxy.example", 80));
        assert_eq!(upstream("http://[::1]:8080").address(), ("::1", 8080));
        for wrong in ["", "https://proxy.example", "socks5://a", "http://", "http://a:x", "a b"] {
            assert_eq!(wrong.parse::<Upstream>(), Err(NotAProxy), "{wrong}");
        }
    }

    #[test]
    fn credentials_are_sent_and_not_shown() {
        let proxy = upstream("http://user:p%40ss@proxy.example:3128");
        let request = String::from_utf8(proxy.request("good.example", 443)).unwrap();
        assert_eq!(
            request,
            "CONNECT good.example:443 HTTP/1.1\r\nHost: good.example:443\r\n\
             Proxy-Authorization: Basic dXNlcjpwQHNz\r\n\r\n"
        );
        assert!(!format!("{proxy:?}").contains("dXNl"));
        let request = String::from_utf8(upstream("a").request("::1", 80)).unwrap();
        assert!(request.starts_with("CONNECT [::1]:80 "));
    }

    #[test]
    fn what_is_reached_without_it_is_listed() {
        let proxy = upstream("p").but_not_for("a.example, .b.example,*.c.example,10.0.0.0/8,::1,");
        for direct in ["a.example", "x.a.example", "b.example", "x.c.example", "10.1.2.3", "::1"] {
            assert!(!proxy.applies_to(direct), "{direct}");
        }
        for through in ["xa.example", "example", "11.1.2.3", "::2"] {
            assert!(proxy.applies_to(through), "{through}");
        }
        assert!(!upstream("p").but_not_for("*").applies_to("a.example"));
    }

    #[test]
    fn only_success_is_a_tunnel() {
        let good = b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nmore";
        assert_eq!(answer(good), Ok(Some(good.len() - 4)));
        assert_eq!(answer(&good[..20]), Ok(None));
        assert_eq!(answer(b"HTTP/1.1 407 No\r\n\r\n"), Err(Refused::Status(407)));
        assert_eq!(answer(b"\x16\x03\x01"), Err(Refused::NotHttp));
        let endless = [&good[..20], &[b'a'; ANSWER_MAX]].concat();
        assert_eq!(answer(&endless), Err(Refused::NotHttp));
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC*", list in "\\PC*") {
            if let Ok(proxy) = text.parse::<Upstream>() {
                let _ = proxy.but_not_for(&list).applies_to("good.example");
            }
        }
    }
}
