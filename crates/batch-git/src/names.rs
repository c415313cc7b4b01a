//! What things are called in a store.

use std::fmt;
use std::str::FromStr;

use batch_api::AttemptId;

/// The integration branch of a store.
pub(crate) const INTEGRATION: &str = "refs/heads/integration";

/// Where a batch began.
pub(crate) const BASE: &str = "refs/hotcell/base";

/// A commit, by its whole name: 40 hexadecimal digits, or 64.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(String);

/// A text that is no name of a commit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no commit: it is 40 or 64 hexadecimal digits")]
pub struct NotACommit(String);

impl CommitId {
    /// Its digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CommitId {
    type Err = NotACommit;

    fn from_str(text: &str) -> Result<Self, NotACommit> {
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if matches!(text.len(), 40 | 64) && text.bytes().all(is_hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotACommit(text.chars().take(80).collect()))
        }
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the names of an attempt begin with. A store holds one repository, so its
/// name is not among them: it could have parts that no reference may have.
pub(crate) fn of_attempt(attempt: &AttemptId) -> String {
    let unit = &attempt.unit;
    format!("refs/hotcell/attempts/{}/{}/{}", unit.task, unit.visit, attempt.number)
}

/// The name that a file of an attempt has in a store: a task's may have dashes, but the
/// numbers behind it have none, so no two attempts share one.
pub(crate) fn file_of_attempt(attempt: &AttemptId) -> String {
    let unit = &attempt.unit;
    format!("{}-{}-{}", unit.task, unit.visit, attempt.number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_named_whole() {
        let whole = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(whole.parse::<CommitId>().unwrap().as_str(), whole);
        for bad in ["", "HEAD", "0123456", "--all", &whole.to_uppercase(), &format!("{whole}0")] {
            assert!(bad.parse::<CommitId>().is_err(), "{bad}");
        }
    }
}
