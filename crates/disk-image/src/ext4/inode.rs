//! Inodes.

use super::error::{Ext4Error, corrupt};
use crate::bytes::{le16, le32};

/// Flags of inodes: it has extents, it lies in itself, it is encrypted.
const EXTENTS: u32 = 0x0008_0000;
const INLINE_DATA: u32 = 0x1000_0000;
const ENCRYPTED: u32 = 0x0000_0800;

/// The part of an inode that every version has, in bytes.
const BASE_BYTES: usize = 128;

/// How many bytes of an inode say where its content lies, or are a short target.
pub(super) const BLOCK_BYTES: usize = 60;

/// What an inode is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, a pipe or a socket.
    Special,
}

/// A moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Since 1970-01-01 UTC.
    pub seconds: i64,
    /// And these.
    pub nanoseconds: u32,
}

/// An inode.
#[derive(Debug, Clone)]
pub struct Inode {
    /// Its number.
    pub number: u32,
    /// What it is of.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u16,
    /// Its user.
    pub user: u32,
    /// Its group.
    pub group: u32,
    /// Size in bytes, of a file's content or a link's target.
    pub size: u64,
    /// When its content changed.
    pub modified: Time,
    /// When anything about it changed.
    pub changed: Time,
    flags: u32,
    block: [u8; BLOCK_BYTES],
}

impl Inode {
    pub(super) fn parse(number: u32, bytes: &[u8]) -> Result<Self, Ext4Error> {
        let half = |offset| le16(bytes, offset).unwrap_or(0);
        let word = |offset| le32(bytes, offset).unwrap_or(0);
        let kind = match half(0) >> 12 {
            0x8 => Kind::File,
            0x4 => Kind::Directory,
            0xA => Kind::Symlink,
            0x1 | 0x2 | 0x6 | 0xC => Kind::Special,
            _ => return Err(corrupt("the kind of an inode")),
        };
        let flags = word(32);
        if flags & (INLINE_DATA | ENCRYPTED) != 0 {
            return Err(Ext4Error::Unsupported("files inside inodes, or encryption"));
        }
        let size = u64::from(word(108)) << 32 | u64::from(word(4));
        if size > i64::MAX.unsigned_abs() {
            return Err(corrupt("the size of a file"));
        }
        // Fields beyond the base are there as far as the inode says.
        let extra = if bytes.len() > BASE_BYTES { usize::from(half(BASE_BYTES)) } else { 0 };
        let time = |offset, extra_offset: usize| {
            let has_extra = extra_offset + 4 <= BASE_BYTES + extra;
            Time::of(word(offset), if has_extra { word(extra_offset) } else { 0 })
        };
        Ok(Self {
            number,
            kind,
            mode: half(0) & 0o7777,
            user: u32::from(half(120)) << 16 | u32::from(half(2)),
            group: u32::from(half(122)) << 16 | u32::from(half(24)),
            size,
            modified: time(16, 136),
            changed: time(12, 132),
            flags,
            block: *bytes
                .get(40..)
                .and_then(|rest| rest.first_chunk())
                .ok_or_else(|| corrupt("the size of inodes"))?,
        })
    }

    /// Where its content lies, if it has extents.
    pub(super) const fn extent_root(&self) -> Option<&[u8; BLOCK_BYTES]> {
        if self.flags & EXTENTS != 0 { Some(&self.block) } else { None }
    }

    /// The target of a link that is short enough to lie in the inode.
    pub(super) fn inline_target(&self) -> Option<&[u8]> {
        let length = usize::try_from(self.size).ok().filter(|length| *length < BLOCK_BYTES)?;
        if self.extent_root().is_some() { None } else { self.block.get(..length) }
    }
}

impl Time {
    /// The low two bits of what was added later continue the seconds.
    fn of(seconds: u32, extra: u32) -> Self {
        Self {
            seconds: i64::from(seconds.cast_signed()) + (i64::from(extra & 3) << 32),
            nanoseconds: extra >> 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_reach_beyond_2038_and_before_1970() {
        assert_eq!(Time::of(u32::MAX, 4 * 7), Time { seconds: -1, nanoseconds: 7 });
        assert_eq!(Time::of(0x8000_0000, 1), Time { seconds: 1 << 31, nanoseconds: 0 });
    }
}
