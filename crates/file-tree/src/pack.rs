//! A list of files of a tree, as an archive.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

use crate::archive::{Common, Writer};
use crate::beneath::{Directories, Root};
use crate::copy::data_ranges;
use crate::entry::{Entry, Kind};
use crate::error::TreeError;
use crate::path::TreePath;

/// Writes files of a tree. Sockets and devices are passed over. `skip` decides
/// what becomes of a file that cannot be read: whether it is left out.
///
/// # Errors
///
/// The archive cannot be written; a file cannot be read and is not to be left
/// out, or changed while it was read.
pub fn pack<W: Write>(
    root: &Root,
    entries: &[Entry],
    archive: &mut Writer<W>,
    skip: &mut dyn FnMut(&Entry, TreeError) -> Result<(), TreeError>,
) -> Result<(), TreeError> {
    let mut directories = Directories::new(root);
    let mut first_names: HashMap<(u64, u64), &TreePath> = HashMap::new();
    for entry in entries {
        let common = Common { path: &entry.path, mode: entry.mode, modified: entry.modified };
        if entry.links > 1
            && entry.kind != Kind::Directory
            && let Some(first) = first_names.get(&entry.inode)
        {
            archive.hard_link(common, first)?;
            continue;
        }
        match entry.kind {
            Kind::Directory => {
                archive.directory(common)?;
                continue;
            }
            Kind::File => {
                let opened = directories.read(entry).and_then(|file| {
                    let ranges =
                        data_ranges(&file, entry).map_err(TreeError::io("read", &entry.path))?;
                    Ok((file, ranges))
                });
                let (file, ranges) = match opened {
                    Ok(opened) => opened,
                    Err(error) => {
                        skip(entry, error)?;
                        continue;
                    }
                };
                let mut data = Ranges { file: &file, left: &ranges, at: 0 };
                archive.file(common, entry.bytes, &ranges, &mut data)?;
            }
            Kind::Symlink => match directories.target(&entry.path) {
                Ok(target) => archive.symlink(common, &target)?,
                Err(error) => {
                    skip(entry, error)?;
                    continue;
                }
            },
            Kind::Fifo => archive.fifo(common)?,
            Kind::Other => continue,
        }
        if entry.links > 1 {
            first_names.insert(entry.inode, &entry.path);
        }
    }
    Ok(())
}

/// The data of a file with holes, without them.
struct Ranges<'a> {
    file: &'a File,
    left: &'a [(u64, u64)],
    at: u64,
}

impl Read for Ranges<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some((offset, length)) = self.left.first() {
            let left = length - self.at;
            if left == 0 {
                self.left = &self.left[1..];
                self.at = 0;
                continue;
            }
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let read = self.file.read_at(&mut buffer[..want], offset + self.at)?;
            self.at += read as u64;
            return Ok(read);
        }
        Ok(0)
    }
}
