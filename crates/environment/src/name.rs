//! Names and digests.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

/// The longest name, in bytes. With every byte encoded as three it still fits
/// a file name on every Linux file system.
pub(crate) const MAX_NAME_BYTES: usize = 80;

/// Length of a digest in hexadecimal digits.
pub(crate) const DIGEST_DIGITS: usize = 64;

/// What a digest is shown with.
const DIGEST_PREFIX: &str = "sha256:";

const LOWER_CASE_DIGITS: &[char; 16] =
    &['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
const UPPER_CASE_DIGITS: &[char; 16] =
    &['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];

fn push_hexadecimal(out: &mut String, byte: u8, digits: &[char; 16]) {
    for half in [byte >> 4, byte & 0xf] {
        out.extend(digits.get(usize::from(half)));
    }
}

/// What an environment is called: `debian:12`. Lower case letters, digits and
/// `. _ / : -`, beginning with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EnvironmentName(String);

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// It is empty or too long.
    #[error("a name has 1 to {MAX_NAME_BYTES} bytes, this one has {0}")]
    Length(usize),
    /// It holds something that no name holds at this place.
    #[error("{0:?} cannot stand here in a name")]
    Character(char),
}

impl EnvironmentName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as a file name: what is neither letter, digit, dot, dash nor
    /// underscore becomes `%` and two hexadecimal digits.
    pub(crate) fn encoded(&self) -> String {
        let mut out = String::with_capacity(self.0.len());
        for byte in self.0.bytes() {
            match byte {
                b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' => out.push(char::from(byte)),
                other => {
                    out.push('%');
                    push_hexadecimal(&mut out, other, UPPER_CASE_DIGITS);
                }
            }
        }
        out
    }
}

impl FromStr for EnvironmentName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text.is_empty() || text.len() > MAX_NAME_BYTES {
            return Err(InvalidName::Length(text.len()));
        }
        for (position, character) in text.chars().enumerate() {
            let fits = match character {
                'a'..='z' | '0'..='9' => true,
                '.' | '_' | '/' | ':' | '-' => position > 0,
                _ => false,
            };
            if !fits {
                return Err(InvalidName::Character(character));
            }
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for EnvironmentName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<EnvironmentName> for String {
    fn from(name: EnvironmentName) -> Self {
        name.0
    }
}

impl fmt::Display for EnvironmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A SHA-256 digest. Shown and stored as `sha256:` and 64 digits; directories
/// bear the digits alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// Why a text is no digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a digest is {DIGEST_PREFIX} and {DIGEST_DIGITS} lower case hexadecimal digits")]
pub struct InvalidDigest;

impl Digest {
    /// The 64 digits without prefix.
    #[must_use]
    pub fn digits(&self) -> &str {
        &self.0
    }

    pub(crate) fn of_hasher(hasher: sha2::Sha256) -> Self {
        let mut digits = String::with_capacity(DIGEST_DIGITS);
        for byte in hasher.finalize() {
            push_hexadecimal(&mut digits, byte, LOWER_CASE_DIGITS);
        }
        Self(digits)
    }

    /// A UUID that depends on the digest alone.
    pub(crate) fn uuid(&self) -> uuid::Uuid {
        let mut bytes = [0_u8; 16];
        let sum = sha2::Sha256::digest(self.0.as_bytes());
        for (to, from) in bytes.iter_mut().zip(sum) {
            *to = from;
        }
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let digits = text.strip_prefix(DIGEST_PREFIX).unwrap_or(text);
        let hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if digits.len() == DIGEST_DIGITS && digits.bytes().all(hexadecimal) {
            Ok(Self(digits.to_owned()))
        } else {
            Err(InvalidDigest)
        }
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidDigest;

    fn try_from(text: String) -> Result<Self, InvalidDigest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        format!("{DIGEST_PREFIX}{}", digest.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{DIGEST_PREFIX}{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_file_names() {
        let name: EnvironmentName = "debian:12-base".parse().unwrap();
        assert_eq!(name.encoded(), "debian%3A12-base");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        assert_eq!("".parse::<EnvironmentName>(), Err(InvalidName::Length(0)));
        assert_eq!("../x".parse::<EnvironmentName>(), Err(InvalidName::Character('.')));
        assert_eq!("a b".parse::<EnvironmentName>(), Err(InvalidName::Character(' ')));
        assert_eq!("A".parse::<EnvironmentName>(), Err(InvalidName::Character('A')));
        let long = "a".repeat(MAX_NAME_BYTES + 1);
        assert!(long.parse::<EnvironmentName>().is_err());
    }

    #[test]
    fn a_digest_is_shown_with_its_prefix() {
        let digest = Digest::of_hasher(sha2::Sha256::new());
        assert_eq!(digest.to_string().parse(), Ok(digest.clone()));
        assert_eq!(digest.digits().parse(), Ok(digest));
        assert_eq!("sha256:12".parse::<Digest>(), Err(InvalidDigest));
    }
}
