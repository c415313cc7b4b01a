//! An archive's files, put below a root.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::archive::{Content, Member, Members};
use crate::beneath::{Directories, Root};
use crate::copy::make_fifo;
use crate::entry::Moment;
use crate::error::TreeError;
use crate::path::TreePath;

/// Mode of what is not finished: only we can look.
const UNFINISHED: Mode = Mode::RWXU;

/// How many bytes are written at once.
const CHUNK_BYTES: usize = 128 * 1024;

/// The name under which a file is written before it takes its place. Every
/// directory has at most one at a time; what a killed process left is replaced.
const ASIDE: &str = ".hotcell-unfinished";

/// Most members that are told to have been left out.
const LEFT_OUT_MAX: usize = 100;

/// What happens where something is already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replacing {
    /// The tree is new and nobody looks at it: files are written in place, and a
    /// later member of the same name replaces an earlier one.
    Unseen,
    /// Others use the tree: each file is written aside, synced and renamed, so
    /// that it is the old one or the new one at every moment.
    Atomically,
}

/// What happens to bits that make a program run as its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetId {
    /// They are kept: the tree is for a guest.
    Kept,
    /// They are dropped, and the file is named.
    Dropped,
}

/// The set-user-id and set-group-id bits of a mode.
const SET_ID: u16 = 0o6000;

/// Something that was not taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Where it would lie.
    pub path: TreePath,
    /// What it is.
    pub what: &'static str,
}

/// What was unpacked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Files, links and pipes.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Bytes of content, holes not counted.
    pub bytes: u64,
    /// What was not taken over: the first of it.
    pub left_out: Vec<LeftOut>,
    /// How much was not taken over.
    pub left_out_total: u64,
}

/// Unpacks everything below `root`. Directories that are there stay, with what
/// is in them, and get the mode and the time that the archive gives them.
/// `go_on` is asked before each member whether anybody still wants it.
///
/// # Errors
///
/// The archive is damaged, goes beyond a limit or leads out; something cannot be
/// written, or a directory is in the way. What was unpacked until then stays.
pub fn unpack(
    archive: &mut impl Members,
    root: &Root,
    replacing: Replacing,
    set_id: SetId,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Unpacked, TreeError> {
    let mut unpacker = Unpacker {
        root,
        directories: Directories::new(root),
        replacing,
        set_id,
        unpacked: Unpacked::default(),
        finishing: Vec::new(),
        buffer: vec![0; CHUNK_BYTES],
    };
    while let Some(member) = archive.next_member()? {
        if !go_on() {
            return Err(TreeError::Cancelled);
        }
        unpacker.take(member, archive)?;
    }
    unpacker.finish()
}

struct Unpacker<'a> {
    root: &'a Root,
    directories: Directories<'a>,
    replacing: Replacing,
    set_id: SetId,
    unpacked: Unpacked,
    /// Directories, in order of appearance, whose mode and time are set last.
    finishing: Vec<(TreePath, u16, Moment)>,
    buffer: Vec<u8>,
}

impl Unpacker<'_> {
    fn take(&mut self, member: Member, data: &mut impl Read) -> Result<(), TreeError> {
        let Member { path, mode, modified, content } = member;
        let mode = match self.set_id {
            SetId::Dropped if mode & SET_ID != 0 => {
                self.leave_out(path.clone(), "its set-id bits");
                mode & !SET_ID
            }
            _ => mode,
        };
        if path.is_root() {
            match content {
                Content::Directory => self.finishing.push((path, mode, modified)),
                _ => return Err(TreeError::Damaged("its root is no directory")),
            }
            return Ok(());
        }
        if let Content::Other(what) = content {
            self.leave_out(path, what);
            return Ok(());
        }
        self.parents(&path)?;
        let failed = || TreeError::file("create", &path);
        match content {
            Content::Directory => {
                self.directory(&path)?;
                self.finishing.push((path, mode, modified));
                self.unpacked.directories += 1;
                return Ok(());
            }
            Content::File { bytes, ranges } => {
                self.file(&path, mode, modified, bytes, &ranges, data)?;
            }
            Content::Symlink(target) => self.place(&path, |directory, name| {
                rustix::fs::symlinkat(target.as_slice(), directory, name)?;
                let times = modified.timestamps();
                rustix::fs::utimensat(directory, name, &times, AtFlags::SYMLINK_NOFOLLOW)
            })?,
            Content::HardLink(first) => {
                // Opened by its directory, as everything is: a link in the way
                // of the first name would lead out.
                let mut firsts = Directories::new(self.root);
                let source = firsts.of(&first).map_err(failed())?;
                self.place(&path, |directory, name| {
                    rustix::fs::linkat(source, first.name(), directory, name, AtFlags::empty())
                })?;
            }
            Content::Fifo => {
                self.place(&path, |directory, name| make_fifo(directory, name, mode, modified))?
            }
            Content::Other(_) => {}
        }
        self.unpacked.files += 1;
        Ok(())
    }

    fn leave_out(&mut self, path: TreePath, what: &'static str) {
        self.unpacked.left_out_total += 1;
        if self.unpacked.left_out.len() < LEFT_OUT_MAX {
            self.unpacked.left_out.push(LeftOut { path, what });
        }
    }

    /// Creates the directories that an archive did not bother to name.
    fn parents(&mut self, path: &TreePath) -> Result<(), TreeError> {
        match self.directories.of(path) {
            Ok(_) => return Ok(()),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(TreeError::file("create", path)(errno)),
        }
        let mut parent = TreePath::root();
        for name in path.parent().unwrap_or_default().names() {
            parent = parent.join(name)?;
            let directory =
                self.directories.of(&parent).map_err(TreeError::file("create", &parent))?;
            match rustix::fs::mkdirat(directory, parent.name(), Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(TreeError::file("create", &parent)(errno)),
            }
        }
        Ok(())
    }

    fn directory(&mut self, path: &TreePath) -> Result<(), TreeError> {
        let failed = || TreeError::file("create", path);
        let directory = self.directories.of(path).map_err(failed())?;
        match rustix::fs::mkdirat(directory, path.name(), UNFINISHED) {
            Err(Errno::EXIST) => {}
            other => return other.map_err(failed()),
        }
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let stat = rustix::fs::statat(directory, path.name(), flags).map_err(failed())?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            return Ok(());
        }
        rustix::fs::unlinkat(directory, path.name(), AtFlags::empty())
            .and_then(|()| rustix::fs::mkdirat(directory, path.name(), UNFINISHED))
            .map_err(failed())
    }

    fn file(
        &mut self,
        path: &TreePath,
        mode: u16,
        modified: Moment,
        bytes: u64,
        ranges: &[(u64, u64)],
        data: &mut impl Read,
    ) -> Result<(), TreeError> {
        let failed = || TreeError::file("create", path);
        let directory = self.directories.of(path).map_err(failed())?;
        let name = match self.replacing {
            Replacing::Unseen => path.name(),
            Replacing::Atomically => std::ffi::OsStr::new(ASIDE),
        };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let create = || rustix::fs::openat(directory, name, flags, UNFINISHED);
        let file: File = match create() {
            Err(Errno::EXIST) => rustix::fs::unlinkat(directory, name, AtFlags::empty())
                .and_then(|()| create())
                .map_err(failed())?,
            other => other.map_err(failed())?,
        }
        .into();
        write_ranges(&file, path, bytes, ranges, data, &mut self.buffer)?;
        rustix::fs::futimens(&file, &modified.timestamps())
            .and_then(|()| rustix::fs::fchmod(&file, Mode::from_raw_mode(mode.into())))
            .map_err(failed())?;
        if self.replacing == Replacing::Atomically {
            file.sync_all().map_err(TreeError::io("write", path))?;
            rustix::fs::renameat(directory, name, directory, path.name()).map_err(failed())?;
        }
        self.unpacked.bytes += ranges.iter().map(|(_, length)| length).sum::<u64>();
        Ok(())
    }

    /// Puts something into its place that is there at once or not at all.
    fn place(
        &mut self,
        path: &TreePath,
        create: impl Fn(&Root, &std::ffi::OsStr) -> Result<(), Errno>,
    ) -> Result<(), TreeError> {
        let failed = || TreeError::file("create", path);
        let directory = self.directories.of(path).map_err(failed())?;
        match create(directory, path.name()) {
            Err(Errno::EXIST) => {}
            other => return other.map_err(failed()),
        }
        let aside = std::ffi::OsStr::new(ASIDE);
        match rustix::fs::unlinkat(directory, aside, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(failed()(errno)),
        }
        create(directory, aside)
            .and_then(|()| rustix::fs::renameat(directory, aside, directory, path.name()))
            .map_err(failed())?;
        // Renaming one name of a file over another of the same file does nothing.
        match rustix::fs::unlinkat(directory, aside, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(failed()(errno)),
        }
    }

    fn finish(self) -> Result<Unpacked, TreeError> {
        // From the inside out: some may not be written to afterwards.
        for (path, mode, modified) in self.finishing.iter().rev() {
            let directory = match self.root.directory(path) {
                Ok(directory) => directory,
                // A later member took its place.
                Err(Errno::NOTDIR | Errno::LOOP | Errno::NOENT) => continue,
                Err(errno) => return Err(TreeError::file("finish", path)(errno)),
            };
            rustix::fs::futimens(&directory, &modified.timestamps())
                .and_then(|()| rustix::fs::fchmod(&directory, Mode::from_raw_mode((*mode).into())))
                .map_err(TreeError::file("finish", path))?;
        }
        Ok(self.unpacked)
    }
}

fn write_ranges(
    file: &File,
    path: &TreePath,
    bytes: u64,
    ranges: &[(u64, u64)],
    data: &mut impl Read,
    buffer: &mut [u8],
) -> Result<(), TreeError> {
    let mut end = 0;
    for (offset, length) in ranges {
        let mut at = *offset;
        end = offset + length;
        while at < end {
            let want = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
            let read = data
                .read(&mut buffer[..want])
                .map_err(|source| TreeError::Stream { action: "read", source })?;
            file.write_all_at(&buffer[..read], at).map_err(TreeError::io("write", path))?;
            at += read as u64;
        }
    }
    if end < bytes {
        file.set_len(bytes).map_err(TreeError::io("write", path))?;
    }
    Ok(())
}
