//! What lies in a directory.

use super::error::{Ext4Error, corrupt};
use crate::bytes::{le16, le32};

/// The part of an entry before its name, in bytes.
const HEADER: usize = 8;

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The name: any bytes but `/` and NUL, neither `.` nor `..`.
    pub name: Vec<u8>,
    /// Number of what it names.
    pub inode: u32,
}

/// The names in a directory's content. Its index, if it has one, hides in entries
/// that name nothing.
pub(super) fn parse(content: &[u8], block_bytes: usize) -> Result<Vec<Name>, Ext4Error> {
    let mut names = Vec::new();
    for block in content.chunks(block_bytes) {
        let mut rest = block;
        while !rest.is_empty() {
            let (Some(inode), Some(length), Some(&name_length)) =
                (le32(rest, 0), le16(rest, 4), rest.get(6))
            else {
                return Err(corrupt("a directory"));
            };
            // A block of 64 KiB has one entry whose length has no number.
            let length = match usize::from(length) {
                0 | 65535 if block_bytes == 65536 => 65536,
                length => length,
            };
            let name = rest.get(HEADER..HEADER + usize::from(name_length));
            let is_sound = length >= HEADER && length <= rest.len();
            let name = name.filter(|name| is_sound && HEADER + name.len() <= length);
            let name = name.ok_or_else(|| corrupt("a directory"))?;
            if inode != 0 && name != b"." && name != b".." {
                if name.is_empty() || name.iter().any(|byte| [0, b'/'].contains(byte)) {
                    return Err(corrupt("a name in a directory"));
                }
                names.push(Name { name: name.to_vec(), inode });
            }
            rest = &rest[length..];
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(inode: u32, name: &[u8], length: u16) -> Vec<u8> {
        let mut bytes = inode.to_le_bytes().to_vec();
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.push(u8::try_from(name.len()).unwrap());
        bytes.push(0);
        bytes.extend_from_slice(name);
        bytes.resize(usize::from(length).max(bytes.len()), 0);
        bytes
    }

    #[test]
    fn names_are_read_and_what_names_nothing_is_not() {
        let block = [entry(2, b".", 12), entry(7, b"file", 16), entry(0, b"", 36)].concat();
        assert_eq!(parse(&block, 64).unwrap(), [Name { name: b"file".to_vec(), inode: 7 }]);
    }

    #[test]
    fn entries_that_lie_are_refused() {
        for bad in [
            entry(7, b"a/b", 64),
            entry(7, b"a\0b", 64),
            entry(7, b"", 64),
            entry(7, b"longer than it", 12),
            entry(7, b"x", 8)[..8].to_vec(),
            entry(7, b"x", 4),
            vec![0; 64],
            vec![1; 5],
        ] {
            assert!(parse(&bad, 64).is_err(), "{bad:?}");
        }
    }
}
