//! Names of files in a workspace.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use operation::text_value;

/// A path in `/workspace`: relative to it, or absolute below it. A name that is
/// no text is written in double quotes with octal escapes, as git does; results
/// write it the same way.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathText(String);

impl PathText {
    /// Longest text, in bytes: the longest path with every byte escaped.
    pub const LENGTH_MAX: usize = 4 * 4096 + 2;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for PathText {
    fn default() -> Self {
        Self(".".to_owned())
    }
}

impl FromStr for PathText {
    type Err = NotAPath;

    fn from_str(text: &str) -> Result<Self, NotAPath> {
        let valid = (1..=Self::LENGTH_MAX).contains(&text.len()) && !text.contains('\0');
        if valid { Ok(Self(text.to_owned())) } else { Err(NotAPath) }
    }
}

impl fmt::Display for PathText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a path is 1 to {} bytes without NUL", PathText::LENGTH_MAX)]
pub struct NotAPath;

text_value!(PathText, "^[^\\x00]+$");

/// Some lines of a file, counted from one: `10-40`, `10-` for all from there on,
/// or `10`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LineRange {
    /// The first line.
    pub first: u64,
    /// The last line, or the file's last.
    pub last: Option<u64>,
}

impl FromStr for LineRange {
    type Err = NotARange;

    fn from_str(text: &str) -> Result<Self, NotARange> {
        let refused = || NotARange(text.to_owned());
        let number = |text: &str| text.parse::<u64>().map_err(|_| refused());
        let (first, last) = match text.split_once('-') {
            None => (number(text)?, Some(number(text)?)),
            Some((first, "")) => (number(first)?, None),
            Some((first, last)) => (number(first)?, Some(number(last)?)),
        };
        if first == 0 || last.is_some_and(|last| last < first) {
            return Err(refused());
        }
        Ok(Self { first, last })
    }
}

impl fmt::Display for LineRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.last {
            Some(last) if last == self.first => write!(f, "{last}"),
            Some(last) => write!(f, "{}-{last}", self.first),
            None => write!(f, "{}-", self.first),
        }
    }
}

/// A text that means no lines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` means no lines: write 10-40, 10- or 10, counted from one")]
pub struct NotARange(String);

text_value!(LineRange, "^[0-9]+(-[0-9]*)?$");

/// Permission bits in octal, such as `755`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FileMode(pub u32);

impl FromStr for FileMode {
    type Err = NotAMode;

    fn from_str(text: &str) -> Result<Self, NotAMode> {
        let digits = (3..=4).contains(&text.len()) && text.chars().all(|c| c.is_digit(8));
        let mode = u32::from_str_radix(text, 8).ok().filter(|_| digits);
        mode.map(Self).ok_or_else(|| NotAMode(text.to_owned()))
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03o}", self.0)
    }
}

/// A text that is no mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no mode: write three or four octal digits, such as 755")]
pub struct NotAMode(String);

text_value!(FileMode, "^[0-7]{3,4}$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_modes_print_what_they_parse() {
        for text in ["10-40", "10-", "7"] {
            assert_eq!(text.parse::<LineRange>().unwrap().to_string(), text);
        }
        for bad in ["", "0", "4-3", "-3", "a-b"] {
            assert!(bad.parse::<LineRange>().is_err(), "{bad}");
        }
        assert_eq!("755".parse::<FileMode>().unwrap().to_string(), "755");
        assert!("9".parse::<FileMode>().is_err() && "+755".parse::<FileMode>().is_err());
    }
}
