//! Copying a list of files from one tree into another.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, SeekFrom};
use rustix::io::Errno;

use crate::beneath::{Directories, Root};
use crate::entry::{Entry, Kind, Moment};
use crate::error::TreeError;
use crate::path::TreePath;

/// Mode of everything while it is being filled: only we can look.
const UNFINISHED: u32 = 0o700;

/// How many bytes are copied at once.
const CHUNK_BYTES: usize = 128 * 1024;

/// Copies files to where nothing is yet but perhaps directories. Every directory
/// of `entries` comes before what lies in it. Content, modes, times of modification, links of both
/// kinds, named pipes and holes are kept. `skip` decides what becomes of a file
/// that cannot be read: whether it is left out.
///
/// # Errors
///
/// Something cannot be written, or cannot be read and is not to be left out.
pub fn copy(
    from: &Root,
    entries: &[Entry],
    to: &Root,
    skip: &mut dyn FnMut(&Entry, TreeError) -> Result<(), TreeError>,
) -> Result<(), TreeError> {
    let mut sources = Directories::new(from);
    let mut targets = Directories::new(to);
    let mut first_names: HashMap<(u64, u64), &TreePath> = HashMap::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    for entry in entries {
        let path = &entry.path;
        if path.is_root() {
            continue;
        }
        let failed = || TreeError::file("create", path);
        let directory = targets.of(path).map_err(failed())?;
        if entry.links > 1
            && entry.kind != Kind::Directory
            && let Some(first) = first_names.get(&entry.inode)
        {
            rustix::fs::linkat(to, first.as_path(), directory, path.name(), AtFlags::empty())
                .map_err(failed())?;
            continue;
        }
        match entry.kind {
            Kind::Directory => {
                let mode = Mode::from_raw_mode(UNFINISHED);
                match rustix::fs::mkdirat(directory, path.name(), mode) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(failed()(errno)),
                }
                continue;
            }
            Kind::File => {
                let mut source = match sources.read(entry) {
                    Ok(source) => source,
                    Err(error) => {
                        skip(entry, error)?;
                        continue;
                    }
                };
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                let target = rustix::fs::openat(
                    directory,
                    path.name(),
                    flags,
                    Mode::from_raw_mode(UNFINISHED),
                )
                .map_err(failed())?;
                let mut target = File::from(target);
                copy_content(entry, &mut source, &mut target, &mut buffer)?;
                finish(&target, entry).map_err(failed())?;
            }
            Kind::Symlink => {
                let target = match sources.target(path) {
                    Ok(target) => target,
                    Err(error) => {
                        skip(entry, error)?;
                        continue;
                    }
                };
                rustix::fs::symlinkat(target.as_slice(), directory, path.name())
                    .map_err(failed())?;
                set_times(directory, entry).map_err(failed())?;
            }
            Kind::Fifo => {
                make_fifo(directory, path.name(), entry.mode, entry.modified).map_err(failed())?;
            }
            Kind::Other => continue,
        }
        if entry.links > 1 {
            first_names.insert(entry.inode, path);
        }
    }
    // Last and from the inside out: filling a directory changes its times, and
    // some may not be written to.
    for entry in entries.iter().rev().filter(|entry| entry.kind == Kind::Directory) {
        let opened = to.directory(&entry.path).map_err(TreeError::file("finish", &entry.path))?;
        finish(&opened, entry).map_err(TreeError::file("finish", &entry.path))?;
    }
    Ok(())
}

/// Gives an open file its time and mode.
fn finish(file: impl rustix::fd::AsFd, entry: &Entry) -> Result<(), Errno> {
    rustix::fs::futimens(&file, &entry.modified.timestamps())?;
    rustix::fs::fchmod(&file, Mode::from_raw_mode(entry.mode.into()))
}

/// Makes a named pipe with exactly this mode.
pub(crate) fn make_fifo(
    directory: &Root,
    name: &OsStr,
    mode: u16,
    modified: Moment,
) -> Result<(), Errno> {
    let mode = Mode::from_raw_mode(mode.into());
    rustix::fs::mknodat(directory, name, FileType::Fifo, mode, 0)?;
    // The caller's mask took bits away.
    rustix::fs::chmodat(directory, name, mode, AtFlags::empty())?;
    let times = modified.timestamps();
    rustix::fs::utimensat(directory, name, &times, AtFlags::SYMLINK_NOFOLLOW)
}

fn set_times(directory: &Root, entry: &Entry) -> Result<(), Errno> {
    let times = entry.modified.timestamps();
    rustix::fs::utimensat(directory, entry.path.name(), &times, AtFlags::SYMLINK_NOFOLLOW)
}

fn copy_content(
    entry: &Entry,
    source: &mut File,
    target: &mut File,
    buffer: &mut [u8],
) -> Result<(), TreeError> {
    let failed = |action| TreeError::io(action, &entry.path);
    let mut copied = 0;
    for (offset, length) in data_ranges(source, entry).map_err(failed("read"))? {
        let mut at = offset;
        let mut left = length;
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let read = source.read_at(&mut buffer[..want], at).map_err(failed("read"))?;
            if read == 0 {
                return Err(TreeError::Changed { path: entry.path.clone() });
            }
            if entry.is_sparse() {
                target.write_all_at(&buffer[..read], at).map_err(failed("write"))?;
            } else {
                target.write_all(&buffer[..read]).map_err(failed("write"))?;
            }
            at += read as u64;
            left -= read as u64;
            copied += read as u64;
        }
    }
    if copied < entry.bytes {
        target.set_len(entry.bytes).map_err(failed("write"))?;
    }
    Ok(())
}

/// Where a file has data: offsets and lengths. What lies between are holes.
pub(crate) fn data_ranges(file: &File, entry: &Entry) -> io::Result<Vec<(u64, u64)>> {
    if !entry.is_sparse() {
        return Ok(if entry.bytes == 0 { Vec::new() } else { vec![(0, entry.bytes)] });
    }
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < entry.bytes {
        let start = match rustix::fs::seek(file, SeekFrom::Data(at)) {
            Ok(start) => start.min(entry.bytes),
            // No data from here on.
            Err(Errno::NXIO) => break,
            Err(errno) => return Err(errno.into()),
        };
        let end = rustix::fs::seek(file, SeekFrom::Hole(start))?.min(entry.bytes);
        if end > start {
            ranges.push((start, end - start));
        }
        at = end.max(start + 1);
    }
    Ok(ranges)
}
