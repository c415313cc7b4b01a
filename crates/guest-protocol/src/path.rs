//! Paths below `/workspace`, and how bytes become text.
//!
//! A name on Linux is any bytes but `/` and NUL; requests, results and command
//! lines are text. This is the one mapping between them, total, reversible and
//! the same everywhere:
//!
//! * A name that is UTF-8, has no control characters and does not begin with `"`
//!   is written as it is.
//! * Any other is written in double quotes the way git quotes names: `\"`, `\\`,
//!   `\n`, `\t` and the like, three octal digits for every byte that is a
//!   control character or no UTF-8.
//!
//! So what one operation prints can be handed to the next, whatever it is.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The directory that all paths lie in.
pub const ROOT: &str = "/workspace";

/// The directory in [`ROOT`] where tools make what they then put in place. It
/// exists only while one is at work; nothing in it is anybody's file.
pub const STAGING: &str = ".hotcell-staging";

/// Longest path, in bytes: `PATH_MAX` of Linux.
pub const PATH_MAX: usize = 4096;

/// A place in `/workspace`: relative, normalised, without `.` and `..`; empty
/// for `/workspace` itself. Its order is that of a walk: a directory comes
/// right before what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WorkspacePath(Vec<u8>);

impl WorkspacePath {
    /// The place that `bytes` mean. `..` takes away the part before it.
    ///
    /// # Errors
    ///
    /// If it leaves `/workspace`, is too long, or is no path.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadPath> {
        if bytes.is_empty() {
            return Err(BadPath::Empty);
        }
        if bytes.len() > PATH_MAX {
            return Err(BadPath::TooLong(bytes.len()));
        }
        if bytes.contains(&0) {
            return Err(BadPath::Nul(quote(bytes)));
        }
        let inner = if bytes.starts_with(b"/") {
            let rest = bytes.strip_prefix(ROOT.as_bytes()).unwrap_or(b"outside");
            if !rest.is_empty() && !rest.starts_with(b"/") {
                return Err(BadPath::Outside(quote(bytes)));
            }
            rest
        } else {
            bytes
        };
        let mut parts: Vec<&[u8]> = Vec::new();
        for part in inner.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." if parts.pop().is_none() => return Err(BadPath::Outside(quote(bytes))),
                b".." => {}
                part => parts.push(part),
            }
        }
        Ok(Self(parts.join(&b'/')))
    }

    /// `/workspace` itself.
    #[must_use]
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// Whether it is `/workspace` itself.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Its bytes, relative to `/workspace`.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As a path relative to `/workspace`; `.` for `/workspace` itself.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        if self.is_root() { Path::new(".") } else { Path::new(OsStr::from_bytes(&self.0)) }
    }

    /// Its parts, from the outermost inwards.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/').filter(|part| !part.is_empty())
    }

    /// The directory that it lies in, and its name there; `None` for
    /// `/workspace` itself.
    #[must_use]
    pub fn split(&self) -> Option<(Self, &[u8])> {
        if self.is_root() {
            return None;
        }
        Some(match self.0.iter().rposition(|byte| *byte == b'/') {
            Some(at) => (Self(self.0[..at].to_vec()), &self.0[at + 1..]),
            None => (Self::root(), &self.0),
        })
    }

    /// What is called `name` in this directory; `name` is one part.
    #[must_use]
    pub fn join(&self, name: &[u8]) -> Self {
        let mut bytes = self.0.clone();
        if !bytes.is_empty() {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(name);
        Self(bytes)
    }

    /// Whether it is `other` or lies in it.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        other.is_root()
            || self
                .0
                .strip_prefix(other.0.as_slice())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    }
}

impl Ord for WorkspacePath {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.parts().cmp(other.parts())
    }
}

impl PartialOrd for WorkspacePath {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for WorkspacePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&if self.is_root() { ".".to_owned() } else { quote(&self.0) })
    }
}

impl FromStr for WorkspacePath {
    type Err = BadPath;

    fn from_str(text: &str) -> Result<Self, BadPath> {
        let bytes = unquote(text).ok_or_else(|| BadPath::BadQuotes(text.to_owned()))?;
        Self::from_bytes(&bytes)
    }
}

impl TryFrom<String> for WorkspacePath {
    type Error = BadPath;

    fn try_from(text: String) -> Result<Self, BadPath> {
        text.parse()
    }
}

impl From<WorkspacePath> for String {
    fn from(path: WorkspacePath) -> Self {
        path.to_string()
    }
}

/// A text or bytes that mean no place in `/workspace`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// There is nothing.
    #[error("a path must not be empty; /workspace itself is `.`")]
    Empty,
    /// Longer than [`PATH_MAX`].
    #[error("a path of {0} bytes is longer than {PATH_MAX}")]
    TooLong(usize),
    /// A NUL byte.
    #[error("`{0}` holds a NUL byte")]
    Nul(String),
    /// Absolute and elsewhere, or too many `..`.
    #[error("`{0}` leaves /workspace")]
    Outside(String),
    /// It begins with `"`, but what follows is not quoted properly.
    #[error("`{0}` is not quoted properly: a path that begins with `\"` is quoted as git does it")]
    BadQuotes(String),
}

/// The text of any bytes; see the module.
#[must_use]
pub fn quote(bytes: &[u8]) -> String {
    let plain = std::str::from_utf8(bytes)
        .is_ok_and(|text| !text.starts_with('"') && !text.chars().any(char::is_control));
    if plain {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    quoted(bytes)
}

/// The text of any bytes in quotes, as git writes a name in a patch.
#[must_use]
pub fn quoted(bytes: &[u8]) -> String {
    use fmt::Write as _;
    let mut text = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => text.push_str("\\\""),
                '\\' => text.push_str("\\\\"),
                '\x07' => text.push_str("\\a"),
                '\x08' => text.push_str("\\b"),
                '\t' => text.push_str("\\t"),
                '\n' => text.push_str("\\n"),
                '\x0b' => text.push_str("\\v"),
                '\x0c' => text.push_str("\\f"),
                '\r' => text.push_str("\\r"),
                c if c.is_control() => {
                    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                        let _ = write!(text, "\\{byte:03o}");
                    }
                }
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\{byte:03o}");
        }
    }
    text.push('"');
    text
}

/// The bytes that [`quote`] made this text of; `None` if it made it of none.
#[must_use]
pub fn unquote(text: &str) -> Option<Vec<u8>> {
    if !text.starts_with('"') {
        return Some(text.as_bytes().to_vec());
    }
    let (bytes, length) = unquote_prefix(text.as_bytes())?;
    (length == text.len()).then_some(bytes)
}

/// The bytes of a quoted name at the beginning of `text`, and how long it is
/// there with its quotes.
#[must_use]
pub fn unquote_prefix(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut bytes = Vec::new();
    let mut at = 1;
    if text.first() != Some(&b'"') {
        return None;
    }
    loop {
        match *text.get(at)? {
            b'"' => return Some((bytes, at + 1)),
            b'\\' => {
                let escape = *text.get(at + 1)?;
                at += 2;
                bytes.push(match escape {
                    b'a' => 0x07,
                    b'b' => 0x08,
                    b't' => b'\t',
                    b'n' => b'\n',
                    b'v' => 0x0b,
                    b'f' => 0x0c,
                    b'r' => b'\r',
                    b'"' | b'\\' => escape,
                    b'0'..=b'3' => {
                        let octal = |byte: u8| matches!(byte, b'0'..=b'7').then(|| byte - b'0');
                        let (second, third) = (octal(*text.get(at)?)?, octal(*text.get(at + 1)?)?);
                        at += 2;
                        ((escape - b'0') << 6) | (second << 3) | third
                    }
                    _ => return None,
                });
            }
            byte => {
                bytes.push(byte);
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Result<String, BadPath> {
        text.parse::<WorkspacePath>().map(|path| path.to_string())
    }

    #[test]
    fn what_stays_inside_is_normalised() {
        for (text, means) in [
            ("a", "a"),
            ("./a//b/", "a/b"),
            ("/workspace/a", "a"),
            ("/workspace", "."),
            (".", "."),
            ("a/../b", "b"),
            ("\"caf\\303\\251\"", "café"),
            ("\"a\\nb\"", "\"a\\nb\""),
        ] {
            assert_eq!(parsed(text).as_deref(), Ok(means), "{text}");
        }
    }

    #[test]
    fn what_leaves_is_refused() {
        for text in ["", "..", "a/../..", "/etc/passwd", "/", "/workspaces", "/workspace/../x"] {
            assert!(parsed(text).is_err(), "{text}");
        }
        assert!(parsed("\"a").is_err());
        assert!(parsed("\"a\"b").is_err());
        assert!(parsed("\"a\\000\"").is_err());
        assert!(parsed(&"a/".repeat(PATH_MAX)).is_err());
    }

    #[test]
    fn a_directory_comes_right_before_what_is_in_it() {
        let path = |text: &str| text.parse::<WorkspacePath>().unwrap();
        let mut all = [path("a-b"), path("a"), path("a/b"), path(".")];
        all.sort();
        assert_eq!(all.map(|path| path.to_string()), [".", "a", "a/b", "a-b"]);
        assert!(path("a/b").is_within(&path("a")) && path("a").is_within(&path(".")));
        assert!(!path("a-b").is_within(&path("a")));
    }

    proptest! {
        #[test]
        fn any_name_survives_as_text(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let text = quote(&bytes);
            prop_assert!(!text.chars().any(char::is_control));
            prop_assert_eq!(unquote(&text), Some(bytes));
        }

        #[test]
        fn a_path_prints_what_it_parses(bytes in prop::collection::vec(1_u8.., 1..40)) {
            if let Ok(path) = WorkspacePath::from_bytes(&bytes) {
                prop_assert_eq!(path.to_string().parse(), Ok(path));
            }
        }
    }
}
