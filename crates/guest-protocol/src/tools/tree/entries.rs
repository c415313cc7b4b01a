//! Entries as bytes, and back.

use super::{ENTRIES_MAX, Stamp, TreeEntry};
use crate::path::WorkspacePath;
use crate::tools::file::Kind;

/// Bytes that are no entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadEntries {
    /// They end in the middle of one.
    #[error("a walk ends in the middle of an entry")]
    CutOff,
    /// A number is longer than it may be.
    #[error("a walk holds a number that is too large")]
    Number,
    /// A path is none, or is not after the one before it.
    #[error("a walk holds a path that is none, or in the wrong place")]
    Path,
    /// A kind that there is not.
    #[error("a walk holds something of an unknown kind")]
    Kind,
    /// More than there may be.
    #[error("a walk holds more than {ENTRIES_MAX} entries")]
    TooMany,
}

/// Adds an entry to the bytes of those before it, the last of which has the path
/// `before`.
pub fn encode(bytes: &mut Vec<u8>, before: &[u8], entry: &TreeEntry) {
    let path = entry.path.as_bytes();
    let shared = before.iter().zip(path).take_while(|(one, other)| one == other).count();
    put(bytes, shared as u64);
    put(bytes, (path.len() - shared) as u64);
    bytes.extend_from_slice(&path[shared..]);
    bytes.push(match entry.kind {
        Kind::File => 0,
        Kind::Directory => 1,
        Kind::Symlink => 2,
        Kind::Special => 3,
    });
    put(bytes, entry.mode.into());
    put(bytes, entry.size);
    put(bytes, entry.stamp.inode);
    bytes.extend_from_slice(&entry.stamp.modified_ns.to_le_bytes());
    bytes.extend_from_slice(&entry.stamp.changed_ns.to_le_bytes());
}

/// Reads entries.
///
/// # Errors
///
/// If they are not what [`encode`] makes of a walk in order.
pub fn decode(mut bytes: &[u8]) -> Result<Vec<TreeEntry>, BadEntries> {
    let mut entries: Vec<TreeEntry> = Vec::new();
    while !bytes.is_empty() {
        if entries.len() as u64 >= ENTRIES_MAX {
            return Err(BadEntries::TooMany);
        }
        let entry = entry(&mut bytes, entries.last().map(|last| &last.path))?;
        entries.push(entry);
    }
    Ok(entries)
}

fn entry(bytes: &mut &[u8], last: Option<&WorkspacePath>) -> Result<TreeEntry, BadEntries> {
    let before = last.map_or(&[] as &[u8], |last| last.as_bytes());
    let shared = usize::try_from(take(bytes)?).map_err(|_| BadEntries::Path)?;
    let length = usize::try_from(take(bytes)?).map_err(|_| BadEntries::Path)?;
    let shared = before.get(..shared).ok_or(BadEntries::Path)?;
    let (rest, after) = bytes.split_at_checked(length).ok_or(BadEntries::CutOff)?;
    *bytes = after;
    let whole = [shared, rest].concat();
    let path = WorkspacePath::from_bytes(&whole).map_err(|_| BadEntries::Path)?;
    let in_order = last.is_none_or(|last| *last < path);
    if path.is_root() || path.as_bytes() != whole || !in_order {
        return Err(BadEntries::Path);
    }
    let (&kind, after) = bytes.split_first().ok_or(BadEntries::CutOff)?;
    *bytes = after;
    let kind = match kind {
        0 => Kind::File,
        1 => Kind::Directory,
        2 => Kind::Symlink,
        3 => Kind::Special,
        _ => return Err(BadEntries::Kind),
    };
    let mode = u32::try_from(take(bytes)?).ok().filter(|mode| *mode <= 0o7777);
    Ok(TreeEntry {
        path,
        kind,
        mode: mode.ok_or(BadEntries::Number)?,
        size: take(bytes)?,
        stamp: Stamp { inode: take(bytes)?, modified_ns: time(bytes)?, changed_ns: time(bytes)? },
    })
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    loop {
        let low = number.to_le_bytes()[0] & 0x7f;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

fn take(bytes: &mut &[u8]) -> Result<u64, BadEntries> {
    let mut number = 0_u64;
    for shift in (0..63).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or(BadEntries::CutOff)?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(BadEntries::Number)
}

fn time(bytes: &mut &[u8]) -> Result<i64, BadEntries> {
    let (time, rest) = bytes.split_first_chunk().ok_or(BadEntries::CutOff)?;
    *bytes = rest;
    Ok(i64::from_le_bytes(*time))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(entries: &[TreeEntry]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut before: &[u8] = &[];
        for entry in entries {
            encode(&mut bytes, before, entry);
            before = entry.path.as_bytes();
        }
        bytes
    }

    fn of(path: &str) -> TreeEntry {
        TreeEntry {
            path: path.parse().unwrap(),
            kind: Kind::File,
            mode: 0o644,
            size: 1 << 40,
            stamp: Stamp { inode: 12, modified_ns: -1, changed_ns: i64::MAX },
        }
    }

    #[test]
    fn entries_survive() {
        let entries = ["a", "a/b", "a/bc", "a-b", "\"\\377\""].map(of).to_vec();
        assert_eq!(decode(&bytes(&entries)), Ok(entries));
    }

    #[test]
    fn what_is_out_of_order_or_no_normal_path_is_refused() {
        assert_eq!(decode(&bytes(&["b", "a"].map(of))), Err(BadEntries::Path));
        assert_eq!(decode(&bytes(&["a", "a"].map(of))), Err(BadEntries::Path));
        let whole = bytes(&[of("a")]);
        assert_eq!(decode(&whole[..whole.len() - 1]), Err(BadEntries::CutOff));
        for path in ["", ".", "a/", "/workspace/a", "a//b", "a/../b", "../a"] {
            let mut bad = vec![0, u8::try_from(path.len()).unwrap()];
            bad.extend_from_slice(path.as_bytes());
            bad.extend_from_slice(&whole[3..]);
            assert_eq!(decode(&bad), Err(BadEntries::Path), "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_entries_or_refused(noise in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(entries) = decode(&noise) {
                prop_assert_eq!(decode(&bytes(&entries)), Ok(entries));
            }
        }
    }
}
