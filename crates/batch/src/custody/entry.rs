//! What the registry knows of one process and its descendants.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::limits::Limit;
use super::mark::ProcessMark;

/// How long a key may be, in bytes; it becomes the name of a file and of a group.
const KEY_BYTES_MAX: usize = 96;

/// How long a label may be, in bytes.
const LABEL_BYTES_MAX: usize = 256;

/// Names an entry within its epoch. The engine takes the id of the effect that
/// wants the process and the number of the try, so that both are found by each
/// other and no key serves twice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(String);

/// Says to people what a process is for, such as `worker of build-a`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(String);

/// Not a key.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is no key of a process: 1 to {KEY_BYTES_MAX} lower-case letters, digits, `-` and `_`"
)]
pub struct NotAKey(String);

/// Not a label.
#[derive(Debug, thiserror::Error)]
#[error("a label of a process has 1 to {LABEL_BYTES_MAX} bytes and no control characters")]
pub struct NotALabel;

/// An entry as it lies in the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) label: Label,
    pub(super) program: String,
    /// Limits that the kernel holds.
    #[serde(default)]
    pub(super) limits: Vec<Limit>,
    /// The process whose death ends all others; `None` until it is known, and
    /// before it is known nothing of the entry can have run.
    pub(super) warden: Option<ProcessMark>,
}

impl FromStr for Key {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let fits = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        let sized = (1..=KEY_BYTES_MAX).contains(&text.len());
        if sized && text.bytes().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAKey(text.chars().take(KEY_BYTES_MAX).collect()))
        }
    }
}

impl FromStr for Label {
    type Err = NotALabel;

    fn from_str(text: &str) -> Result<Self, NotALabel> {
        let sized = (1..=LABEL_BYTES_MAX).contains(&text.len());
        if sized && !text.chars().any(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotALabel)
        }
    }
}

impl Key {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Key {
    type Error = NotAKey;

    fn try_from(text: String) -> Result<Self, NotAKey> {
        text.parse()
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.0
    }
}

impl TryFrom<String> for Label {
    type Error = NotALabel;

    fn try_from(text: String) -> Result<Self, NotALabel> {
        text.parse()
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_can_be_the_name_of_a_file_and_nothing_else() {
        assert!("eff_01-a".parse::<Key>().is_ok());
        for bad in ["", "..", "a/b", "a.b", "A", "a b", &"a".repeat(KEY_BYTES_MAX + 1)] {
            assert!(bad.parse::<Key>().is_err(), "{bad}");
        }
    }
}
