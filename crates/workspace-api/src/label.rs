//! Labels: what a user calls workspaces by, for finding them again.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use operation::text_value;

/// How many labels a workspace may have.
pub const LABELS_MAX: usize = 64;

/// The key of a label: 1 to 63 letters, digits and `._/-`, starting with a
/// letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LabelKey(String);

impl LabelKey {
    /// Longest key, in bytes.
    pub const LENGTH_MAX: usize = 63;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LabelKey {
    type Err = NotALabel;

    fn from_str(text: &str) -> Result<Self, NotALabel> {
        let valid = text.len() <= Self::LENGTH_MAX
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "._/-".contains(c));
        if valid { Ok(Self(text.to_owned())) } else { Err(NotALabel(text.to_owned())) }
    }
}

impl fmt::Display for LabelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(LabelKey, "^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$");

/// A label: `KEY=VALUE`, the value at most 255 bytes without control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label {
    /// Its key.
    pub key: LabelKey,
    /// Its value; may be empty.
    pub value: String,
}

impl Label {
    /// Longest value, in bytes.
    pub const VALUE_MAX: usize = 255;
}

impl FromStr for Label {
    type Err = NotALabel;

    fn from_str(text: &str) -> Result<Self, NotALabel> {
        let refused = || NotALabel(text.to_owned());
        let (key, value) = text.split_once('=').ok_or_else(refused)?;
        let valid = value.len() <= Self::VALUE_MAX && !value.contains(char::is_control);
        match key.parse() {
            Ok(key) if valid => Ok(Self { key, value: value.to_owned() }),
            _ => Err(refused()),
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value)
    }
}

text_value!(Label, "^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}=.{0,255}$");

/// Means labels: `KEY=VALUE`, or `KEY` for any value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LabelFilter {
    key: LabelKey,
    value: Option<String>,
}

impl LabelFilter {
    /// Whether one of the labels is meant.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let found = labels.get(self.key.as_str());
        found.is_some_and(|found| self.value.as_ref().is_none_or(|value| value == found))
    }
}

impl FromStr for LabelFilter {
    type Err = NotALabel;

    fn from_str(text: &str) -> Result<Self, NotALabel> {
        if !text.contains('=') {
            return Ok(Self { key: text.parse()?, value: None });
        }
        let Label { key, value } = text.parse()?;
        Ok(Self { key, value: Some(value) })
    }
}

impl fmt::Display for LabelFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            None => self.key.fmt(f),
            Some(value) => write!(f, "{}={value}", self.key),
        }
    }
}

text_value!(LabelFilter, "^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}(=.{0,255})?$");

/// A text that is no label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no label: write KEY=VALUE, the key of letters, digits and `._/-`")]
pub struct NotALabel(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_filters() {
        let labels: BTreeMap<_, _> = [("team".to_owned(), "core".to_owned())].into();
        for (filter, expected) in
            [("team", true), ("team=core", true), ("team=", false), ("owner", false)]
        {
            assert_eq!(filter.parse::<LabelFilter>().unwrap().matches(&labels), expected);
        }
        let long = format!("a={}", "x".repeat(256));
        for bad in ["", "=a", "a b=c", "-a=b", "a=b\n", "a", long.as_str()] {
            assert!(bad.parse::<Label>().is_err(), "{bad}");
        }
        assert_eq!("a/b.c=d=e".parse::<Label>().unwrap().value, "d=e");
    }
}
