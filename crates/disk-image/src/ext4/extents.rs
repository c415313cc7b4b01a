//! Where the content of an inode lies.

use super::Ext4;
use super::error::{Ext4Error, corrupt};
use super::inode::Inode;
use crate::bytes::{le16, le32};

const MAGIC: u16 = 0xF30A;

/// Deepest tree of extents; the kernel's own limit.
const DEPTH_MAX: u16 = 5;

/// Most extents of one inode, and most nodes that lead to them.
const EXTENTS_MAX: usize = 1 << 20;
const NODES_MAX: usize = 1 << 14;

/// Header and entries of a node, in bytes.
const ENTRY: usize = 12;

/// From this length on, an extent holds what was never written: zeros.
const UNWRITTEN: u16 = 32768;

/// The extents of an inode, in order and apart from each other.
#[derive(Debug)]
pub(super) struct Extents {
    extents: Vec<Extent>,
    nodes: usize,
}

#[derive(Debug, Clone, Copy)]
struct Extent {
    /// The first block, of the file and of the disk.
    logical: u64,
    physical: u64,
    blocks: u64,
    is_written: bool,
}

impl Extents {
    /// Reads all extents of an inode.
    pub(super) fn read_tree(system: &Ext4, inode: &Inode) -> Result<Self, Ext4Error> {
        let mut extents = Self { extents: Vec::new(), nodes: 0 };
        match inode.extent_root() {
            Some(root) => extents.read_node(system, root, None)?,
            None if inode.size == 0 => {}
            None => return Err(Ext4Error::Unsupported("files without extents")),
        }
        Ok(extents)
    }

    /// `depth` is that of the node, known from the one above.
    fn read_node(
        &mut self,
        system: &Ext4,
        node: &[u8],
        depth: Option<u16>,
    ) -> Result<(), Ext4Error> {
        let bad = || corrupt("an extent");
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(bad());
        }
        let header = (le16(node, 0), le16(node, 2), le16(node, 6));
        let (Some(MAGIC), Some(count), Some(own_depth)) = header else { return Err(bad()) };
        let is_sound = depth.map_or(own_depth <= DEPTH_MAX, |depth| own_depth == depth);
        let entries = node.get(ENTRY..ENTRY * (usize::from(count) + 1));
        let entries = entries.filter(|_| is_sound).ok_or_else(bad)?;
        for entry in entries.chunks_exact(ENTRY) {
            if own_depth == 0 {
                self.push(entry)?;
                continue;
            }
            let (Some(low), Some(high)) = (le32(entry, 4), le16(entry, 8)) else {
                return Err(bad());
            };
            let mut below = vec![0; system.superblock.block_bytes];
            system.read_blocks(u64::from(high) << 32 | u64::from(low), 0, &mut below)?;
            self.read_node(system, &below, Some(own_depth - 1))?;
        }
        Ok(())
    }

    fn push(&mut self, entry: &[u8]) -> Result<(), Ext4Error> {
        let bad = || corrupt("an extent");
        let fields = (le32(entry, 0), le16(entry, 4), le16(entry, 6), le32(entry, 8));
        let (Some(logical), Some(length), Some(high), Some(low)) = fields else {
            return Err(bad());
        };
        let is_written = length <= UNWRITTEN;
        let extent = Extent {
            logical: logical.into(),
            physical: u64::from(high) << 32 | u64::from(low),
            blocks: if is_written { length } else { length - UNWRITTEN }.into(),
            is_written,
        };
        let is_next =
            self.extents.last().is_none_or(|last| last.logical + last.blocks <= extent.logical);
        if !is_next || extent.blocks == 0 || self.extents.len() >= EXTENTS_MAX {
            return Err(bad());
        }
        self.extents.push(extent);
        Ok(())
    }

    /// Where on the disk a block of it lies.
    pub(super) fn physical(&self, logical: u32) -> Option<u64> {
        let logical = u64::from(logical);
        let next = self.extents.partition_point(|extent| extent.logical <= logical);
        let extent = self.extents.get(next.checked_sub(1)?)?;
        let is_there = extent.is_written && logical < extent.logical + extent.blocks;
        is_there.then(|| extent.physical + (logical - extent.logical))
    }

    /// Fills the buffer with what lies at an offset; what lies nowhere is zeros.
    pub(super) fn read(
        &self,
        system: &Ext4,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<(), Ext4Error> {
        let block_bytes = system.superblock.block_bytes as u64;
        let (mut at, mut rest) = (offset, buffer);
        while !rest.is_empty() {
            let logical = at / block_bytes;
            let next = self.extents.partition_point(|extent| extent.logical <= logical);
            let found = next.checked_sub(1).and_then(|last| self.extents.get(last));
            let found = found.filter(|extent| logical < extent.logical + extent.blocks);
            // All that is alike up to here is read at once.
            let end = match (found, self.extents.get(next)) {
                (Some(extent), _) => extent.logical + extent.blocks,
                (None, Some(extent)) => extent.logical,
                (None, None) => u64::MAX / block_bytes,
            };
            let alike = usize::try_from(end * block_bytes - at).unwrap_or(usize::MAX);
            let length = rest.len().min(alike);
            let (piece, others) = rest.split_at_mut(length);
            match found {
                Some(extent) if extent.is_written => {
                    let block = extent.physical + (logical - extent.logical);
                    system.read_blocks(block, at % block_bytes, piece)?;
                }
                _ => piece.fill(0),
            }
            at += length as u64;
            rest = others;
        }
        Ok(())
    }
}
