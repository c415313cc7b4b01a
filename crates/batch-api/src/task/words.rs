//! The words that a packet chooses from.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How large a task is.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
pub enum Size {
    /// Less than two hours.
    #[serde(rename = "S")]
    Small,
    /// Two to four hours, and what a task is that does not say.
    #[default]
    #[serde(rename = "M")]
    Medium,
    /// Four to eight hours. What is larger has to be split.
    #[serde(rename = "L")]
    Large,
}

impl Size {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Small, Self::Medium, Self::Large];

    /// Its letter.
    #[must_use]
    pub const fn letter(self) -> &'static str {
        match self {
            Self::Small => "S",
            Self::Medium => "M",
            Self::Large => "L",
        }
    }
}

impl FromStr for Size {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.to_ascii_lowercase().as_str() {
            "s" | "small" => Ok(Self::Small),
            "m" | "medium" => Ok(Self::Medium),
            "l" | "large" => Ok(Self::Large),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.letter())
    }
}

/// Which reviews a task wants.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "u8", into = "u8")]
pub enum ReviewLevel {
    /// None.
    None,
    /// The plan of each step.
    Plan,
    /// Plan and code of each step, and what a task wants that does not say.
    #[default]
    Code,
    /// Plan, code and tests.
    Test,
}

impl JsonSchema for ReviewLevel {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ReviewLevel".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "integer",
            "minimum": 0,
            "maximum": 3,
            "description": "Which reviews: none, plan, plan and code, plan and code and tests.",
        })
    }
}

impl TryFrom<u8> for ReviewLevel {
    type Error = NotALevel;

    fn try_from(number: u8) -> Result<Self, NotALevel> {
        match number {
            0 => Ok(Self::None),
            1 => Ok(Self::Plan),
            2 => Ok(Self::Code),
            3 => Ok(Self::Test),
            other => Err(NotALevel(other)),
        }
    }
}

impl From<ReviewLevel> for u8 {
    fn from(level: ReviewLevel) -> Self {
        match level {
            ReviewLevel::None => 0,
            ReviewLevel::Plan => 1,
            ReviewLevel::Code => 2,
            ReviewLevel::Test => 3,
        }
    }
}

/// A number that is no review level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no review level: they are 0 to 3")]
pub struct NotALevel(u8);
