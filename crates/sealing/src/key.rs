//! Keys.

use std::fmt;

use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Begins the text form of a key, and says its version.
const PREFIX: &str = "hotcell key 1 ";

/// Length of a key, in bytes.
const LENGTH: usize = 32;

/// A key. Its memory is overwritten when it goes.
#[derive(Clone)]
pub struct Key(Zeroizing<[u8; LENGTH]>);

/// Tells keys apart without saying anything about them: the beginning of a hash.
pub(crate) type KeyId = [u8; 8];

/// Bytes that are no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it does not hold a key of a version that this program knows")]
pub struct NotAKey;

/// The system has no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system has no random bytes")]
pub struct NoRandomness(#[source] pub(crate) getrandom::Error);

impl Key {
    /// Longest text form that is looked at, in bytes.
    pub const TEXT_MAX: usize = 128;

    /// A new key, drawn at random.
    ///
    /// # Errors
    ///
    /// If the system has no random bytes.
    pub fn generate() -> Result<Self, NoRandomness> {
        let mut bytes = Zeroizing::new([0; LENGTH]);
        getrandom::fill(&mut *bytes).map_err(NoRandomness)?;
        Ok(Self(bytes))
    }

    /// Its text form, for a file that only its owner can read.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = Zeroizing::new(String::with_capacity(Self::TEXT_MAX));
        text.push_str(PREFIX);
        for byte in self.0.iter() {
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        text.push('\n');
        text
    }

    /// The key whose text form this is.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn from_text(text: &[u8]) -> Result<Self, NotAKey> {
        let text = std::str::from_utf8(text).map_err(|_| NotAKey)?;
        let digits = text.trim_end().strip_prefix(PREFIX).ok_or(NotAKey)?.as_bytes();
        if digits.len() != 2 * LENGTH {
            return Err(NotAKey);
        }
        let mut bytes = Zeroizing::new([0; LENGTH]);
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(bytes))
    }

    pub(crate) fn id(&self) -> KeyId {
        let hash =
            Sha256::new().chain_update(b"hotcell key id 1\0").chain_update(*self.0).finalize();
        std::array::from_fn(|index| hash[index])
    }

    pub(crate) fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.0).into())
    }
}

fn digit(digit: u8) -> Result<u8, NotAKey> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(NotAKey),
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_text_form_and_nothing_else_is_one() {
        let key = Key::generate().unwrap();
        let text = key.to_text();
        assert!(text.len() <= Key::TEXT_MAX);
        assert_eq!(*Key::from_text(text.as_bytes()).unwrap().0, *key.0);
        assert_ne!(Key::generate().unwrap().id(), key.id());
        for bad in ["", "hotcell key 1 ", "hotcell key 2 00", &text.replace('1', "2"), &text[..70]]
        {
            assert!(Key::from_text(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert_eq!(format!("{key:?}"), "Key(..)");
    }
}
