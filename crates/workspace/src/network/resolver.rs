//! Where names lead, as the host sees it.
//!
//! What was found is kept for a while, so that the address which was judged is
//! the address which is connected to, and a lookup is not paid twice.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use workspace_api::network::DomainName;

/// How long an answer holds.
const KEPT: Duration = Duration::from_secs(30);

/// How many answers are kept.
const ANSWERS_MAX: usize = 1024;

/// How many addresses of a name are kept.
const ADDRESSES_MAX: usize = 16;

/// How long the host's name system may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The largest file of hosts that is read, in bytes.
const HOSTS_MAX: u64 = 1024 * 1024;

/// Finds the addresses of names.
#[derive(Debug)]
pub(super) struct Resolver {
    hosts: Option<PathBuf>,
    kept: RefCell<HashMap<DomainName, (Instant, Vec<IpAddr>)>>,
}

/// A name that leads nowhere.
#[derive(Debug, thiserror::Error)]
pub(super) enum ResolveError {
    #[error("there is no such name")]
    Unknown,
    #[error("the host's name system did not answer")]
    Unavailable,
}

impl Resolver {
    pub(super) fn new(hosts: Option<PathBuf>) -> Self {
        Self { hosts, kept: RefCell::default() }
    }

    /// The addresses of `name`, at least one.
    pub(super) async fn addresses(&self, name: &DomainName) -> Result<Vec<IpAddr>, ResolveError> {
        let now = Instant::now();
        if let Some((found, addresses)) = self.kept.borrow().get(name)
            && now.duration_since(*found) < KEPT
        {
            return Ok(addresses.clone());
        }
        let addresses = match self.of_operator(name).await {
            addresses if !addresses.is_empty() => addresses,
            _ => asked(name).await?,
        };
        let mut kept = self.kept.borrow_mut();
        if kept.len() >= ANSWERS_MAX {
            kept.retain(|_, (found, _)| now.duration_since(*found) < KEPT);
        }
        if kept.len() < ANSWERS_MAX {
            kept.insert(name.clone(), (now, addresses.clone()));
        }
        Ok(addresses)
    }

    /// What the operator's file says, read anew each time.
    async fn of_operator(&self, name: &DomainName) -> Vec<IpAddr> {
        let Some(path) = &self.hosts else { return Vec::new() };
        let size = tokio::fs::metadata(path).await.map_or(u64::MAX, |file| file.len());
        if size > HOSTS_MAX {
            return Vec::new();
        }
        let text = tokio::fs::read_to_string(path).await.unwrap_or_default();
        listed(&text, name)
    }
}

fn listed(text: &str, name: &DomainName) -> Vec<IpAddr> {
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let address: IpAddr = words.next()?.parse().ok()?;
        let is_named = words.any(|word| word.parse::<DomainName>().is_ok_and(|own| own == *name));
        is_named.then_some(address)
    });
    lines.take(ADDRESSES_MAX).collect()
}

async fn asked(name: &DomainName) -> Result<Vec<IpAddr>, ResolveError> {
    // The final dot keeps the host's search list out of it.
    let target = (format!("{name}."), 0);
    let found = match timeout(PATIENCE, tokio::net::lookup_host(target)).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return Err(kind_of(&error)),
        Err(_) => return Err(ResolveError::Unavailable),
    };
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in found.map(|socket| socket.ip().to_canonical()).take(ADDRESSES_MAX) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() { Err(ResolveError::Unknown) } else { Ok(addresses) }
}

/// The standard library tells the two apart in its text only.
fn kind_of(error: &io::Error) -> ResolveError {
    if error.to_string().contains("Temporary failure") {
        ResolveError::Unavailable
    } else {
        ResolveError::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_file_is_read_as_hosts_are() {
        let text =
            "# 1.1.1.1 a.example\n127.0.0.1\tA.example b.example # c.example\n::1 a.example\n";
        let of = |name: &str| listed(text, &name.parse().unwrap());
        assert_eq!(
            of("a.example"),
            ["127.0.0.1", "::1"].map(|text| text.parse::<IpAddr>().unwrap())
        );
        assert!(of("c.example").is_empty());
    }
}
