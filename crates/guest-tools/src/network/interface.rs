//! The interface that everything seems to leave through.
//!
//! A dummy interface with default routes: without one a connection fails with
//! "network is unreachable" before anything could redirect it.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustix::net::Protocol;

use super::NetworkError;
use super::netlink::{Attributes, CREATE, Message, Netlink, REPLACE, text, unless_present};

/// Its name.
pub(crate) const NAME: &str = "hotcell0";

/// The guest's own addresses: the lowest of the ranges that the host's synthetic
/// addresses are from.
const ADDRESS_V4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
const ADDRESS_V6: Ipv6Addr = Ipv6Addr::new(0xfd68, 0x6f74, 0x6365, 0x6c6c, 0, 0, 0, 1);

/// Packets never leave memory, so they may be as large as on the loopback.
const MTU: u32 = 65_535;

/// Interfaces, addresses and routes: the protocol whose number is zero.
const ROUTE: Option<Protocol> = None;

const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;

const LINK_NAME: u16 = 3;
const LINK_MTU: u16 = 4;
const LINK_INFO: u16 = 18;
const LINK_INFO_KIND: u16 = 1;
const LINK_UP: u32 = 1;

const ADDRESS_ADDRESS: u16 = 1;
const ADDRESS_LOCAL: u16 = 2;
/// Nobody else can have the address, so it is of use at once.
const ADDRESS_NO_DETECTION: u8 = 2;

const ROUTE_TO: u16 = 1;
const ROUTE_OUT: u16 = 4;
const TABLE_MAIN: u8 = 254;
const TABLE_LOCAL: u8 = 255;
const PROTOCOL_STATIC: u8 = 4;
const SCOPE_LINK: u8 = 253;
const KIND_UNICAST: u8 = 1;
const KIND_LOCAL: u8 = 2;

/// How the kernel makes link-local addresses: not at all (`addr_gen_mode` in the
/// kernel's `ip-sysctl.rst`).
const NO_LINK_LOCAL: &str = "1";

const FAMILY_V4: u8 = 2;
const FAMILY_V6: u8 = 10;

/// Makes the interface with its addresses and routes; returns its number.
pub(crate) fn set_up() -> Result<u32, NetworkError> {
    let failed = |step| move |source| NetworkError::Interface { step, source };
    let mut netlink = Netlink::open(ROUTE).map_err(failed("open a way to"))?;
    let kind = Attributes::new().with(LINK_INFO_KIND, b"dummy");
    let link = Message::new(NEW_LINK, CREATE, &link_header(0, 0))
        .with(LINK_NAME, &text(NAME))
        .with(LINK_MTU, &MTU.to_ne_bytes())
        .with_nested(LINK_INFO, &kind);
    unless_present(netlink.say(link)).map_err(failed("make"))?;
    let number = number().map_err(failed("find"))?;
    // Nobody is on this link. A kernel without IPv6 has no such file.
    let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{NAME}/addr_gen_mode"), NO_LINK_LOCAL);
    netlink
        .say(Message::new(NEW_LINK, 0, &link_header(number, LINK_UP)))
        .map_err(failed("start"))?;
    for address in [IpAddr::V4(ADDRESS_V4), IpAddr::V6(ADDRESS_V6)] {
        let result = give(&mut netlink, number, address);
        match (address, result) {
            // A kernel may do without IPv6, and then so does the guest.
            (IpAddr::V6(_), Err(_)) => {}
            (IpAddr::V6(_), Ok(())) => {
                give_loopback(&mut netlink, number).map_err(failed("give the loopback to"))?;
            }
            (_, result) => result.map_err(failed("give an address and a route to"))?,
        }
    }
    Ok(number)
}

/// Removes the interface, and with it its addresses and routes.
pub(crate) fn take_down() -> Result<(), NetworkError> {
    let failed = |step| move |source| NetworkError::Interface { step, source };
    let Ok(number) = number() else { return Ok(()) };
    let mut netlink = Netlink::open(ROUTE).map_err(failed("open a way to"))?;
    netlink.say(Message::new(DELETE_LINK, 0, &link_header(number, 0))).map_err(failed("remove"))
}

fn number() -> io::Result<u32> {
    let text = fs::read_to_string(format!("/sys/class/net/{NAME}/ifindex"))?;
    text.trim().parse().map_err(|_| io::ErrorKind::InvalidData.into())
}

fn give(netlink: &mut Netlink, number: u32, address: IpAddr) -> io::Result<()> {
    let (family, octets, bits) = match address {
        IpAddr::V4(address) => (FAMILY_V4, address.octets().to_vec(), 32),
        IpAddr::V6(address) => (FAMILY_V6, address.octets().to_vec(), 128),
    };
    let mut header = vec![family, bits, ADDRESS_NO_DETECTION, 0];
    header.extend(number.to_ne_bytes());
    let address = Message::new(NEW_ADDRESS, CREATE | REPLACE, &header)
        .with(ADDRESS_LOCAL, &octets)
        .with(ADDRESS_ADDRESS, &octets);
    unless_present(netlink.say(address))?;
    let scope = if family == FAMILY_V4 { SCOPE_LINK } else { 0 };
    let header = [family, 0, 0, 0, TABLE_MAIN, PROTOCOL_STATIC, scope, KIND_UNICAST, 0, 0, 0, 0];
    let route =
        Message::new(NEW_ROUTE, CREATE | REPLACE, &header).with(ROUTE_OUT, &number.to_ne_bytes());
    unless_present(netlink.say(route))
}

/// Makes the loopback's address reachable through the interface as well. Whoever
/// connects to a link-local address says through which, and that holds for where it is
/// redirected to: without this, nothing would ever answer.
fn give_loopback(netlink: &mut Netlink, number: u32) -> io::Result<()> {
    let header = [FAMILY_V6, 128, 0, 0, TABLE_LOCAL, PROTOCOL_STATIC, 0, KIND_LOCAL, 0, 0, 0, 0];
    let route = Message::new(NEW_ROUTE, CREATE | REPLACE, &header)
        .with(ROUTE_TO, &Ipv6Addr::LOCALHOST.octets())
        .with(ROUTE_OUT, &number.to_ne_bytes());
    unless_present(netlink.say(route))
}

fn link_header(number: u32, up: u32) -> Vec<u8> {
    let mut header = vec![0; 4];
    header.extend(number.to_ne_bytes());
    header.extend(up.to_ne_bytes());
    header.extend(up.to_ne_bytes());
    header
}
