//! The name in the first message of a TLS client (RFC 8446 4.1.2, RFC 6066 3).
//!
//! Own code, because the message may be cut over records in any way and only
//! one of its fields is wanted: a library for TLS would bring a state machine,
//! one for parsing would leave the records to us.

/// What the first bytes of a TLS client say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hello {
    /// The message is not complete yet.
    Incomplete,
    /// It names this server.
    Named(String),
    /// It names none.
    Unnamed,
    /// It is no such message.
    Invalid,
}

const RECORD_HANDSHAKE: u8 = 22;
const RECORD_HEADER: usize = 5;
/// The largest record of TLS 1.2, in bytes.
const RECORD_MAX: usize = (1 << 14) + 2048;
const CLIENT_HELLO: u8 = 1;
const MESSAGE_HEADER: usize = 4;
/// The longest message that is waited for, in bytes. Post-quantum ones take 2 KiB.
const MESSAGE_MAX: usize = 16 * 1024;
const EXTENSION_SERVER_NAME: u16 = 0;
const NAME_TYPE_HOST: u8 = 0;

/// Reads what a client has sent so far.
pub(crate) fn read(bytes: &[u8]) -> Hello {
    match message(bytes) {
        Ok(Some(body)) => server_name(&body).unwrap_or(Hello::Invalid),
        Ok(None) => Hello::Incomplete,
        Err(Wrong) => Hello::Invalid,
    }
}

struct Wrong;

/// The body of the first message, put together from its records.
fn message(mut bytes: &[u8]) -> Result<Option<Vec<u8>>, Wrong> {
    let mut message = Vec::new();
    loop {
        if let Some(&[kind, l0, l1, l2]) = message.first_chunk::<MESSAGE_HEADER>() {
            let length = u32::from_be_bytes([0, l0, l1, l2]) as usize;
            if kind != CLIENT_HELLO || length > MESSAGE_MAX {
                return Err(Wrong);
            }
            if let Some(body) = message.get(MESSAGE_HEADER..MESSAGE_HEADER + length) {
                return Ok(Some(body.to_vec()));
            }
        }
        let Some((&[kind, major, _, l0, l1], rest)) = bytes.split_first_chunk::<RECORD_HEADER>()
        else {
            let is_handshake = bytes.first().is_none_or(|kind| *kind == RECORD_HANDSHAKE);
            return if is_handshake { Ok(None) } else { Err(Wrong) };
        };
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        if kind != RECORD_HANDSHAKE || major != 3 || length == 0 || length > RECORD_MAX {
            return Err(Wrong);
        }
        let present = length.min(rest.len());
        message.extend_from_slice(&rest[..present]);
        bytes = &rest[present..];
    }
}

/// The server that the message names.
fn server_name(body: &[u8]) -> Option<Hello> {
    let mut body = Cursor(body);
    body.take(2 + 32)?;
    body.vector_u8()?;
    body.vector_u16()?;
    body.vector_u8()?;
    if body.0.is_empty() {
        return Some(Hello::Unnamed);
    }
    let mut extensions = Cursor(body.vector_u16()?);
    let mut found = Hello::Unnamed;
    while !extensions.0.is_empty() {
        let kind = extensions.number_u16()?;
        let content = extensions.vector_u16()?;
        if kind == EXTENSION_SERVER_NAME {
            // Twice would let two readers see two names.
            if found != Hello::Unnamed {
                return None;
            }
            found = Hello::Named(host_name(content)?);
        }
    }
    body.0.is_empty().then_some(found)
}

/// The only name in the extension.
fn host_name(content: &[u8]) -> Option<String> {
    let mut content = Cursor(content);
    let mut list = Cursor(content.vector_u16()?);
    let kind = *list.take(1)?.first()?;
    let name = list.vector_u16()?;
    let is_only = content.0.is_empty() && list.0.is_empty() && kind == NAME_TYPE_HOST;
    (is_only && name.is_ascii()).then(|| String::from_utf8_lossy(name).into_owned())
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number_u16(&mut self) -> Option<u16> {
        self.take(2).and_then(|bytes| bytes.try_into().ok()).map(u16::from_be_bytes)
    }

    fn vector_u8(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(*self.take(1)?.first()?);
        self.take(length)
    }

    fn vector_u16(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(self.number_u16()?);
        self.take(length)
    }
}

/// Messages for the tests of this crate.
#[cfg(test)]
pub(crate) mod samples {
    fn vector_u16(content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&length[..], content].concat()
    }

    /// The extension that names a server.
    pub(crate) fn naming(name: &str) -> Vec<u8> {
        let entry = [&[0][..], &vector_u16(name.as_bytes())].concat();
        [&[0, 0][..], &vector_u16(&vector_u16(&entry))].concat()
    }

    /// A whole first message with these extensions, in records of at most `cut` bytes.
    pub(crate) fn hello(extensions: &[u8], cut: usize) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.push(0);
        body.extend(vector_u16(&[0x13, 0x01]));
        body.extend([1, 0]);
        body.extend(vector_u16(extensions));
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        let message = [&[1][..], &length[1..], &body].concat();
        message
            .chunks(cut)
            .flat_map(|piece| [&[22, 3, 1][..], &vector_u16(piece)].concat())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::samples::{hello, naming};
    use super::*;

    #[test]
    fn the_name_is_found_however_the_message_is_cut() {
        let other = [0, 10, 0, 2, 0, 0];
        for cut in [1, 2, 5, 50, 1000] {
            let bytes = hello(&[&other[..], &naming("example.org")].concat(), cut);
            for end in 0..bytes.len() {
                assert_eq!(read(&bytes[..end]), Hello::Incomplete, "{end} of {}", bytes.len());
            }
            assert_eq!(read(&bytes), Hello::Named("example.org".into()));
            let more = [&bytes[..], b"\x14\x03\x03\x00\x01\x01"].concat();
            assert_eq!(read(&more), Hello::Named("example.org".into()));
        }
    }

    #[test]
    fn what_names_nobody_or_two_is_told_apart() {
        assert_eq!(read(&hello(&[], 1000)), Hello::Unnamed);
        let twice = [naming("a.example"), naming("b.example")].concat();
        assert_eq!(read(&hello(&twice, 1000)), Hello::Invalid);
        assert_eq!(read(b"\x16\x02\x00\x00\x05hello"), Hello::Invalid);
        assert_eq!(read(b"\x16\x03\x01\x00\x00"), Hello::Invalid);
        assert_eq!(read(b"\x16\x03\x01\x00\x04\x02\x00\x00\x00"), Hello::Invalid);
        assert_eq!(read(b"\x16\x03\x01\x00\x04\x01\xff\x00\x00"), Hello::Invalid);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes);
            let mut hello = hello(&naming("example.org"), 1000);
            for (at, byte) in bytes.iter().enumerate().take(hello.len()) {
                hello[at] ^= byte & 1;
            }
            let _ = read(&hello);
        }
    }
}
