//! Identities. Each is written in one way only, and none is drawn by chance:
//! apart from the batch's own id, which its creator gives, the engine derives
//! every one from what the journal already holds.
//!
//! ```text
//! bat_0190a6f2…            a batch
//! TP-7                     a task: one packet
//! TP-7@app/1               a unit: the first visit of the task to a repository
//! TP-7@app/1#2             its second attempt: one lane, one budgeted try
//! TP-7@app/1#2:worker      the agent in that role
//! TP-7@app/1#2:worker~3    its third conversation: one fresh context
//! eff_17, msg_4, wait_2    the 17th effect, the 4th message, the 2nd wait
//! ```
//!
//! Nothing is called after a lane: lanes are used by one unit after another, and
//! mail or a process of the former must never reach the latter.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use operation::text_value;

use crate::text::word;

/// A text that is no id of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {kind}: it has the form {form}")]
pub struct NotAnId {
    kind: &'static str,
    text: String,
    form: &'static str,
}

impl NotAnId {
    pub(crate) fn of(kind: &'static str, text: &str, form: &'static str) -> Self {
        Self { kind, text: text.to_owned(), form }
    }
}

/// Identifies a batch for ever: `bat_` and the 32 hexadecimal digits of a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BatchId(Uuid);

impl BatchId {
    const PREFIX: &'static str = "bat_";

    /// The id that stands for `uuid`.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, self.0.simple())
    }
}

impl FromStr for BatchId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        text.strip_prefix(Self::PREFIX)
            .and_then(|digits| {
                let uuid = Uuid::try_parse(digits).ok()?;
                (uuid.simple().to_string() == digits).then_some(Self(uuid))
            })
            .ok_or_else(|| NotAnId::of("BatchId", text, "^bat_[0-9a-f]{32}$"))
    }
}

text_value!(BatchId, "^bat_[0-9a-f]{32}$");

word! {
    /// A task, by its packet's own id: 1 to 64 letters, digits, `_` and `-`,
    /// starting with a letter.
    TaskId, 64, "^[A-Za-z][A-Za-z0-9_-]{0,63}$",
    |text| text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

word! {
    /// A repository of the batch: 1 to 63 of `a-z`, `0-9`, `.`, `_` and `-`,
    /// starting with a letter or digit.
    RepositoryName, 63, "^[a-z0-9][a-z0-9._-]{0,62}$",
    |text| text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.bytes().all(|b| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b)
        })
}

word! {
    /// What a client calls a request of its own, so that repeating it is safe: 1
    /// to 64 letters, digits, `_` and `-`.
    RequestId, 64, "^[A-Za-z0-9_-]{1,64}$",
    |text| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

word! {
    /// A commit by git's own name: 40 hexadecimal digits, 64 with SHA-256.
    CommitName, 64, "^([0-9a-f]{40}|[0-9a-f]{64})$",
    |text| matches!(text.len(), 40 | 64)
        && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Work of a task in one repository: what the engine schedules. A task that
/// comes back to a repository makes another visit, so another unit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UnitId {
    /// The task.
    pub task: TaskId,
    /// Where its work is done.
    pub repository: RepositoryName,
    /// Which visit, from 1.
    pub visit: u32,
}

/// One budgeted try of a unit, in one lane, from a base of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AttemptId {
    /// What is tried.
    pub unit: UnitId,
    /// Which try, from 1.
    pub number: u32,
}

/// What an agent is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Does the steps of a packet.
    Worker,
    /// Judges what a worker did.
    Reviewer,
    /// Resolves what a merge could not.
    Merger,
    /// Watches over the batch.
    Supervisor,
}

/// An agent: a role in an attempt.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AgentId {
    /// What it works on.
    pub attempt: AttemptId,
    /// What it is there for.
    pub role: Role,
}

/// One context of an agent, from its opening to its end. Whether a message was
/// delivered is a question about a conversation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConversationId {
    /// Whose it is.
    pub agent: AgentId,
    /// Which one of the agent's, from 1.
    pub number: u32,
}

impl Role {
    /// The role as a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Reviewer => "reviewer",
            Self::Merger => "merger",
            Self::Supervisor => "supervisor",
        }
    }
}

impl FromStr for Role {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        [Self::Worker, Self::Reviewer, Self::Merger, Self::Supervisor]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| NotAnId::of("Role", text, "worker|reviewer|merger|supervisor"))
    }
}

/// Prints and parses an id that is another one, a mark, and a last part.
macro_rules! joined {
    ($name:ident { $left:ident, $right:ident } by $mark:literal, $form:literal, $show:expr) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let show: fn(&Self, &mut fmt::Formatter<'_>) -> fmt::Result = $show;
                show(self, f)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                let parsed = text.rsplit_once($mark).and_then(|(left, right)| {
                    Some(Self { $left: left.parse().ok()?, $right: right.parse().ok()? })
                });
                // Printing it again refuses a number with a sign or leading zeros.
                parsed
                    .filter(|id: &Self| id.to_string() == text)
                    .ok_or_else(|| NotAnId::of(stringify!($name), text, $form))
            }
        }

        text_value!($name, $form);
    };
}

impl fmt::Display for UnitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}/{}", self.task, self.repository, self.visit)
    }
}

impl FromStr for UnitId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let parsed = text.split_once('@').and_then(|(task, rest)| {
            let (repository, visit) = rest.rsplit_once('/')?;
            Some(Self {
                task: task.parse().ok()?,
                repository: repository.parse().ok()?,
                visit: visit.parse().ok()?,
            })
        });
        parsed
            .filter(|id| id.to_string() == text)
            .ok_or_else(|| NotAnId::of("UnitId", text, "TASK@REPOSITORY/VISIT"))
    }
}

text_value!(UnitId, "^[^@]+@[^/]+/[0-9]+$");

joined!(AttemptId { unit, number } by '#', "^.+#[0-9]+$", |id, f| write!(f, "{}#{}", id.unit, id.number));
joined!(AgentId { attempt, role } by ':', "^.+:[a-z]+$", |id, f| {
    write!(f, "{}:{}", id.attempt, id.role.as_str())
});
joined!(ConversationId { agent, number } by '~', "^.+~[0-9]+$", |id, f| {
    write!(f, "{}~{}", id.agent, id.number)
});

/// An id that counts things of one kind within a batch, from 1.
macro_rules! counted {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $form:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(u64);

        impl $name {
            /// The one with this number.
            #[must_use]
            pub const fn numbered(number: u64) -> Self {
                Self(number)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                let number = text.strip_prefix($prefix).and_then(|digits| digits.parse().ok());
                number
                    .map(Self)
                    .filter(|id| id.to_string() == text)
                    .ok_or_else(|| NotAnId::of(stringify!($name), text, $form))
            }
        }

        text_value!($name, $form);
    };
}

counted! {
    /// An effect: one thing that the engine has done outside of itself.
    EffectId, "eff_", "^eff_[0-9]+$"
}
counted! {
    /// A message of the mailbox.
    MessageId, "msg_", "^msg_[0-9]+$"
}
counted! {
    /// A wait: a question that somebody has to answer.
    WaitId, "wait_", "^wait_[0-9]+$"
}

/// A position in the journal; the first record has 1, and 0 is before it.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The position after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Counts the engines that owned a batch; a larger one has taken over from all
/// smaller ones, which are refused from then on. 0 owned nothing.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch of the engine that takes over from this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_are_written_in_one_way_only() {
        for text in ["TP-7@app/1", "a@b/12", "TASK_9@a.b-c/3"] {
            assert_eq!(text.parse::<UnitId>().unwrap().to_string(), text);
        }
        for bad in ["TP-7", "TP-7@app", "TP-7@app/01", "TP-7@app/+1", "7@app/1", "TP-7@App/1"] {
            assert!(bad.parse::<UnitId>().is_err(), "{bad}");
        }
        let text = "TP-7@app/1#2:worker~3";
        assert_eq!(text.parse::<ConversationId>().unwrap().to_string(), text);
        for bad in ["TP-7@app/1#2:worker", "TP-7@app/1#2:boss~1", "TP-7@app/1#02:worker~1"] {
            assert!(bad.parse::<ConversationId>().is_err(), "{bad}");
        }
        assert_eq!("eff_17".parse::<EffectId>().unwrap(), EffectId::numbered(17));
        for bad in ["eff_", "eff_017", "msg_1", "eff_-1", "17"] {
            assert!(bad.parse::<EffectId>().is_err(), "{bad}");
        }
        let batch = "bat_0190a6f2c1b27c3d8e4f5a6b7c8d9e0f";
        assert_eq!(batch.parse::<BatchId>().unwrap().to_string(), batch);
        assert!("bat_0190".parse::<BatchId>().is_err());
    }

    #[test]
    fn in_json_an_id_is_its_text() {
        let id: AgentId = "TP-7@app/1#2:reviewer".parse().unwrap();
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, r#""TP-7@app/1#2:reviewer""#);
        assert_eq!(serde_json::from_str::<AgentId>(&json).unwrap(), id);
    }

    proptest! {
        #[test]
        fn what_parses_as_an_id_prints_the_same(text in "[A-Za-z0-9@/#:~_.+-]{0,40}") {
            if let Ok(id) = text.parse::<ConversationId>() {
                prop_assert_eq!(id.to_string(), text.clone());
            }
            if let Ok(id) = text.parse::<AttemptId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
