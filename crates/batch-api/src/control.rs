//! Running a batch: started, looked at, steered and ended.
//!
//! * [`start`]: what makes a batch.
//! * [`status`]: what is known of one, or of all.
//! * [`events`]: what has happened; [`doctor`]: what is wrong.
//! * [`change`]: what is asked of its engine.
//! * [`integrate`]: where its work goes.

pub mod change;
pub mod doctor;
pub mod events;
pub mod integrate;
mod present;
pub mod start;
pub mod status;

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{BatchId, NotAnId, TaskId, UnitId};
use crate::init::here;
use operation::text_value;

/// Means one batch: its id, or a unique beginning of it of at least four digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BatchRef(String);

impl BatchRef {
    /// Fewest digits of an id that mean it.
    pub const DIGITS_MIN: usize = 4;

    /// Whether it can mean a batch.
    #[must_use]
    pub fn means(&self, batch: BatchId) -> bool {
        batch.to_string().starts_with(&self.0)
    }
}

impl From<BatchId> for BatchRef {
    fn from(id: BatchId) -> Self {
        Self(id.to_string())
    }
}

impl FromStr for BatchRef {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        const FORM: &str = "bat_ and 4 to 32 hexadecimal digits";
        let digits = text.strip_prefix("bat_").filter(|digits| {
            (Self::DIGITS_MIN..=32).contains(&digits.len())
                && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        });
        digits.map(|_| Self(text.to_owned())).ok_or_else(|| NotAnId::of("batch", text, FORM))
    }
}

impl fmt::Display for BatchRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(BatchRef, "^bat_[0-9a-f]{4,32}$");

/// Means one unit of a batch: by its task, or by its whole id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum UnitRef {
    /// The unit of a task, of which there is one.
    Task(TaskId),
    /// A unit.
    Unit(UnitId),
}

impl FromStr for UnitRef {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        match text.contains('@') {
            true => text.parse().map(Self::Unit),
            false => text.parse().map(Self::Task),
        }
    }
}

impl fmt::Display for UnitRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task(task) => task.fmt(f),
            Self::Unit(unit) => unit.fmt(f),
        }
    }
}

text_value!(UnitRef, "^[A-Za-z][A-Za-z0-9_-]{0,63}(@[^/]+/[0-9]+)?$");

/// Which batch is meant
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Batch, by its id or the beginning of it; without one the repository's batch that
    /// is not over, or else its newest
    #[arg(value_name = "BATCH")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchRef>,
    /// Directory in the repository whose batch is meant if none is named
    #[arg(long, value_name = "DIR", default_value = ".")]
    #[serde(default = "here")]
    pub directory: String,
}

impl From<BatchId> for Target {
    fn from(id: BatchId) -> Self {
        Self { batch: Some(id.into()), directory: here() }
    }
}

impl Default for Target {
    fn default() -> Self {
        Self { batch: None, directory: here() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_and_units_are_meant_by_what_people_type() {
        let id: BatchId = "bat_0190a6f2c1b27c3d8e4f5a6b7c8d9e0f".parse().unwrap();
        for text in ["bat_0190", "bat_0190a6f2c1b27c3d8e4f5a6b7c8d9e0f"] {
            assert!(text.parse::<BatchRef>().unwrap().means(id), "{text}");
        }
        assert!(!"bat_0191".parse::<BatchRef>().unwrap().means(id));
        for bad in ["", "0190a6f2", "bat_", "bat_019", "bat_0190A6", "bat_../x"] {
            assert!(bad.parse::<BatchRef>().is_err(), "{bad}");
        }
        for text in ["TP-7", "TP-7@app/1"] {
            assert_eq!(text.parse::<UnitRef>().unwrap().to_string(), text);
        }
        for bad in ["", "7", "TP-7@", "TP-7@app", "@app/1", "../x"] {
            assert!(bad.parse::<UnitRef>().is_err(), "{bad}");
        }
    }
}
