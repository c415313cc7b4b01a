//! Which name a synthetic address stands for.
//!
//! Each looked-up name gets a number of its own, and with it an address of IPv4
//! in 198.18.0.0/15 and one of IPv6 in [`PREFIX_V6`]. A connection to such an
//! address is a connection to that name, whatever the name leads to. Numbers go
//! round, so one that was forgotten does not soon mean another name; the name
//! that was used longest ago is forgotten first.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};
use workspace_api::network::DomainName;

/// How many names are remembered.
pub const CAPACITY: usize = 4096;

/// First address of 198.18.0.0/15, which RFC 2544 sets aside for benchmarks.
const BASE_V4: u32 = 0xc612_0000;

/// Where synthetic addresses of IPv6 lie: a unique local prefix (RFC 4193).
pub const PREFIX_V6: [u16; 6] = [0xfd68, 0x6f74, 0x6365, 0x6c6c, 0, 0];

/// The guest's own addresses, and its name server's, lie below.
const FIRST: u32 = 256;

/// Ends before the broadcast address of the range.
const END: u32 = 0x0001_ff00;

/// The names that a workspace has looked up. Serializes into what a snapshot
/// keeps, so that addresses which the guest remembers go on meaning the same.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "Saved", into = "Saved")]
pub struct Names {
    by_number: HashMap<u32, Entry>,
    by_name: HashMap<DomainName, u32>,
    next: u32,
    uses: u64,
}

#[derive(Debug, Clone)]
struct Entry {
    name: DomainName,
    used: u64,
}

/// What an address in a connection is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// It stands for this name.
    Name(DomainName),
    /// It could stand for a name, but for none that is remembered.
    Forgotten,
    /// It is what it is.
    Literal,
}

impl Default for Names {
    fn default() -> Self {
        Self { by_number: HashMap::new(), by_name: HashMap::new(), next: FIRST, uses: 0 }
    }
}

impl Names {
    /// The addresses that stand for `name`, from now on if not already.
    pub fn addresses(&mut self, name: &DomainName) -> (Ipv4Addr, Ipv6Addr) {
        self.uses += 1;
        let number = match self.by_name.get(name) {
            Some(number) => *number,
            None => self.remember(name),
        };
        if let Some(entry) = self.by_number.get_mut(&number) {
            entry.used = self.uses;
        }
        (v4(number), v6(number))
    }

    /// Whether a name has addresses already.
    #[must_use]
    pub fn knows(&self, name: &DomainName) -> bool {
        self.by_name.contains_key(name)
    }

    /// What `address` means.
    pub fn meaning(&mut self, address: IpAddr) -> Meaning {
        let Some(number) = number(address.to_canonical()) else { return Meaning::Literal };
        self.uses += 1;
        match self.by_number.get_mut(&number) {
            Some(entry) => {
                entry.used = self.uses;
                Meaning::Name(entry.name.clone())
            }
            None => Meaning::Forgotten,
        }
    }

    fn remember(&mut self, name: &DomainName) -> u32 {
        if self.by_number.len() >= CAPACITY {
            let oldest = self.by_number.iter().min_by_key(|(_, entry)| entry.used);
            if let Some(number) = oldest.map(|(number, _)| *number)
                && let Some(entry) = self.by_number.remove(&number)
            {
                self.by_name.remove(&entry.name);
            }
        }
        // There are far more numbers than names, so a free one comes soon.
        while self.by_number.contains_key(&self.next) {
            self.next = after(self.next);
        }
        let number = self.next;
        self.next = after(number);
        self.by_number.insert(number, Entry { name: name.clone(), used: self.uses });
        self.by_name.insert(name.clone(), number);
        number
    }
}

const fn after(number: u32) -> u32 {
    if number + 1 < END { number + 1 } else { FIRST }
}

fn v4(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(BASE_V4 + number)
}

fn v6(number: u32) -> Ipv6Addr {
    let [a, b, c, d, e, f] = PREFIX_V6;
    let low = Ipv6Addr::from_bits(u128::from(number));
    let [.., high, low] = low.segments();
    Ipv6Addr::new(a, b, c, d, e, f, high, low)
}

/// The number of a synthetic address.
fn number(address: IpAddr) -> Option<u32> {
    match address {
        IpAddr::V4(address) => {
            let offset = address.to_bits().checked_sub(BASE_V4)?;
            (offset < 0x0002_0000).then_some(offset)
        }
        IpAddr::V6(address) => {
            let [prefix @ .., high, low] = address.segments();
            (prefix == PREFIX_V6).then(|| u32::from(high) << 16 | u32::from(low))
        }
    }
}

/// What is kept of the names, in the order in which they were used.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Saved {
    names: Vec<(DomainName, u32)>,
    next: u32,
}

impl From<Names> for Saved {
    fn from(names: Names) -> Self {
        let mut entries: Vec<_> = names.by_number.into_iter().collect();
        entries.sort_by_key(|(_, entry)| entry.used);
        let names_of = entries.into_iter().map(|(number, entry)| (entry.name, number));
        Self { names: names_of.collect(), next: names.next }
    }
}

impl From<Saved> for Names {
    fn from(saved: Saved) -> Self {
        let next = if (FIRST..END).contains(&saved.next) { saved.next } else { FIRST };
        let mut names = Self { next, ..Self::default() };
        for (name, number) in saved.names.into_iter().take(CAPACITY) {
            let taken = names.by_number.contains_key(&number) || names.by_name.contains_key(&name);
            if (FIRST..END).contains(&number) && !taken {
                names.uses += 1;
                names.by_number.insert(number, Entry { name: name.clone(), used: names.uses });
                names.by_name.insert(name, number);
            }
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> DomainName {
        format!("host{number}.example.org").parse().unwrap()
    }

    #[test]
    fn an_address_means_the_name_that_it_was_made_for() {
        let mut names = Names::default();
        let (v4, v6) = names.addresses(&name(1));
        assert_eq!(names.addresses(&name(1)), (v4, v6));
        assert_ne!(names.addresses(&name(2)).0, v4);
        assert_eq!(names.meaning(v4.into()), Meaning::Name(name(1)));
        assert_eq!(names.meaning(v6.into()), Meaning::Name(name(1)));
        assert_eq!(names.meaning(v4.to_ipv6_mapped().into()), Meaning::Name(name(1)));
        assert_eq!(names.meaning("198.18.0.1".parse().unwrap()), Meaning::Forgotten);
        assert_eq!(names.meaning("198.19.255.255".parse().unwrap()), Meaning::Forgotten);
        assert_eq!(names.meaning("198.20.0.0".parse().unwrap()), Meaning::Literal);
        assert_eq!(names.meaning("1.1.1.1".parse().unwrap()), Meaning::Literal);
    }

    #[test]
    fn the_name_used_longest_ago_is_forgotten_and_its_address_means_nothing() {
        let mut names = Names::default();
        let kept = names.addresses(&name(0)).0;
        let lost = names.addresses(&name(1)).0;
        for number in 2..=CAPACITY {
            let _ = names.meaning(kept.into());
            names.addresses(&name(number));
        }
        assert_eq!(names.by_number.len(), CAPACITY);
        assert_eq!(names.by_name.len(), CAPACITY);
        assert_eq!(names.meaning(kept.into()), Meaning::Name(name(0)));
        assert_eq!(names.meaning(lost.into()), Meaning::Forgotten);
        assert_ne!(names.addresses(&name(1)).0, lost, "an old address must not come back at once");
    }

    #[test]
    fn numbers_go_round() {
        let mut names = Names { next: END - 1, ..Names::default() };
        let last = names.addresses(&name(0)).0;
        let first = names.addresses(&name(1)).0;
        assert_eq!(number(last.into()), Some(END - 1));
        assert_eq!(number(first.into()), Some(FIRST));
    }

    #[test]
    fn what_was_saved_means_the_same() {
        let mut names = Names::default();
        let addresses: Vec<_> = (0..10).map(|number| names.addresses(&name(number))).collect();
        let mut again = Names::from(Saved::from(names.clone()));
        for (number, (v4, _)) in addresses.iter().enumerate() {
            assert_eq!(again.meaning((*v4).into()), Meaning::Name(name(number)));
        }
        let fresh = again.addresses(&name(99)).0;
        assert!(addresses.iter().all(|(v4, _)| *v4 != fresh));
    }

    #[test]
    fn a_saved_map_that_makes_no_sense_is_cut_down() {
        let saved = Saved {
            names: vec![(name(1), 0), (name(2), FIRST), (name(3), FIRST), (name(2), FIRST + 1)],
            next: u32::MAX,
        };
        let mut names = Names::from(saved);
        assert_eq!(names.meaning(v4(FIRST).into()), Meaning::Name(name(2)));
        assert_eq!(names.by_name.len(), 1);
        names.addresses(&name(4));
    }
}
