//! Identifiers and names.
//!
//! Ids carry their kind (`ws_…`), so a value in a log or a message says what it
//! is. A field that means an existing workspace takes a [`WorkspaceRef`]: an
//! id, a unique beginning of one, or a name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use operation::text_value;

/// Identifies a workspace for ever: `ws_` and 32 hexadecimal digits, which are
/// a UUID of version 7 and so sort by time of creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WorkspaceId(Uuid);

impl WorkspaceId {
    const PREFIX: &'static str = "ws_";

    /// The id that stands for `uuid`.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl fmt::Display for WorkspaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, self.0.simple())
    }
}

impl FromStr for WorkspaceId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let canonical = |uuid: &Uuid| uuid.simple().to_string();
        text.strip_prefix(Self::PREFIX)
            .and_then(|digits| {
                let uuid = Uuid::try_parse(digits).ok()?;
                (canonical(&uuid) == digits).then_some(Self(uuid))
            })
            .ok_or_else(|| NotAnId(text.to_owned()))
    }
}

/// A text that is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no workspace id: it is `ws_` and 32 hexadecimal digits")]
pub struct NotAnId(String);

text_value!(WorkspaceId, "^ws_[0-9a-f]{32}$");

/// The name that a person gives a workspace: 1 to 63 of `a-z`, `0-9` and `-`,
/// starting with a letter. Unique among the workspaces that exist.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WorkspaceName(String);

impl WorkspaceName {
    /// Longest name, in bytes; it becomes the guest's host name.
    pub const LENGTH_MAX: usize = 63;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WorkspaceName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let valid = text.len() <= Self::LENGTH_MAX
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if valid { Ok(Self(text.to_owned())) } else { Err(NotAName(text.to_owned())) }
    }
}

impl fmt::Display for WorkspaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no workspace name: use 1 to 63 of a-z, 0-9 and `-`, starting with a letter")]
pub struct NotAName(String);

text_value!(WorkspaceName, "^[a-z][a-z0-9-]{0,62}$");

/// Means one existing workspace: its id, a unique beginning of its id of at
/// least four digits, or its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum WorkspaceRef {
    /// The beginning of an id, or a whole one.
    Id(String),
    /// A name.
    Name(WorkspaceName),
}

impl WorkspaceRef {
    /// Fewest digits of an id that mean it.
    pub const DIGITS_MIN: usize = 4;
}

impl FromStr for WorkspaceRef {
    type Err = NotARef;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || NotARef(text.to_owned());
        match text.strip_prefix(WorkspaceId::PREFIX) {
            Some(digits) => {
                let valid = (Self::DIGITS_MIN..=32).contains(&digits.len())
                    && digits.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
                if valid { Ok(Self::Id(text.to_owned())) } else { Err(refused()) }
            }
            None => text.parse().map(Self::Name).map_err(|_| refused()),
        }
    }
}

impl From<WorkspaceId> for WorkspaceRef {
    fn from(id: WorkspaceId) -> Self {
        Self::Id(id.to_string())
    }
}

impl fmt::Display for WorkspaceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => f.write_str(id),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// A text that can mean no workspace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` means no workspace: give its name, its id, or the id's first digits (`ws_1a2b`)")]
pub struct NotARef(String);

text_value!(WorkspaceRef, "^(ws_[0-9a-f]{4,32}|[a-z][a-z0-9-]{0,62})$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_prints_what_it_parses() {
        let text = "ws_0190a6f2c1b27c3d8e4f5a6b7c8d9e0f";
        assert_eq!(text.parse::<WorkspaceId>().unwrap().to_string(), text);
        for bad in [
            "ws_0190",
            "0190a6f2c1b27c3d8e4f5a6b7c8d9e0f",
            "WS_0190a6f2c1b27c3d8e4f5a6b7c8d9e0f",
            "ws_0190A6F2C1B27C3D8E4F5A6B7C8D9E0F",
        ] {
            assert!(bad.parse::<WorkspaceId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn names_and_references() {
        assert!("demo-1".parse::<WorkspaceName>().is_ok());
        for bad in ["", "1demo", "Demo", "a b", "ä", &"x".repeat(64)] {
            assert!(bad.parse::<WorkspaceName>().is_err(), "{bad}");
        }
        assert!(matches!("ws_1a2b".parse(), Ok(WorkspaceRef::Id(_))));
        assert!(matches!("demo".parse(), Ok(WorkspaceRef::Name(_))));
        assert!("ws_1a".parse::<WorkspaceRef>().is_err());
        assert!("../x".parse::<WorkspaceRef>().is_err());
    }
}
