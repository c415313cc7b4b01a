//! An archive's files put in place, all or none.
//!
//! Everything is received before the first name changes: each file waits in a slot
//! of the staging directory. The steps are then written down in a journal, so
//! whoever is killed leaves all old or, as soon as the next tool looks, all new.
//! Only modes of directories and directories that are empty are no part of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;

use file_tree::archive::{Content, Member, Reader};
use file_tree::{Limits, Moment, TreeError, TreePath};
use guest_protocol::path::{STAGING, WorkspacePath};
use guest_protocol::tools;
use guest_protocol::tools::file::Parents;
use guest_protocol::tools::transfer::{PATHS_MAX, RECEIVED_MAX, Receive, Received};
use rustix::fs::{AtFlags, FileType, Gid, Mode, Uid};
use rustix::io::Errno;

use crate::error::ToolError;
use crate::root::{Root, kind_of};
use crate::staging::{Journal, Slot, Staging, Step};

/// What one request may bring. The drive is smaller than this.
const LIMITS: Limits =
    Limits { members: 1 << 20, bytes: 64 << 30, file_bytes: 1024 * 1024 * 1024 * 1024 };

/// How much is written at once, in bytes.
const CHUNK_BYTES: usize = 128 * 1024;

/// Something that waits to be put in place.
struct Waiting {
    path: WorkspacePath,
    slot: Slot,
    /// Permissions that it shall have, unless it is a link.
    mode: Option<u16>,
}

/// What was received.
#[derive(Default)]
struct Parcel {
    waiting: Vec<Waiting>,
    directories: Vec<(WorkspacePath, u16)>,
    bytes: u64,
}

/// Receives, and puts in place.
pub(super) fn receive(
    root: &Root,
    request: &Receive,
    input: &mut impl Read,
) -> Result<Received, ToolError> {
    if request.remove.len() > PATHS_MAX {
        return Err(TreeError::TooMuch { what: "removals", max: PATHS_MAX as u64 }.into());
    }
    let (_, base) = root.make_directory(&request.path)?;
    let mut staging = Staging::begin(root)?;
    let parcel = unpack(&base, &mut staging, input)?;
    staging.sync()?;
    staging.lock()?;
    let mut removed_directories = Vec::new();
    let mut journal = Journal::default();
    let mut removed = BTreeSet::new();
    for path in &request.remove {
        let path = below(&base, path.as_bytes())?;
        let place = match root.place(&path, Parents::Require, "removed") {
            Err(ToolError::Missing(_) | ToolError::WrongKind { .. }) => continue,
            other => other?,
        };
        // Behind a link lies something else than what was meant.
        let Some(stat) = place.stat()?.filter(|_| place.path == path) else { continue };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            removed_directories.push(path);
        } else {
            let slot = staging.slot();
            journal.steps.push(Step {
                path: path.clone(),
                slot,
                old: Some(stat.st_ino),
                new: None,
            });
            removed.insert(path);
        }
    }
    for waiting in &parcel.waiting {
        journal.steps.push(step(root, &staging, waiting, &removed)?);
    }
    journal.directories = missing_directories(root, &parcel);
    let count = removed.len() as u64;
    staging.commit(&journal)?;
    let mut gone = 0;
    // From the inside out; what still has something in it stays.
    removed_directories.sort_unstable();
    for path in removed_directories.iter().rev() {
        match root.place(path, Parents::Require, "removed") {
            Ok(place) => {
                let flags = AtFlags::REMOVEDIR;
                gone +=
                    u64::from(rustix::fs::unlinkat(&place.directory, &place.name, flags).is_ok());
            }
            // It went with its last file.
            Err(_) => gone += 1,
        }
    }
    for (path, mode) in &parcel.directories {
        let (directory, _) = root.make_directory(path)?;
        rustix::fs::fchmod(&directory, Mode::from_raw_mode((*mode).into()))
            .map_err(ToolError::at("change", path))?;
    }
    Ok(Received { files: parcel.waiting.len() as u64, bytes: parcel.bytes, removed: count + gone })
}

/// The change of a name that a received file means.
fn step(
    root: &Root,
    staging: &Staging<'_>,
    waiting: &Waiting,
    removed: &BTreeSet<WorkspacePath>,
) -> Result<Step, ToolError> {
    let new = Some(staging.inode(waiting.slot)?);
    let path = waiting.path.clone();
    let mut outer = Some(path.clone());
    let mut is_new = false;
    while let Some(at) = outer {
        is_new |= removed.contains(&at);
        outer = at.split().map(|(parent, _)| parent);
    }
    let mut old = None;
    if !is_new {
        let stat = match root.place(&path, Parents::Require, "changed") {
            Ok(place) if place.path != path => {
                let is = "behind a symbolic link";
                return Err(ToolError::WrongKind { path, is, wanted: "in a directory" });
            }
            Ok(place) => place.stat()?,
            Err(ToolError::Missing(_)) => None,
            Err(error) => return Err(error),
        };
        if let Some(stat) = stat
            && kind_of(&stat) != guest_protocol::tools::file::Kind::Directory
        {
            old = Some(stat.st_ino);
            keep_owner(staging, waiting, (stat.st_uid, stat.st_gid))?;
        }
    }
    Ok(Step { path, slot: waiting.slot, old, new })
}

/// What replaces a file belongs to whom that belonged.
fn keep_owner(
    staging: &Staging<'_>,
    waiting: &Waiting,
    (user, group): (u32, u32),
) -> Result<(), ToolError> {
    let name = waiting.slot.name();
    let (user, group) = (Some(Uid::from_raw(user)), Some(Gid::from_raw(group)));
    match rustix::fs::chownat(staging.directory(), &name, user, group, AtFlags::SYMLINK_NOFOLLOW) {
        // Who may not give files away keeps them; in the guest it is root.
        Err(Errno::PERM) => {}
        done => done.map_err(ToolError::staging("write into"))?,
    }
    if let Some(mode) = waiting.mode {
        // After the owner: a change of owner takes special bits away.
        let mode = Mode::from_raw_mode(mode.into());
        rustix::fs::chmodat(staging.directory(), &name, mode, AtFlags::empty())
            .map_err(ToolError::staging("write into"))?;
    }
    Ok(())
}

/// The directories that have to be made, the outer ones first.
fn missing_directories(root: &Root, parcel: &Parcel) -> Vec<WorkspacePath> {
    let mut missing = BTreeMap::new();
    for waiting in &parcel.waiting {
        let mut inner = waiting.path.clone();
        while let Some((parent, _)) = inner.split().filter(|(parent, _)| !parent.is_root()) {
            let is_known = missing.contains_key(&parent);
            if is_known {
                break;
            }
            let is_missing = root.open_directory(&parent).is_err();
            missing.insert(parent.clone(), is_missing);
            if !is_missing {
                break;
            }
            inner = parent;
        }
    }
    missing.into_iter().filter(|(_, is_missing)| *is_missing).map(|(path, _)| path).collect()
}

fn below(base: &WorkspacePath, path: &[u8]) -> Result<WorkspacePath, ToolError> {
    let path = TreePath::parse(path).map_err(TreeError::from)?;
    let whole = path.names().fold(base.clone(), |parent, name| parent.join(name));
    if whole.parts().next() == Some(STAGING.as_bytes()) {
        return Err(ToolError::Reserved(whole));
    }
    Ok(whole)
}

fn unpack(
    base: &WorkspacePath,
    staging: &mut Staging<'_>,
    input: &mut impl Read,
) -> Result<Parcel, ToolError> {
    let mut parcel = Parcel::default();
    let mut archive = Reader::new(Chunks { input, left: Some(0) }, LIMITS);
    let mut slots: BTreeMap<TreePath, Slot> = BTreeMap::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    while let Some(member) = archive.next_member()? {
        let Member { path, mode, modified, content } = member;
        let whole = below(base, path.as_bytes())?;
        if path.is_root() {
            continue;
        }
        let made = |done: Result<(), Errno>| done.map_err(ToolError::staging("write into"));
        let (slot, mode) = match content {
            Content::Directory => {
                parcel.directories.push((whole, mode));
                continue;
            }
            Content::File { bytes, ranges } => {
                let (slot, file) = staging.file()?;
                write(&file, bytes, &ranges, &mut archive, &mut buffer)?;
                made(rustix::fs::futimens(&file, &modified.timestamps()))?;
                made(rustix::fs::fchmod(&file, Mode::from_raw_mode(mode.into())))?;
                parcel.bytes += ranges.iter().map(|(_, length)| length).sum::<u64>();
                (slot, Some(mode))
            }
            Content::Symlink(target) => {
                let slot = staging.link(&target)?;
                made(set_times(staging, slot, modified))?;
                (slot, None)
            }
            Content::HardLink(first) => {
                let Some(first) = slots.get(&first) else {
                    return Err(TreeError::Damaged("a link points to no file before it").into());
                };
                let slot = staging.slot();
                let directory = staging.directory();
                let (old, new) = (first.name(), slot.name());
                made(rustix::fs::linkat(directory, old, directory, new, AtFlags::empty()))?;
                (slot, Some(mode))
            }
            Content::Fifo => {
                let slot = staging.slot();
                let bits = Mode::from_raw_mode(mode.into());
                let (directory, name) = (staging.directory(), slot.name());
                made(rustix::fs::mknodat(directory, &name, FileType::Fifo, bits, 0))?;
                made(rustix::fs::chmodat(directory, &name, bits, AtFlags::empty()))?;
                (slot, Some(mode))
            }
            Content::Other(_) => continue,
        };
        if parcel.waiting.len() == RECEIVED_MAX {
            return Err(TreeError::TooMuch { what: "files", max: RECEIVED_MAX as u64 }.into());
        }
        slots.insert(path, slot);
        parcel.waiting.push(Waiting { path: whole, slot, mode });
    }
    archive.finish()?;
    Ok(parcel)
}

fn set_times(staging: &Staging<'_>, slot: Slot, modified: Moment) -> Result<(), Errno> {
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::utimensat(staging.directory(), slot.name(), &modified.timestamps(), flags)
}

fn write<R: Read>(
    file: &File,
    bytes: u64,
    ranges: &[(u64, u64)],
    data: &mut Reader<R>,
    buffer: &mut [u8],
) -> Result<(), ToolError> {
    let mut end = 0;
    for (offset, length) in ranges {
        let mut at = *offset;
        end = offset + length;
        while at < end {
            let want = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
            let read = data.read(&mut buffer[..want]).map_err(ToolError::Input)?;
            file.write_all_at(&buffer[..read], at).map_err(ToolError::staging("write into"))?;
            at += read as u64;
        }
    }
    if end < bytes {
        file.set_len(bytes).map_err(ToolError::staging("write into"))?;
    }
    Ok(())
}

/// The bytes that come in chunks. An input that ends before the last chunk is an
/// error, so that it is never taken for a whole one.
struct Chunks<'a, R> {
    input: &'a mut R,
    /// Of the current chunk; `None` after the last one.
    left: Option<usize>,
}

impl<R: Read> Read for Chunks<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.left == Some(0) {
            let mut prefix = [0; 4];
            self.input.read_exact(&mut prefix)?;
            let length = tools::chunk_length(prefix).map_err(io::Error::other)?;
            self.left = (length > 0).then_some(length);
        }
        let Some(left) = self.left else { return Ok(0) };
        let want = left.min(buffer.len());
        let read = self.input.read(&mut buffer[..want])?;
        if read == 0 && want > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left = Some(left - read);
        Ok(read)
    }
}
