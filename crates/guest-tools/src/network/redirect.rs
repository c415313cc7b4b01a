//! What becomes of packets that would leave through the interface.
//!
//! ```text
//! table inet hotcell
//!   chain redirect (nat, output)     chain rest (filter, output)
//!     oif != hotcell0: accept          oif != hotcell0: accept
//!     udp port 53: to the daemon       redirected: accept
//!     tcp port 53: to the daemon       reject, administratively prohibited
//!     tcp:         to the daemon
//! ```
//!
//! Said to the kernel in one transaction of nf_tables, whose messages are listed
//! in `linux/netfilter/nf_tables.h`.

use std::io;

use rustix::net::netlink::NETFILTER;

use super::NetworkError;
use super::netlink::{APPEND, Attributes, CREATE, Message, Netlink, text};

const TABLE: &str = "hotcell";
const REDIRECT: &str = "redirect";
const REST: &str = "rest";

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEW_TABLE: u16 = SUBSYSTEM << 8;
const DELETE_TABLE: u16 = SUBSYSTEM << 8 | 2;
const NEW_CHAIN: u16 = SUBSYSTEM << 8 | 3;
const NEW_RULE: u16 = SUBSYSTEM << 8 | 6;

/// The family that is both IPv4 and IPv6.
const INET: u8 = 1;
const HOOK_OUTPUT: u32 = 3;
/// Where the kernel itself rewrites destinations.
const PRIORITY_NAT: i32 = -100;
const PRIORITY_FILTER: i32 = 0;

const TCP: u8 = 6;
const UDP: u8 = 17;
const DNS: u16 = 53;

const REGISTER: u32 = 1;
const REGISTER_VERDICT: u32 = 0;
const VERDICT_ACCEPT: u32 = 1;

/// Where connections and questions go, as ports of the loopback.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) connections: u16,
    pub(crate) questions_udp: u16,
    pub(crate) questions_tcp: u16,
}

/// Redirects what leaves through the interface of this number.
pub(crate) fn set_up(interface: u32, ports: Ports) -> Result<(), NetworkError> {
    let failed = |source| NetworkError::Redirect { step: "set up", source };
    let elsewhere = || vec![load_meta(META_OIF), compare(NOT_EQUAL, &interface.to_ne_bytes())];
    let of = |protocol: u8| vec![load_meta(META_PROTOCOL), compare(EQUAL, &[protocol])];
    let to_dns = || vec![load_destination_port(), compare(EQUAL, &DNS.to_be_bytes())];
    let messages = vec![
        // Whatever an earlier daemon left goes in the same transaction.
        table(NEW_TABLE, CREATE),
        table(DELETE_TABLE, 0),
        table(NEW_TABLE, CREATE),
        chain(REDIRECT, "nat", PRIORITY_NAT),
        chain(REST, "filter", PRIORITY_FILTER),
        rule(REDIRECT, &[elsewhere(), vec![accept()]]),
        rule(REDIRECT, &[of(UDP), to_dns(), redirect(ports.questions_udp)]),
        rule(REDIRECT, &[of(TCP), to_dns(), redirect(ports.questions_tcp)]),
        rule(REDIRECT, &[of(TCP), redirect(ports.connections)]),
        rule(REST, &[elsewhere(), vec![accept()]]),
        rule(REST, &[is_redirected(), vec![accept()]]),
        rule(REST, &[vec![reject()]]),
    ];
    say(messages).map_err(failed)
}

/// Removes the table.
pub(crate) fn take_down() -> Result<(), NetworkError> {
    say(vec![table(NEW_TABLE, CREATE), table(DELETE_TABLE, 0)])
        .map_err(|source| NetworkError::Redirect { step: "remove", source })
}

fn say(messages: Vec<Message>) -> io::Result<()> {
    let batch = |kind| Message::new(kind, 0, &[0, 0, 0, 10]);
    Netlink::open(Some(NETFILTER))?.say_all(batch(BATCH_BEGIN), messages, batch(BATCH_END))
}

fn table(kind: u16, flags: u16) -> Message {
    const NAME: u16 = 1;
    Message::new(kind, flags, &[INET, 0, 0, 0]).with(NAME, &text(TABLE))
}

fn chain(name: &str, kind: &str, priority: i32) -> Message {
    const TABLE_NAME: u16 = 1;
    const NAME: u16 = 3;
    const HOOK: u16 = 4;
    const KIND: u16 = 7;
    let hook =
        Attributes::new().with(1, &HOOK_OUTPUT.to_be_bytes()).with(2, &priority.to_be_bytes());
    Message::new(NEW_CHAIN, CREATE, &[INET, 0, 0, 0])
        .with(TABLE_NAME, &text(TABLE))
        .with(NAME, &text(name))
        .with_nested(HOOK, &hook)
        .with(KIND, &text(kind))
}

fn rule(chain: &str, expressions: &[Vec<Attributes>]) -> Message {
    const ELEMENT: u16 = 1;
    let list = expressions
        .iter()
        .flatten()
        .fold(Attributes::new(), |list, expression| list.with_nested(ELEMENT, expression));
    Message::new(NEW_RULE, CREATE | APPEND, &[INET, 0, 0, 0])
        .with(1, &text(TABLE))
        .with(2, &text(chain))
        .with_nested(4, &list)
}

fn expression(name: &str, content: &Attributes) -> Attributes {
    Attributes::new().with(1, &text(name)).with_nested(2, content)
}

const META_OIF: u32 = 5;
const META_PROTOCOL: u32 = 16;

fn load_meta(key: u32) -> Attributes {
    let content = Attributes::new().with(1, &REGISTER.to_be_bytes()).with(2, &key.to_be_bytes());
    expression("meta", &content)
}

fn load_destination_port() -> Attributes {
    const TRANSPORT_HEADER: u32 = 2;
    let content = Attributes::new()
        .with(1, &REGISTER.to_be_bytes())
        .with(2, &TRANSPORT_HEADER.to_be_bytes())
        .with(3, &2u32.to_be_bytes())
        .with(4, &2u32.to_be_bytes());
    expression("payload", &content)
}

const EQUAL: u32 = 0;
const NOT_EQUAL: u32 = 1;

fn value(bytes: &[u8]) -> Attributes {
    Attributes::new().with(1, bytes)
}

fn compare(how: u32, with: &[u8]) -> Attributes {
    let content = Attributes::new()
        .with(1, &REGISTER.to_be_bytes())
        .with(2, &how.to_be_bytes())
        .with_nested(3, &value(with));
    expression("cmp", &content)
}

fn redirect(port: u16) -> Vec<Attributes> {
    let load = Attributes::new()
        .with(1, &REGISTER.to_be_bytes())
        .with_nested(2, &value(&port.to_be_bytes()));
    let to = Attributes::new().with(1, &REGISTER.to_be_bytes());
    vec![expression("immediate", &load), expression("redir", &to)]
}

fn accept() -> Attributes {
    let code = Attributes::new().with(1, &VERDICT_ACCEPT.to_be_bytes());
    let verdict = Attributes::new().with_nested(2, &code);
    let content =
        Attributes::new().with(1, &REGISTER_VERDICT.to_be_bytes()).with_nested(2, &verdict);
    expression("immediate", &content)
}

fn is_redirected() -> Vec<Attributes> {
    const KEY_STATUS: u32 = 2;
    const DESTINATION_CHANGED: u32 = 1 << 5;
    let load =
        Attributes::new().with(1, &REGISTER.to_be_bytes()).with(2, &KEY_STATUS.to_be_bytes());
    let mask = Attributes::new()
        .with(1, &REGISTER.to_be_bytes())
        .with(2, &REGISTER.to_be_bytes())
        .with(3, &4u32.to_be_bytes())
        .with_nested(4, &value(&DESTINATION_CHANGED.to_ne_bytes()))
        .with_nested(5, &value(&[0; 4]));
    vec![expression("ct", &load), expression("bitwise", &mask), compare(NOT_EQUAL, &[0; 4])]
}

fn reject() -> Attributes {
    const UNREACHABLE: u32 = 2;
    const PROHIBITED: u8 = 3;
    let content = Attributes::new().with(1, &UNREACHABLE.to_be_bytes()).with(2, &[PROHIBITED]);
    expression("reject", &content)
}
