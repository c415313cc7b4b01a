//! Reads questions and writes answers of the domain name system (RFC 1035).
//!
//! Only what a stub resolver sends is understood: one question, no compression,
//! since there is nothing to compress. Answers hold one address at most, so what
//! a guest can learn through names is whether they exist.
//!
//! `hickory-proto` would read all of the system; a stub needs 1 % of it.

use std::net::IpAddr;

use thiserror::Error;
use workspace_api::network::DomainName;

/// The longest question that is read, in bytes. One name takes 255.
pub const QUESTION_MAX: usize = 512;

const HEADER: usize = 12;
const TYPE_A: u16 = 1;
const TYPE_PTR: u16 = 12;
const TYPE_AAAA: u16 = 28;
const TYPE_ANY: u16 = 255;
const CLASS_IN: u16 = 1;

const FLAG_RESPONSE: u8 = 0x80;
const OPCODE_MASK: u8 = 0x78;
const RECURSION_DESIRED: u8 = 0x01;
const RECURSION_AVAILABLE: u8 = 0x80;

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The name that is asked for, or `None` if it could be nobody's.
    pub name: Option<DomainName>,
    /// What is asked about it.
    pub kind: Kind,
    id: [u8; 2],
    recursion_desired: bool,
    /// The question as it came, for the answer repeats it.
    raw: Vec<u8>,
}

/// What is asked about a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Its address of IPv4.
    A,
    /// Its address of IPv6.
    Aaaa,
    /// The name of an address.
    Pointer,
    /// Something else: services, texts, parameters of encryption.
    Other,
}

/// Bytes that are no question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("it is no question of a stub resolver")]
pub struct NotAQuestion;

/// What a question is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The address.
    Address(IpAddr),
    /// The name exists, and has nothing of this kind.
    Nothing,
    /// There is no such name.
    NoSuchName,
    /// The name may not be looked up.
    Refused,
    /// The host could not find out.
    Failed,
}

/// Reads a question.
///
/// # Errors
///
/// If it is none; whoever sends that gets no answer.
pub fn parse(message: &[u8]) -> Result<Question, NotAQuestion> {
    let (header, rest) = message.split_first_chunk::<HEADER>().ok_or(NotAQuestion)?;
    let [id0, id1, flags, _, q0, q1, a0, a1, n0, n1, ..] = *header;
    let counts = [[q0, q1], [a0, a1], [n0, n1]].map(u16::from_be_bytes);
    let is_query = flags & (FLAG_RESPONSE | OPCODE_MASK) == 0;
    if message.len() > QUESTION_MAX || !is_query || counts != [1, 0, 0] {
        return Err(NotAQuestion);
    }
    let (name, length) = read_name(rest)?;
    let (kind, class) = match rest.get(length..length + 4) {
        Some(&[k0, k1, c0, c1]) => (u16::from_be_bytes([k0, k1]), u16::from_be_bytes([c0, c1])),
        _ => return Err(NotAQuestion),
    };
    if class != CLASS_IN {
        return Err(NotAQuestion);
    }
    Ok(Question {
        name,
        kind: match kind {
            // Whoever asks for everything is content with an address.
            TYPE_A | TYPE_ANY => Kind::A,
            TYPE_AAAA => Kind::Aaaa,
            TYPE_PTR => Kind::Pointer,
            _ => Kind::Other,
        },
        id: [id0, id1],
        recursion_desired: flags & RECURSION_DESIRED != 0,
        raw: rest[..length + 4].to_vec(),
    })
}

/// The name at the start of `bytes`, and its length on the wire.
fn read_name(bytes: &[u8]) -> Result<(Option<DomainName>, usize), NotAQuestion> {
    let mut text = String::new();
    let mut at = 0;
    loop {
        let length = usize::from(*bytes.get(at).ok_or(NotAQuestion)?);
        at += 1;
        if length == 0 {
            return Ok((text.parse().ok(), at));
        }
        // The two highest bits would mark a pointer.
        let label = bytes.get(at..at + length).filter(|_| length < 0x40).ok_or(NotAQuestion)?;
        at += length;
        if at > 254 {
            return Err(NotAQuestion);
        }
        if !text.is_empty() {
            text.push('.');
        }
        // A byte that no name has makes the whole one nobody's.
        text.extend(label.iter().map(|byte| match byte {
            b'.' => '?',
            byte if byte.is_ascii() => char::from(*byte),
            _ => '?',
        }));
    }
}

/// Writes the answer to a question; addresses hold for `ttl_s` seconds.
#[must_use]
pub fn write(question: &Question, answer: Answer, ttl_s: u32) -> Vec<u8> {
    let record: Option<(u16, Vec<u8>)> = match answer {
        Answer::Address(IpAddr::V4(address)) => Some((TYPE_A, address.octets().to_vec())),
        Answer::Address(IpAddr::V6(address)) => Some((TYPE_AAAA, address.octets().to_vec())),
        _ => None,
    };
    let code = match answer {
        Answer::Address(_) | Answer::Nothing => 0,
        Answer::Failed => 2,
        Answer::NoSuchName => 3,
        Answer::Refused => 5,
    };
    let desired = if question.recursion_desired { RECURSION_DESIRED } else { 0 };
    let mut message = question.id.to_vec();
    message.extend([FLAG_RESPONSE | desired, RECURSION_AVAILABLE | code]);
    message.extend([0, 1, 0, u8::from(record.is_some()), 0, 0, 0, 0]);
    message.extend(&question.raw);
    if let Some((kind, address)) = record {
        // The name is the one at the start of the question.
        message.extend([0xc0, 0x0c]);
        message.extend(kind.to_be_bytes());
        message.extend(CLASS_IN.to_be_bytes());
        message.extend(ttl_s.to_be_bytes());
        message.extend(u16::try_from(address.len()).unwrap_or_default().to_be_bytes());
        message.extend(address);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn question(name: &[u8], kind: u16) -> Vec<u8> {
        let mut message = vec![0xab, 0xcd, 0x01, 0x20, 0, 1, 0, 0, 0, 0, 0, 0];
        message.extend(name);
        message.extend(kind.to_be_bytes());
        message.extend([0, 1]);
        message
    }

    #[test]
    fn a_question_is_read_and_answered() {
        let message = question(b"\x03WwW\x07example\x03org\0", TYPE_A);
        let parsed = parse(&message).unwrap();
        assert_eq!(parsed.name.as_ref().unwrap().as_str(), "www.example.org");
        assert_eq!(parsed.kind, Kind::A);
        let answer = write(&parsed, Answer::Address("198.18.1.2".parse().unwrap()), 60);
        assert_eq!(answer[..12], [0xab, 0xcd, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
        assert_eq!(answer[12..33], message[12..33], "the question is repeated, its case too");
        assert_eq!(answer[33..], [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 198, 18, 1, 2]);
        assert_eq!(write(&parsed, Answer::Refused, 60)[3], 0x85);
        assert_eq!(write(&parsed, Answer::Nothing, 60)[3], 0x80);
    }

    #[test]
    fn additional_records_of_the_question_are_ignored() {
        let mut message = question(b"\x01a\x02bc\0", TYPE_AAAA);
        message[11] = 1;
        message.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
        assert_eq!(parse(&message).unwrap().kind, Kind::Aaaa);
    }

    #[test]
    fn names_that_nobody_can_have_are_told_apart_from_damage() {
        assert_eq!(parse(&question(b"\x03a.b\x03org\0", TYPE_A)).unwrap().name, None);
        assert_eq!(parse(&question(b"\x03a\xffb\x03org\0", TYPE_A)).unwrap().name, None);
        assert_eq!(parse(&question(b"\0", TYPE_A)).unwrap().name, None);
        assert_eq!(parse(&question(b"\xc0\x0c", TYPE_A)), Err(NotAQuestion));
        assert_eq!(parse(&question(b"\x3fabc\0", TYPE_A)), Err(NotAQuestion));
        let mut response = question(b"\x01a\0", TYPE_A);
        response[2] |= 0x80;
        assert_eq!(parse(&response), Err(NotAQuestion));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(question) = parse(&bytes) {
                prop_assert!(write(&question, Answer::Nothing, 1).len() <= bytes.len());
            }
        }

        #[test]
        fn every_name_is_read(name in "([a-z0-9_-]{1,20}\\.){0,5}[a-z]{1,10}") {
            let mut wire = Vec::new();
            for label in name.split('.') {
                wire.push(u8::try_from(label.len()).unwrap());
                wire.extend(label.as_bytes());
            }
            wire.push(0);
            let parsed = parse(&question(&wire, TYPE_A)).unwrap();
            prop_assert_eq!(parsed.name.unwrap().to_string(), name);
        }
    }
}
