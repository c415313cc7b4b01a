//! Entries of a file scope.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use operation::text_value;

/// Files that a task may change: a path relative to its repository's root, which is a
/// file or (certainly if it ends with `/`) a directory with everything in it, or a pattern of such paths with `*`,
/// `**`, `?`, `[a-z]` and `{a,b}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ScopePattern(String);

impl ScopePattern {
    /// Longest pattern, in bytes.
    pub const LENGTH_MAX: usize = 256;
}

impl FromStr for ScopePattern {
    type Err = NotAPattern;

    fn from_str(text: &str) -> Result<Self, NotAPattern> {
        let mut text = text;
        while let Some(rest) = text.strip_prefix("./") {
            text = rest;
        }
        let is_directory = text.ends_with('/');
        let text = text.trim_end_matches('/');
        let refused = |why| Err(NotAPattern { why });
        if text.is_empty() || text == "." {
            // All of it: a task that may change everything says so.
            return Ok(Self("**".to_owned()));
        }
        if text.starts_with(['/', '~', '!']) {
            return refused("it begins with `/`, `~` or `!`");
        }
        if text.contains('\\') || text.contains(char::is_control) || text.contains('\u{fffd}') {
            return refused("it has a character that no portable path has");
        }
        if text.split('/').any(|part| part == ".." || part == ".") {
            return refused("it has `.` or `..` in it");
        }
        if text.contains("//") {
            return refused("it has an empty part");
        }
        // A directory is what is below it.
        let below = if is_directory && !text.ends_with("**") { "/**" } else { "" };
        if text.len() + below.len() > Self::LENGTH_MAX {
            return refused("it is longer than 256 bytes");
        }
        Ok(Self(format!("{text}{below}")))
    }
}

impl ScopePattern {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ScopePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(ScopePattern, "^[^/~!\\\\][^\\\\]{0,255}$");

/// A text that means no files of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct NotAPattern {
    /// What is wrong.
    pub why: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stay_in_their_repository() {
        for (text, expected) in [("./src/", "src/**"), ("src/**/*.rs", "src/**/*.rs"), (".", "**")]
        {
            assert_eq!(text.parse::<ScopePattern>().unwrap().as_str(), expected);
        }
        for bad in ["/etc/passwd", "../x", "a/../b", "a\\b", "~/x", "!a", "a//b", "a\u{7}"] {
            assert!(bad.parse::<ScopePattern>().is_err(), "{bad}");
        }
    }
}
