//! Which addresses are public.
//!
//! From the registries of special-purpose addresses (RFC 6890 and its updates,
//! as IANA keeps them) and the multicast and reserved blocks. Addresses of IPv6
//! that carry one of IPv4 (mapped, translated, 6to4) are what they carry: the
//! connection would end there.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

/// What an address is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressClass {
    /// Hosts of the internet.
    Public,
    /// Networks of an organisation or a home.
    Private,
    /// The host itself.
    Loopback,
    /// The same link only. Clouds serve their metadata there.
    LinkLocal,
    /// Between a provider and its customers.
    CarrierNat,
    /// Many receivers.
    Multicast,
    /// Documentation, benchmarks, protocols, or nothing yet.
    Reserved,
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Loopback => "loopback",
            Self::LinkLocal => "link-local",
            Self::CarrierNat => "a provider's own",
            Self::Multicast => "multicast",
            Self::Reserved => "reserved",
        })
    }
}

/// What `address` is for.
#[must_use]
pub fn class(address: IpAddr) -> AddressClass {
    match address {
        IpAddr::V4(address) => class_v4(address),
        IpAddr::V6(address) => match carried(address) {
            Some(inner) => class_v4(inner),
            None => class_v6(address),
        },
    }
}

fn class_v4(address: Ipv4Addr) -> AddressClass {
    match address.octets() {
        [0, ..] | [192, 0, 0, _] | [192, 0, 2, _] | [192, 88, 99, _] => AddressClass::Reserved,
        [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => AddressClass::Reserved,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => AddressClass::Private,
        [100, 64..=127, ..] => AddressClass::CarrierNat,
        [127, ..] => AddressClass::Loopback,
        [169, 254, ..] => AddressClass::LinkLocal,
        [224..=239, ..] => AddressClass::Multicast,
        [240..=255, ..] => AddressClass::Reserved,
        _ => AddressClass::Public,
    }
}

fn class_v6(address: Ipv6Addr) -> AddressClass {
    if address == Ipv6Addr::LOCALHOST {
        return AddressClass::Loopback;
    }
    match address.segments() {
        [0xfc00..=0xfdff, ..] => AddressClass::Private,
        // Site-local addresses are deprecated, and still routed by some.
        [0xfec0..=0xfeff, ..] => AddressClass::Private,
        [0xfe80..=0xfebf, ..] => AddressClass::LinkLocal,
        [0xff00..=0xffff, ..] => AddressClass::Multicast,
        // Protocol assignments (Teredo, ORCHID …) and documentation.
        [0x2001, 0x0000..=0x01ff | 0x0db8, ..] | [0x3fff, 0x0000..=0x0fff, ..] => {
            AddressClass::Reserved
        }
        // Everything that is global so far lies in 2000::/3.
        [0x2000..=0x3fff, ..] => AddressClass::Public,
        _ => AddressClass::Reserved,
    }
}

/// The address of IPv4 that one of IPv6 leads to.
fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = address.octets();
    let v4 = |at: usize| Ipv4Addr::new(octets[at], octets[at + 1], octets[at + 2], octets[at + 3]);
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // Mapped (RFC 4291), compatible (deprecated there), translated (RFC 2765).
        [0, 0, 0, 0, 0, 0xffff | 0, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => Some(v4(12)),
        // NAT64 (RFC 6052). Where its local prefix (RFC 8215) leads nobody knows.
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some(v4(12)),
        // 6to4 (RFC 3056).
        [0x2002, ..] => Some(v4(2)),
        _ => None,
    }
}

/// A range of addresses in CIDR notation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AddressRange(IpNet);

impl AddressRange {
    /// Whether `address` lies in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for AddressRange {
    type Err = NotARange;

    fn from_str(text: &str) -> Result<Self, NotARange> {
        let single = || text.parse::<IpAddr>().map(IpNet::from);
        let range = text.parse::<IpNet>().or_else(|_| single());
        range.map(|range| Self(range.trunc())).map_err(|_| NotARange(text.to_owned()))
    }
}

impl TryFrom<String> for AddressRange {
    type Error = NotARange;

    fn try_from(text: String) -> Result<Self, NotARange> {
        text.parse()
    }
}

impl From<AddressRange> for String {
    fn from(range: AddressRange) -> Self {
        range.to_string()
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A text that is no range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no range of addresses: write `203.0.113.0/24` or `2001:db8::/32`")]
pub struct NotARange(String);

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> AddressClass {
        class(text.parse().unwrap())
    }

    #[test]
    fn hosts_of_the_internet_are_public() {
        for address in [
            "1.1.1.1",
            "93.184.216.34",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "64:ff9b::1.1.1.1",
            "2002:0101:0101::1",
        ] {
            assert_eq!(of(address), AddressClass::Public, "{address}");
        }
    }

    #[test]
    fn everything_else_is_not() {
        use AddressClass::{CarrierNat, LinkLocal, Loopback, Multicast, Private, Reserved};
        for (address, class) in [
            ("0.0.0.0", Reserved),
            ("10.1.2.3", Private),
            ("172.16.0.1", Private),
            ("172.31.255.255", Private),
            ("192.168.0.1", Private),
            ("100.64.0.1", CarrierNat),
            ("127.0.0.1", Loopback),
            ("127.255.255.254", Loopback),
            ("169.254.169.254", LinkLocal),
            ("192.0.0.192", Reserved),
            ("198.18.0.1", Reserved),
            ("203.0.113.80", Reserved),
            ("224.0.0.251", Multicast),
            ("255.255.255.255", Reserved),
            ("::", Reserved),
            ("::1", Loopback),
            ("fd00:ec2::254", Private),
            ("fec0::1", Private),
            ("fe80::1", LinkLocal),
            ("ff02::1", Multicast),
            ("2001:db8::1", Reserved),
            ("2001::1", Reserved),
            ("3fff::1", Reserved),
            ("4000::1", Reserved),
            ("100::1", Reserved),
            ("64:ff9b:1::1.1.1.1", Reserved),
        ] {
            assert_eq!(of(address), class, "{address}");
        }
    }

    #[test]
    fn an_address_that_carries_another_is_that_one() {
        for prefix in ["::ffff:", "::ffff:0:", "64:ff9b::", "::"] {
            assert_eq!(of(&format!("{prefix}127.0.0.1")), AddressClass::Loopback, "{prefix}");
            assert_eq!(
                of(&format!("{prefix}169.254.169.254")),
                AddressClass::LinkLocal,
                "{prefix}"
            );
        }
        assert_eq!(of("2002:7f00:0001::1"), AddressClass::Loopback);
        assert_eq!(of("2002:a9fe:a9fe::1"), AddressClass::LinkLocal);
    }

    #[test]
    fn a_range_covers_mapped_addresses_too() {
        let range: AddressRange = "203.0.113.7/24".parse().unwrap();
        assert_eq!(range.to_string(), "203.0.113.0/24");
        assert!(range.contains("203.0.113.80".parse().unwrap()));
        assert!(range.contains("::ffff:203.0.113.80".parse().unwrap()));
        assert!(!range.contains("203.0.114.1".parse().unwrap()));
        assert!("10.0.0.0/33".parse::<AddressRange>().is_err());
        assert!("localhost".parse::<AddressRange>().is_err());
    }
}
