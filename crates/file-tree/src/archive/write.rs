//! Writing an archive.

use std::io::{self, Read, Write};

use tar::{EntryType, Header};

use super::extension::shown;
use super::sparse::map_text;
use super::{BLOCK_BYTES, padding};
use crate::entry::Moment;
use crate::error::TreeError;
use crate::path::TreePath;

/// The name in the header of a member whose own name lies in an extended header.
const STAND_IN: &[u8] = b"@";

/// Longest name that fits a header, in bytes.
const SHORT_NAME_MAX: usize = 99;

/// Writes members one by one.
#[derive(Debug)]
pub struct Writer<W> {
    stream: W,
}

/// What all members have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Common<'a> {
    pub(crate) path: &'a TreePath,
    pub(crate) mode: u16,
    pub(crate) modified: Moment,
}

impl<W: Write> Writer<W> {
    /// Writes to `stream`.
    pub const fn new(stream: W) -> Self {
        Self { stream }
    }

    /// Marks the end of the archive and gives the stream back.
    ///
    /// # Errors
    ///
    /// The stream cannot be written.
    pub fn finish(mut self) -> Result<W, TreeError> {
        self.put(&[0; 2 * BLOCK_BYTES])?;
        self.stream.flush().map_err(broken)?;
        Ok(self.stream)
    }

    pub(crate) fn directory(&mut self, common: Common<'_>) -> Result<(), TreeError> {
        self.head(common, EntryType::Directory, 0, None, &[])
    }

    pub(crate) fn fifo(&mut self, common: Common<'_>) -> Result<(), TreeError> {
        self.head(common, EntryType::Fifo, 0, None, &[])
    }

    pub(crate) fn symlink(&mut self, common: Common<'_>, target: &[u8]) -> Result<(), TreeError> {
        self.head(common, EntryType::Symlink, 0, Some(target), &[])
    }

    pub(crate) fn hard_link(
        &mut self,
        common: Common<'_>,
        first: &TreePath,
    ) -> Result<(), TreeError> {
        self.head(common, EntryType::Link, 0, Some(first.as_bytes()), &[])
    }

    /// Writes a file. `data` gives the bytes of its `ranges`, one after the
    /// other; if it ends early, the archive is of no use.
    pub(crate) fn file(
        &mut self,
        common: Common<'_>,
        bytes: u64,
        ranges: &[(u64, u64)],
        data: &mut dyn Read,
    ) -> Result<(), TreeError> {
        let stored: u64 = ranges.iter().map(|(_, length)| length).sum();
        if stored == bytes {
            self.head(common, EntryType::Regular, stored, None, &[])?;
        } else {
            // An empty range at the end tells older programs the length.
            let mut ranges = ranges.to_vec();
            ranges.push((bytes, 0));
            let map = map_text(&ranges);
            let records = [
                (&b"GNU.sparse.major"[..], &b"1"[..]),
                (b"GNU.sparse.minor", b"0"),
                (b"GNU.sparse.name", common.path.as_bytes()),
                (b"GNU.sparse.realsize", &bytes.to_string().into_bytes()),
            ];
            self.head(common, EntryType::Regular, stored + map.len() as u64, None, &records)?;
            self.put(&map)?;
        }
        let copied = io::copy(&mut data.take(stored), &mut self.stream).map_err(broken)?;
        if copied != stored {
            return Err(TreeError::Changed { path: common.path.clone() });
        }
        self.pad(stored)
    }

    fn head(
        &mut self,
        common: Common<'_>,
        kind: EntryType,
        stored: u64,
        link: Option<&[u8]>,
        records: &[(&[u8], &[u8])],
    ) -> Result<(), TreeError> {
        let mut extension = Vec::new();
        let path = common.path.as_path();
        let path = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str());
        let (name, name_is_long) = short(path);
        let (link_name, link_is_long) = short(link.unwrap_or_default());
        if name_is_long {
            record(&mut extension, b"path", path);
        }
        if let (Some(link), true) = (link, link_is_long) {
            record(&mut extension, b"linkpath", link);
        }
        if common.modified.nanoseconds > 0 || common.modified.seconds < 0 {
            record(&mut extension, b"mtime", shown(common.modified).as_bytes());
        }
        for (key, value) in records {
            record(&mut extension, key, value);
        }
        if !extension.is_empty() {
            let length = extension.len() as u64;
            let mut header = header(STAND_IN, EntryType::XHeader, length);
            header.set_cksum();
            self.put(header.as_bytes())?;
            self.put(&extension)?;
            self.pad(length)?;
        }
        let mut header = header(name, kind, stored);
        header.set_mode(common.mode.into());
        header.set_mtime(u64::try_from(common.modified.seconds).unwrap_or(0));
        if link.is_some() {
            let field = &mut header.as_old_mut().linkname;
            field[..link_name.len()].copy_from_slice(link_name);
        }
        header.set_cksum();
        self.put(header.as_bytes())
    }

    fn pad(&mut self, stored: u64) -> Result<(), TreeError> {
        let zeros = [0; BLOCK_BYTES];
        let length = usize::try_from(padding(stored)).unwrap_or(0);
        self.put(&zeros[..length])
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), TreeError> {
        self.stream.write_all(bytes).map_err(broken)
    }
}

/// A header of root's, without sum, whose name is not looked at twice.
fn header(name: &[u8], kind: EntryType, stored: u64) -> Header {
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_size(stored);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// What stands in a header for some bytes, and whether they did not fit.
fn short(bytes: &[u8]) -> (&[u8], bool) {
    if bytes.len() <= SHORT_NAME_MAX { (bytes, false) } else { (STAND_IN, true) }
}

/// Adds a record: its own length, in decimal digits, is part of that length.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut digits = 1;
    while (rest + digits).to_string().len() > digits {
        digits += 1;
    }
    records.extend_from_slice((rest + digits).to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

fn broken(source: io::Error) -> TreeError {
    TreeError::Stream { action: "write", source }
}
