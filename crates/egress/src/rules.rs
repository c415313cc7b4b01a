//! The only judge of names and addresses.

use std::net::{IpAddr, SocketAddr};

use workspace_api::network::pattern::Cover;
use workspace_api::network::{DomainName, NetworkPolicy};

use crate::address::{AddressClass, AddressRange, class};

/// A workspace's policy, and what its host's operator says.
#[derive(Debug, Clone)]
pub struct Rules {
    policy: NetworkPolicy,
    public: Vec<AddressRange>,
}

/// Why something is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// Nothing may be reached.
    #[error("the network of this workspace is off")]
    Off,
    /// The list has other hosts only.
    #[error("{0} is not among the allowed hosts")]
    NotAllowed(String),
    /// The list has the host, with other ports.
    #[error("{host} is allowed, but not at port {port}")]
    OtherPort {
        /// The host.
        host: String,
        /// The port that was tried.
        port: u16,
    },
    /// The address is no public one.
    #[error("{address} is {class}, not public")]
    NotPublic {
        /// The address.
        address: IpAddr,
        /// What it is for.
        class: AddressClass,
    },
}

impl Rules {
    /// The rules of a policy on a host whose operator counts `public` as public.
    #[must_use]
    pub const fn new(policy: NetworkPolicy, public: Vec<AddressRange>) -> Self {
        Self { policy, public }
    }

    /// The policy.
    #[must_use]
    pub const fn policy(&self) -> &NetworkPolicy {
        &self.policy
    }

    /// Puts another policy in the place of the one that holds.
    pub fn set_policy(&mut self, policy: NetworkPolicy) {
        self.policy = policy;
    }

    /// Judges a name, at a port or at any port at all.
    ///
    /// # Errors
    ///
    /// Saying why it is refused.
    pub fn judge_name(&self, name: &DomainName, port: Option<u16>) -> Result<(), Denial> {
        let covers = self.policy.allow.iter().map(|pattern| pattern.covers_name(name, port));
        self.judge_list(covers, name.as_str(), port)
    }

    /// Judges a connection to an address for which no name was looked up.
    ///
    /// # Errors
    ///
    /// Saying why it is refused.
    pub fn judge_address(&self, to: SocketAddr) -> Result<(), Denial> {
        let (address, port) = (to.ip().to_canonical(), to.port());
        let covers = self.policy.allow.iter().map(|pattern| pattern.covers_address(address, port));
        self.judge_list(covers, &address.to_string(), Some(port))?;
        self.judge_place(address)
    }

    /// Judges where a connection would end: the address of a name that is
    /// allowed. Names may lead anywhere, so this is asked of every one.
    ///
    /// # Errors
    ///
    /// If the address is not public.
    pub fn judge_place(&self, address: IpAddr) -> Result<(), Denial> {
        match class(address) {
            AddressClass::Public => Ok(()),
            _ if self.public.iter().any(|range| range.contains(address)) => Ok(()),
            class => Err(Denial::NotPublic { address, class }),
        }
    }

    fn judge_list(
        &self,
        covers: impl Iterator<Item = Cover>,
        host: &str,
        port: Option<u16>,
    ) -> Result<(), Denial> {
        if self.policy.is_off() {
            return Err(Denial::Off);
        }
        if self.policy.allow.is_empty() {
            return Ok(());
        }
        let mut elsewhere = false;
        for cover in covers {
            match cover {
                Cover::Whole => return Ok(()),
                Cover::OtherPort => elsewhere = true,
                Cover::None => {}
            }
        }
        match port {
            Some(port) if elsewhere => Err(Denial::OtherPort { host: host.to_owned(), port }),
            _ => Err(Denial::NotAllowed(host.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use workspace_api::network::{NetworkMode, NetworkOptions};

    use super::*;

    fn rules(allow: &[&str], public: &[&str]) -> Rules {
        let allow = allow.iter().map(|text| text.parse().unwrap()).collect();
        let options = NetworkOptions { network: Some(NetworkMode::Egress), allow };
        let public = public.iter().map(|text| text.parse().unwrap()).collect();
        Rules::new(options.policy().unwrap(), public)
    }

    fn name(text: &str) -> DomainName {
        text.parse().unwrap()
    }

    #[test]
    fn off_refuses_everything() {
        let rules = Rules::new(NetworkPolicy::default(), Vec::new());
        assert_eq!(rules.judge_name(&name("example.org"), None), Err(Denial::Off));
        assert_eq!(rules.judge_address("1.1.1.1:443".parse().unwrap()), Err(Denial::Off));
    }

    #[test]
    fn egress_is_what_is_public() {
        let rules = rules(&[], &[]);
        assert_eq!(rules.judge_name(&name("example.org"), Some(22)), Ok(()));
        assert_eq!(rules.judge_address("1.1.1.1:443".parse().unwrap()), Ok(()));
        for private in ["10.0.0.1:80", "[::ffff:10.0.0.1]:80", "[64:ff9b::a00:1]:80", "[::1]:80"] {
            let verdict = rules.judge_address(private.parse().unwrap());
            assert!(matches!(verdict, Err(Denial::NotPublic { .. })), "{private}");
        }
    }

    #[test]
    fn a_list_is_all_there_is() {
        let rules = rules(&["example.org:443", "*.example.net", "1.1.1.1"], &[]);
        assert_eq!(rules.judge_name(&name("example.org"), None), Ok(()));
        assert_eq!(rules.judge_name(&name("example.org"), Some(443)), Ok(()));
        let other_port = Denial::OtherPort { host: "example.org".into(), port: 80 };
        assert_eq!(rules.judge_name(&name("example.org"), Some(80)), Err(other_port));
        assert_eq!(rules.judge_name(&name("a.example.net"), Some(80)), Ok(()));
        let unknown = Denial::NotAllowed("evil.example".into());
        assert_eq!(rules.judge_name(&name("evil.example"), None), Err(unknown));
        assert_eq!(rules.judge_address("1.1.1.1:22".parse().unwrap()), Ok(()));
        assert!(rules.judge_address("8.8.8.8:443".parse().unwrap()).is_err());
    }

    #[test]
    fn the_operator_widens_what_is_public_and_nothing_else() {
        let rules = rules(&["example.org", "10.0.0.1"], &["203.0.113.0/24"]);
        assert_eq!(rules.judge_place("203.0.113.80".parse().unwrap()), Ok(()));
        assert!(rules.judge_place("10.0.0.1".parse().unwrap()).is_err());
        assert!(
            rules.judge_address("10.0.0.1:80".parse().unwrap()).is_err(),
            "listed, but private"
        );
        assert!(rules.judge_address("203.0.113.80:80".parse().unwrap()).is_err(), "not listed");
    }
}
