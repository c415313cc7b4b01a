//! What the file system says of itself.

use super::error::{Ext4Error, corrupt};
use crate::bytes::{le16, le32};
use crate::disk::Disk;

const OFFSET: u64 = 1024;
const BYTES: usize = 1024;
const MAGIC: u16 = 0xEF53;

/// Features that do not change what is read: types in directories, extents, large
/// descriptors, groups put together.
const UNDERSTOOD: u32 = 0x0002 | EXTENTS | LARGE_DESCRIPTORS | 0x0200 | NEEDS_RECOVERY;
const NEEDS_RECOVERY: u32 = 0x0004;
const EXTENTS: u32 = 0x0040;
const LARGE_DESCRIPTORS: u32 = 0x0080;

/// Most groups: 16 TiB.
const GROUPS_MAX: u64 = 131_072;

/// What the file system says of itself, as far as it is of use here.
#[derive(Debug)]
pub(super) struct Superblock {
    pub(super) inodes: u32,
    pub(super) blocks: u64,
    pub(super) block_bytes: usize,
    pub(super) inodes_per_group: u32,
    pub(super) inode_bytes: usize,
    /// Whether blocks wait in the journal.
    pub(super) needs_recovery: bool,
    first_data_block: u32,
    blocks_per_group: u32,
    descriptor_bytes: usize,
}

impl Superblock {
    pub(super) fn read(disk: &dyn Disk) -> Result<Self, Ext4Error> {
        if disk.bytes() < OFFSET + BYTES as u64 {
            return Err(Ext4Error::NotExt4);
        }
        let mut bytes = [0; BYTES];
        disk.read_at(OFFSET, &mut bytes).map_err(Ext4Error::Disk)?;
        let half = |offset| le16(&bytes, offset).unwrap_or(0);
        let word = |offset| le32(&bytes, offset).unwrap_or(0);
        if half(56) != MAGIC {
            return Err(Ext4Error::NotExt4);
        }
        let features = word(96);
        if features & EXTENTS == 0 || features & !UNDERSTOOD != 0 {
            return Err(Ext4Error::Unsupported("features that are not understood"));
        }
        let is_large = features & LARGE_DESCRIPTORS != 0;
        let block_bytes = match word(24) {
            log @ 0..=6 => 1024_usize << log,
            _ => return Err(corrupt("the size of blocks")),
        };
        let high = if is_large { u64::from(word(0x150)) << 32 } else { 0 };
        let superblock = Self {
            inodes: word(0),
            blocks: high | u64::from(word(4)),
            block_bytes,
            inodes_per_group: word(40),
            inode_bytes: half(88).into(),
            needs_recovery: features & NEEDS_RECOVERY != 0,
            first_data_block: word(20),
            blocks_per_group: word(32),
            descriptor_bytes: if is_large { half(254).into() } else { 32 },
        };
        superblock.check(disk.bytes())?;
        Ok(superblock)
    }

    fn check(&self, disk_bytes: u64) -> Result<(), Ext4Error> {
        let inode_fits = (128..=self.block_bytes).contains(&self.inode_bytes)
            && self.inode_bytes.is_power_of_two();
        if !inode_fits {
            return Err(corrupt("the size of inodes"));
        }
        if !(32..=1024).contains(&self.descriptor_bytes) {
            return Err(corrupt("the size of descriptors"));
        }
        let is_within = self.blocks <= disk_bytes / self.block_bytes as u64;
        if !is_within || u64::from(self.first_data_block) >= self.blocks {
            return Err(corrupt("the number of blocks"));
        }
        if self.inodes_per_group == 0 || self.blocks_per_group == 0 {
            return Err(corrupt("the size of groups"));
        }
        Ok(())
    }

    /// Where the inodes of each group lie, as blocks.
    pub(super) fn inode_tables(&self, disk: &dyn Disk) -> Result<Vec<u64>, Ext4Error> {
        let data_blocks = self.blocks - u64::from(self.first_data_block);
        let groups = data_blocks.div_ceil(self.blocks_per_group.into());
        if groups > GROUPS_MAX {
            return Err(corrupt("the number of groups"));
        }
        let groups = usize::try_from(groups).map_err(|_| corrupt("the number of groups"))?;
        let start = (u64::from(self.first_data_block) + 1) * self.block_bytes as u64;
        let mut bytes = vec![0; groups * self.descriptor_bytes];
        if start + bytes.len() as u64 > disk.bytes() {
            return Err(corrupt("the number of groups"));
        }
        disk.read_at(start, &mut bytes).map_err(Ext4Error::Disk)?;
        let table = |descriptor: &[u8]| {
            let high = if self.descriptor_bytes >= 64 { le32(descriptor, 0x28) } else { None };
            u64::from(high.unwrap_or(0)) << 32 | u64::from(le32(descriptor, 8).unwrap_or(0))
        };
        Ok(bytes.chunks_exact(self.descriptor_bytes).map(table).collect())
    }
}
