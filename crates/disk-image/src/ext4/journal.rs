//! What a file system has written down and not yet put in its place.
//!
//! A disk that was frozen while a machine ran is what a machine finds after its
//! power was cut: some blocks are newer in the journal than where they belong. The
//! format is that of the kernel's `jbd2`:
//!
//! ```text
//! superblock │ descriptor, blocks … , revocations … , commit │ descriptor, …
//!            └──────────── transaction n ───────────────────┘└── n + 1 ──
//! ```
//!
//! All transactions that have their commit count. A commit is written when
//! everything before it is on the disk, so there is no need to check sums; a
//! journal that does without that order is refused. Nothing is written: blocks are
//! read from the journal instead.

use std::collections::HashMap;

use super::Ext4;
use super::error::{Ext4Error, corrupt};
use super::extents::Extents;
use crate::bytes::{be16, be32, be64};

/// Number of the inode that is the journal.
const INODE: u32 = 8;

const MAGIC: u32 = 0xc03b_3998;

/// What a block of the journal is.
const DESCRIPTOR: u32 = 1;
const COMMIT: u32 = 2;
const REVOCATIONS: u32 = 5;

/// Features: revocations, long block numbers, two kinds of sums.
const REVOKE: u32 = 1;
const LONG: u32 = 2;
const SUMS_2: u32 = 8;
const SUMS_3: u32 = 16;

/// Flags of a block in a descriptor.
const ESCAPED: u32 = 1;
const SAME_UUID: u32 = 2;
const LAST: u32 = 8;

/// Most blocks of a journal: 16 GiB of them.
const BLOCKS_MAX: u32 = 1 << 22;

/// Where blocks are newer than in their place.
#[derive(Debug, Default)]
pub(super) struct Journal(HashMap<u64, Newer>);

/// A block in the journal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Newer {
    /// Where it lies on the disk.
    pub(super) block: u64,
    /// Whether it began with what marks the journal's own blocks, which was
    /// taken out.
    pub(super) is_escaped: bool,
}

impl Newer {
    /// Puts back what was taken out.
    pub(super) fn restore(self, block: &mut [u8]) {
        if let (true, Some(begin)) = (self.is_escaped, block.first_chunk_mut()) {
            *begin = MAGIC.to_be_bytes();
        }
    }
}

impl Journal {
    /// Reads the journal of a file system that was not unmounted.
    pub(super) fn read(system: &Ext4) -> Result<Self, Ext4Error> {
        let inode = system.inode(INODE)?;
        let log = Log::open(system, Extents::read_tree(system, &inode)?)?;
        let mut journal = Self::default();
        let Some(log) = log else { return Ok(journal) };
        let end = log.transactions(|_, _| Ok(()))?;
        let mut revoked: HashMap<u64, u32> = HashMap::new();
        log.until(end, |sequence, part| {
            if let Part::Revoked(block) = part {
                revoked.insert(block, sequence);
            }
        })?;
        log.until(end, |sequence, part| {
            if let Part::Block { block, newer } = part
                && revoked.get(&block).is_none_or(|last| is_before(*last, sequence))
            {
                journal.0.insert(block, newer);
            }
        })?;
        Ok(journal)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn newer(&self, block: u64) -> Option<Newer> {
        self.0.get(&block).copied()
    }
}

/// Whether a transaction comes before another; their numbers begin anew some day.
const fn is_before(one: u32, other: u32) -> bool {
    one.wrapping_sub(other).cast_signed() < 0
}

/// What a transaction consists of.
enum Part {
    Block { block: u64, newer: Newer },
    Revoked(u64),
}

struct Log<'a> {
    system: &'a Ext4,
    extents: Extents,
    blocks: u32,
    first: u32,
    start: u32,
    sequence: u32,
    features: u32,
}

impl<'a> Log<'a> {
    /// `None` if nothing waits in it.
    fn open(system: &'a Ext4, extents: Extents) -> Result<Option<Self>, Ext4Error> {
        let mut log =
            Self { system, extents, blocks: 1, first: 0, start: 0, sequence: 0, features: 0 };
        let head = log.block(0)?;
        let word = |offset| be32(&head, offset).unwrap_or(0);
        let is_ours = word(0) == MAGIC && [3, 4].contains(&word(4));
        if !is_ours || word(12) as usize != system.superblock.block_bytes {
            return Err(corrupt("the journal"));
        }
        log.features = if word(4) == 4 { word(40) } else { 0 };
        if log.features & !(REVOKE | LONG | SUMS_2 | SUMS_3) != 0 {
            return Err(Ext4Error::Unsupported("a journal that is not understood"));
        }
        (log.blocks, log.first, log.sequence, log.start) = (word(16), word(20), word(24), word(28));
        if log.start == 0 {
            return Ok(None);
        }
        let is_sound = log.blocks <= BLOCKS_MAX
            && log.first > 0
            && log.first < log.blocks
            && (log.first..log.blocks).contains(&log.start);
        if is_sound { Ok(Some(log)) } else { Err(corrupt("the journal")) }
    }

    fn block(&self, number: u32) -> Result<Vec<u8>, Ext4Error> {
        let mut bytes = vec![0; self.system.superblock.block_bytes];
        let at = u64::from(number) * bytes.len() as u64;
        self.extents.read(self.system, at, &mut bytes)?;
        Ok(bytes)
    }

    fn after(&self, number: u32, steps: u32) -> u32 {
        let within = self.blocks - self.first;
        self.first + (number - self.first + steps % within) % within
    }

    /// Reads the transactions that are whole and tells their parts; the number of
    /// the first one that is not.
    fn until(&self, end: u32, mut told: impl FnMut(u32, Part)) -> Result<(), Ext4Error> {
        self.transactions(|sequence, part| {
            if is_before(sequence, end) {
                told(sequence, part);
            }
            Ok(())
        })
        .map(|_| ())
    }

    fn transactions(
        &self,
        mut told: impl FnMut(u32, Part) -> Result<(), Ext4Error>,
    ) -> Result<u32, Ext4Error> {
        let (mut at, mut sequence, mut steps) = (self.start, self.sequence, 0_u32);
        loop {
            // Once round is all that there can be.
            steps += 1;
            if steps > self.blocks {
                return Ok(sequence);
            }
            let block = self.block(at)?;
            if be32(&block, 0) != Some(MAGIC) || be32(&block, 8) != Some(sequence) {
                return Ok(sequence);
            }
            at = self.after(at, 1);
            match be32(&block, 4) {
                Some(COMMIT) => sequence = sequence.wrapping_add(1),
                Some(REVOCATIONS) => {
                    for revoked in self.revoked(&block)? {
                        told(sequence, Part::Revoked(revoked))?;
                    }
                }
                Some(DESCRIPTOR) => {
                    for (block, flags) in self.described(&block) {
                        let is_there = |place: &u64| *place < self.system.superblock.blocks;
                        let place = self.extents.physical(at).filter(is_there);
                        let newer = Newer {
                            block: place.ok_or_else(|| corrupt("the journal"))?,
                            is_escaped: flags & ESCAPED != 0,
                        };
                        told(sequence, Part::Block { block, newer })?;
                        at = self.after(at, 1);
                        steps += 1;
                    }
                }
                _ => return Ok(sequence),
            }
        }
    }

    /// The blocks that a descriptor names, with their flags.
    fn described(&self, descriptor: &[u8]) -> Vec<(u64, u32)> {
        let has_sums = self.features & (SUMS_2 | SUMS_3) != 0;
        let end = descriptor.len() - if has_sums { 4 } else { 0 };
        let length = match (self.features & SUMS_3 != 0, self.features & SUMS_2 != 0) {
            (true, _) => 16,
            (_, true) => 10,
            _ => 8,
        };
        let is_long = self.features & LONG != 0;
        let length = if is_long && length < 16 { length + 4 } else { length };
        let mut found = Vec::new();
        let mut at = 12;
        while at + length <= end {
            let low = be32(descriptor, at).unwrap_or(0);
            let (flags, high) = if length == 16 {
                (be32(descriptor, at + 4), be32(descriptor, at + 8))
            } else {
                (be16(descriptor, at + 6).map(u32::from), be32(descriptor, at + 8))
            };
            let flags = flags.unwrap_or(LAST);
            let high = if is_long { high.unwrap_or(0) } else { 0 };
            found.push((u64::from(high) << 32 | u64::from(low), flags));
            at += length + if flags & SAME_UUID == 0 { 16 } else { 0 };
            if flags & LAST != 0 {
                break;
            }
        }
        found
    }

    /// The blocks that are revoked: older ones of them in the journal no longer
    /// count.
    fn revoked(&self, block: &[u8]) -> Result<Vec<u64>, Ext4Error> {
        let used = be32(block, 12).and_then(|used| usize::try_from(used).ok());
        let entries =
            used.and_then(|used| block.get(16..used)).ok_or_else(|| corrupt("the journal"));
        let length = if self.features & LONG != 0 { 8 } else { 4 };
        let number = |entry: &[u8]| be64(entry, 0).or_else(|| be32(entry, 0).map(u64::from));
        Ok(entries?.chunks_exact(length).filter_map(number).collect())
    }
}
