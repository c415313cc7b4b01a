//! The file system ext4, read only, as far as our images use it.
//!
//! The format is that of the kernel's `Documentation/filesystems/ext4`. Read are
//! files with extents, directories (indexed ones as well: their index lies in
//! what looks like unused entries), links and times; refused are features that
//! change the meaning of what is read and that neither our `mke2fs` nor a guest's
//! kernel switches on by itself.

mod directory;
mod error;
mod extents;
mod inode;
mod journal;
mod superblock;

use std::io;

pub use directory::Name;
pub use error::Ext4Error;
pub use inode::{Inode, Kind, Time};

use crate::disk::Disk;
use error::corrupt;
use extents::Extents;
use journal::Journal;
use superblock::Superblock;

/// Number of the root directory.
const ROOT: u32 = 2;

/// Largest directory that is read, in bytes: some hundred thousand names.
const DIRECTORY_MAX: u64 = 64 << 20;

/// Longest target of a link, in bytes: `PATH_MAX` of Linux.
const TARGET_MAX: u64 = 4096;

/// A file system.
pub struct Ext4 {
    disk: Box<dyn Disk>,
    superblock: Superblock,
    /// Where the inodes of each group lie, as blocks.
    tables: Vec<u64>,
    journal: Journal,
}

impl std::fmt::Debug for Ext4 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ext4").field("superblock", &self.superblock).finish_non_exhaustive()
    }
}

impl Ext4 {
    /// Opens the file system on a disk.
    ///
    /// # Errors
    ///
    /// If there is none, or one that cannot be read.
    pub fn open(disk: Box<dyn Disk>) -> Result<Self, Ext4Error> {
        let superblock = Superblock::read(disk.as_ref())?;
        let tables = superblock.inode_tables(disk.as_ref())?;
        let mut system = Self { disk, superblock, tables, journal: Journal::default() };
        if system.superblock.needs_recovery {
            system.journal = Journal::read(&system)?;
        }
        Ok(system)
    }

    /// The root directory.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn root(&self) -> Result<Inode, Ext4Error> {
        self.inode(ROOT)
    }

    /// An inode by its number.
    ///
    /// # Errors
    ///
    /// If there is none of that number, or it cannot be read.
    pub fn inode(&self, number: u32) -> Result<Inode, Ext4Error> {
        let superblock = &self.superblock;
        if number == 0 || number > superblock.inodes {
            return Err(corrupt("the number of an inode"));
        }
        let (group, index) = (
            (number - 1) / superblock.inodes_per_group,
            (number - 1) % superblock.inodes_per_group,
        );
        let table = usize::try_from(group).ok().and_then(|group| self.tables.get(group));
        let table = table.ok_or_else(|| corrupt("the number of an inode"))?;
        let within = u64::from(index) * superblock.inode_bytes as u64;
        let block = table.checked_add(within / superblock.block_bytes as u64);
        let block = block.ok_or_else(|| corrupt("the place of inodes"))?;
        let mut bytes = vec![0; superblock.inode_bytes];
        self.read_blocks(block, within % superblock.block_bytes as u64, &mut bytes)?;
        Inode::parse(number, &bytes)
    }

    /// The names in a directory, without `.` and `..`, in no order.
    ///
    /// # Errors
    ///
    /// If it is no directory, or cannot be read.
    pub fn list(&self, directory: &Inode) -> Result<Vec<Name>, Ext4Error> {
        if directory.kind != Kind::Directory {
            return Err(Ext4Error::NoDirectory);
        }
        if directory.size > DIRECTORY_MAX {
            return Err(Ext4Error::TooLarge { what: "a directory", max: DIRECTORY_MAX });
        }
        let mut bytes = vec![0; usize::try_from(directory.size).unwrap_or(0)];
        self.extents(directory)?.read(self, 0, &mut bytes)?;
        directory::parse(&bytes, self.superblock.block_bytes)
    }

    /// Where a symbolic link points.
    ///
    /// # Errors
    ///
    /// If it is none, or cannot be read.
    pub fn target(&self, link: &Inode) -> Result<Vec<u8>, Ext4Error> {
        if link.kind != Kind::Symlink {
            return Err(Ext4Error::NoLink);
        }
        if let Some(target) = link.inline_target() {
            return Ok(target.to_vec());
        }
        if link.size > TARGET_MAX {
            return Err(Ext4Error::TooLarge { what: "the target of a link", max: TARGET_MAX });
        }
        let mut bytes = vec![0; usize::try_from(link.size).unwrap_or(0)];
        self.extents(link)?.read(self, 0, &mut bytes)?;
        Ok(bytes)
    }

    /// A file, for reading its content.
    ///
    /// # Errors
    ///
    /// If it is no regular file, or cannot be read.
    pub fn file(&self, inode: Inode) -> Result<Content<'_>, Ext4Error> {
        if inode.kind != Kind::File {
            return Err(Ext4Error::NoFile);
        }
        let extents = self.extents(&inode)?;
        Ok(Content { system: self, size: inode.size, extents, at: 0 })
    }

    fn extents(&self, inode: &Inode) -> Result<Extents, Ext4Error> {
        Extents::read_tree(self, inode)
    }

    /// Reads within blocks that follow each other, from an offset in the first.
    fn read_blocks(&self, block: u64, offset: u64, buffer: &mut [u8]) -> Result<(), Ext4Error> {
        let block_bytes = self.superblock.block_bytes as u64;
        let end = self.superblock.blocks * block_bytes;
        let at = block.checked_mul(block_bytes).and_then(|at| at.checked_add(offset));
        let fits = |at: &u64| end.checked_sub(*at).is_some_and(|rest| rest >= buffer.len() as u64);
        let at = at.filter(fits).ok_or_else(|| corrupt("the number of a block"))?;
        if self.journal.is_empty() {
            return self.disk.read_at(at, buffer).map_err(Ext4Error::Disk);
        }
        self.read_newest(at, buffer)
    }

    /// The same with what the journal holds in the place of what is older.
    fn read_newest(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Ext4Error> {
        let block_bytes = self.superblock.block_bytes;
        let (mut at, mut rest) = (offset, buffer);
        while !rest.is_empty() {
            let block = at / block_bytes as u64;
            let within = usize::try_from(at % block_bytes as u64).unwrap_or(0);
            let length = rest.len().min(block_bytes - within);
            let (piece, others) = rest.split_at_mut(length);
            match self.journal.newer(block) {
                None => self.disk.read_at(at, piece).map_err(Ext4Error::Disk)?,
                Some(newer) => {
                    let mut whole = vec![0; block_bytes];
                    let place = newer.block * block_bytes as u64;
                    self.disk.read_at(place, &mut whole).map_err(Ext4Error::Disk)?;
                    newer.restore(&mut whole);
                    piece.copy_from_slice(&whole[within..within + length]);
                }
            }
            at += length as u64;
            rest = others;
        }
        Ok(())
    }
}

/// The content of a file.
pub struct Content<'a> {
    system: &'a Ext4,
    size: u64,
    extents: Extents,
    at: u64,
}

impl std::fmt::Debug for Content<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content").field("size", &self.size).finish_non_exhaustive()
    }
}

impl Content<'_> {
    /// How long it is, in bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Goes on reading from another place.
    pub const fn seek_to(&mut self, offset: u64) {
        self.at = offset;
    }
}

impl io::Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(self.size.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let length = rest.min(buffer.len());
        self.extents.read(self.system, self.at, &mut buffer[..length]).map_err(
            |error| match error {
                Ext4Error::Disk(error) => error,
                error => io::Error::new(io::ErrorKind::InvalidData, error),
            },
        )?;
        self.at += length as u64;
        Ok(length)
    }
}
