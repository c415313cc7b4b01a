//! Paths below a root.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Longest path, in bytes: what Linux takes in one call.
const PATH_BYTES_MAX: usize = 4095;

/// Longest name, in bytes: what Linux file systems hold.
const NAME_BYTES_MAX: usize = 255;

/// Most names in a path. Each level costs a descriptor or a call somewhere.
const DEPTH_MAX: usize = 256;

/// Where something lies below a root: names of any bytes, joined by `/`, or
/// nothing for the root itself. There is no `.`, no `..` and no empty name in
/// it, so it cannot mean anything outside.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TreePath(Vec<u8>);

impl TreePath {
    /// The root itself.
    #[must_use]
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// Understands a path as archives and programs write it: `./a/b/` is `a/b`.
    ///
    /// # Errors
    ///
    /// It is absolute, has a `..` or a NUL byte, or is too long or too deep.
    pub fn parse(bytes: &[u8]) -> Result<Self, NotATreePath> {
        let refused = |why| NotATreePath { path: shown(bytes), why };
        if bytes.len() > PATH_BYTES_MAX {
            return Err(refused("it is too long"));
        }
        if bytes.starts_with(b"/") {
            return Err(refused("it is absolute"));
        }
        let mut path = Vec::with_capacity(bytes.len());
        let mut depth = 0;
        for name in bytes.split(|byte| *byte == b'/') {
            match name {
                b"" | b"." => continue,
                b".." => return Err(refused("it has a `..`")),
                _ if name.contains(&0) => return Err(refused("it has a NUL byte")),
                _ if name.len() > NAME_BYTES_MAX => {
                    return Err(refused("a name in it is too long"));
                }
                _ => {}
            }
            depth += 1;
            if depth > DEPTH_MAX {
                return Err(refused("it is too deep"));
            }
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name);
        }
        Ok(Self(path))
    }

    /// What lies at `name` in the directory that this is.
    ///
    /// # Errors
    ///
    /// As [`Self::parse`]; `name` may be several names.
    pub fn join(&self, name: &[u8]) -> Result<Self, NotATreePath> {
        let mut path = self.0.clone();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        Self::parse(&path)
    }

    /// Its bytes; none for the root.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// It as a relative path; `.` for the root.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        if self.0.is_empty() { Path::new(".") } else { Path::new(OsStr::from_bytes(&self.0)) }
    }

    /// Whether it is the root itself.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Its last name; empty for the root.
    #[must_use]
    pub fn name(&self) -> &OsStr {
        OsStr::from_bytes(self.split().1)
    }

    /// The bytes of the directory that it lies in.
    #[must_use]
    pub fn parent_bytes(&self) -> &[u8] {
        self.split().0
    }

    /// The directory that it lies in; none for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        (!self.is_root()).then(|| Self(self.parent_bytes().to_vec()))
    }

    /// Whether it is `other` or lies below it.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        other.is_root()
            || self
                .0
                .strip_prefix(other.0.as_slice())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    }

    /// The names in it.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/').filter(|name| !name.is_empty())
    }

    fn split(&self) -> (&[u8], &[u8]) {
        match self.0.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (&self.0[..slash], &self.0[slash + 1..]),
            None => (&[], &self.0),
        }
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() { f.write_str(".") } else { f.write_str(&shown(&self.0)) }
    }
}

/// Bytes as people can read them on one line: what is no UTF-8 is replaced, and
/// control characters are escaped.
fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    for character in String::from_utf8_lossy(bytes).chars() {
        if character.is_control() {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
    text
}

/// A path that is not certain to stay below a root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is no path within the tree: {why}")]
pub struct NotATreePath {
    path: String,
    why: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_that_lead_out_are_refused() {
        for bad in
            ["/etc", "..", "a/../b", "a/..", "../a", "a\0b", &"x".repeat(256), &"a/".repeat(257)]
        {
            assert!(TreePath::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(TreePath::root().join(b"..").is_err());
        assert_eq!(TreePath::parse(b"./a//b/./").unwrap().as_bytes(), b"a/b");
        assert!(TreePath::parse(b"./").unwrap().is_root());
    }

    #[test]
    fn within_means_whole_names() {
        let path = |text: &str| TreePath::parse(text.as_bytes()).unwrap();
        assert!(path("a/b").is_within(&path("a")));
        assert!(!path("ab").is_within(&path("a")));
        assert!(path("a").is_within(&TreePath::root()));
        assert_eq!(path("a/b/c").parent().unwrap(), path("a/b"));
    }

    proptest! {
        #[test]
        fn what_was_parsed_parses_to_itself(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(path) = TreePath::parse(&bytes) {
                prop_assert_eq!(TreePath::parse(path.as_bytes()).unwrap(), path.clone());
                prop_assert!(path.names().all(|name| name != b".." && name != b"."));
            }
        }
    }
}
