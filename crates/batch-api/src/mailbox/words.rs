//! Recipients, texts, and what is answered, as people write them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::control::UnitRef;
use crate::id::{MessageId, NotAnId, Role, WaitId};
use operation::text_value;

/// What a message says: at least one character, at most 4,096 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MessageText(String);

impl MessageText {
    /// Most bytes of a text.
    pub const BYTES_MAX: usize = 4096;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MessageText {
    type Err = NotAText;

    fn from_str(text: &str) -> Result<Self, NotAText> {
        if text.trim().is_empty() || text.len() > Self::BYTES_MAX {
            return Err(NotAText { bytes: text.len() });
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for MessageText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that cannot be a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message of {bytes} bytes: it needs a word, and at most {max} bytes", max = MessageText::BYTES_MAX)]
pub struct NotAText {
    bytes: usize,
}

text_value!(MessageText, "\\S");

/// Whom a message is for: a unit by its task or id (`TP-014`, `TP-014@app/1`), the agent
/// of a unit in a role (`TP-014:worker`), every agent of a role (`worker`), `everyone`,
/// or a desk of people: `operator`, `supervisor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Recipient {
    /// A unit.
    Unit(UnitRef),
    /// Every unit that is not over.
    Everyone,
    /// Whoever has a role.
    Role {
        /// The role.
        role: Role,
        /// For which unit; for all without one.
        unit: Option<UnitRef>,
    },
    /// Whoever has the right to everything.
    Operator,
}

impl FromStr for Recipient {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        const FORM: &str =
            "TASK, TASK@REPOSITORY/VISIT, either with :ROLE, a role, everyone or operator";
        let parsed = match (text, text.rsplit_once(':')) {
            ("everyone", _) => Ok(Self::Everyone),
            ("operator", _) => Ok(Self::Operator),
            (_, Some((unit, role))) => {
                role.parse().and_then(|role| Ok(Self::Role { role, unit: Some(unit.parse()?) }))
            }
            (_, None) => match text.parse() {
                Ok(role) => Ok(Self::Role { role, unit: None }),
                Err(_) => text.parse().map(Self::Unit),
            },
        };
        parsed.map_err(|_| NotAnId::of("recipient", text, FORM))
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unit(unit) => unit.fmt(f),
            Self::Everyone => f.write_str("everyone"),
            Self::Role { role, unit: None } => f.write_str(role.as_str()),
            Self::Role { role, unit: Some(unit) } => write!(f, "{unit}:{}", role.as_str()),
            Self::Operator => f.write_str("operator"),
        }
    }
}

text_value!(Recipient, "^[A-Za-z][A-Za-z0-9_-]{0,63}(@[^/]+/[0-9]+)?(:[a-z]+)?$");

/// What a message answers: another message, or something that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ReplyTo {
    /// A message.
    Message(MessageId),
    /// A wait.
    Wait(WaitId),
}

impl FromStr for ReplyTo {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let message = text.parse().map(Self::Message);
        let parsed = message.or_else(|_| text.parse().map(Self::Wait));
        parsed.map_err(|_| NotAnId::of("message or wait", text, "msg_NUMBER or wait_NUMBER"))
    }
}

impl fmt::Display for ReplyTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(message) => message.fmt(f),
            Self::Wait(wait) => wait.fmt(f),
        }
    }
}

text_value!(ReplyTo, "^(msg|wait)_[0-9]+$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipient_is_written_in_one_way_only() {
        for text in [
            "TP-014",
            "TP-014@app/1",
            "TP-014:worker",
            "TP-014@app/1:reviewer",
            "worker",
            "supervisor",
            "operator",
            "everyone",
        ] {
            assert_eq!(text.parse::<Recipient>().unwrap().to_string(), text);
        }
        for bad in ["", "7", "TP-014:boss", "TP-014:", ":worker", "TP-014@app", "a b", "../x"] {
            assert!(bad.parse::<Recipient>().is_err(), "{bad}");
        }
        for text in ["msg_4", "wait_2"] {
            assert_eq!(text.parse::<ReplyTo>().unwrap().to_string(), text);
        }
        assert!("eff_2".parse::<ReplyTo>().is_err() && " ".parse::<MessageText>().is_err());
    }
}
