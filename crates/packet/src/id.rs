//! Names of tasks, of the areas that they lie in, and of repositories.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::text::text_value;

/// Names a task: words of letters, digits and `_` with `-` between them, the first
/// beginning with a letter and the last a number, such as `TP-014`. Case does not
/// matter; it is kept in capitals.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskId(String);

impl TaskId {
    /// Longest id, in bytes.
    pub const LENGTH_MAX: usize = 64;
}

impl FromStr for TaskId {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let is_word = |word: &str| {
            !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        let number = text.rsplit('-').next().unwrap_or_default();
        let valid = text.len() <= Self::LENGTH_MAX
            && text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.contains('-')
            && text.split('-').all(is_word)
            && number.chars().all(|c| c.is_ascii_digit());
        let refused = || NotAName::new(text, "id of a task: write it as TP-014");
        if valid { Ok(Self(text.to_ascii_uppercase())) } else { Err(refused()) }
    }
}

text_value!(TaskId, "^[A-Za-z][A-Za-z0-9_]*(-[A-Za-z0-9_]+)*-[0-9]+$");

/// Names an area: a directory whose sub-directories are packets. 1 to 63 letters,
/// digits and `._-`, starting with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AreaName(String);

impl AreaName {
    /// Longest name, in bytes.
    pub const LENGTH_MAX: usize = 63;
}

impl FromStr for AreaName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let valid = text.len() <= Self::LENGTH_MAX
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        let refused = || NotAName::new(text, "name of an area: use letters, digits and `._-`");
        if valid { Ok(Self(text.to_owned())) } else { Err(refused()) }
    }
}

text_value!(AreaName, "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$");

/// Names a repository: 1 to 63 of `a-z`, `0-9` and `-`, not starting with `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryName(String);

impl RepositoryName {
    /// Longest name, in bytes.
    pub const LENGTH_MAX: usize = 63;
}

impl FromStr for RepositoryName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let valid = (1..=Self::LENGTH_MAX).contains(&text.len())
            && !text.starts_with('-')
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        let refused = || NotAName::new(text, "name of a repository: use a-z, 0-9 and `-`");
        if valid { Ok(Self(text.to_owned())) } else { Err(refused()) }
    }
}

text_value!(RepositoryName, "^[a-z0-9][a-z0-9-]{0,62}$");

/// A text that is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {what}")]
pub struct NotAName {
    text: String,
    what: &'static str,
}

impl NotAName {
    fn new(text: &str, what: &'static str) -> Self {
        Self { text: text.to_owned(), what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_once_and_ids_know_no_case() {
        assert_eq!("tp-014".parse::<TaskId>().unwrap().as_str(), "TP-014");
        assert!("my_app-api-7".parse::<TaskId>().is_ok());
        for bad in ["", "TP", "TP-", "-1", "TP-1a", "1-2", "TP--1", "TP-1 ", "TÄ-1", "a/TP-1"] {
            assert!(bad.parse::<TaskId>().is_err(), "{bad}");
        }
        assert!(format!("{}-1", "A".repeat(63)).parse::<TaskId>().is_err());
        assert!("web.v2".parse::<AreaName>().is_ok() && "../x".parse::<AreaName>().is_err());
        assert!("".parse::<AreaName>().is_err() && ".git".parse::<AreaName>().is_err());
        assert!("api-2".parse::<RepositoryName>().is_ok());
        assert!("API".parse::<RepositoryName>().is_err() && "".parse::<RepositoryName>().is_err());
    }
}
