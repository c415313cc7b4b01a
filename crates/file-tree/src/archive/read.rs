//! Reading an archive, of which nothing is believed.

use std::io::{self, Read};

use tar::{EntryType, Header};

use super::extension::Extension;
use super::limits::Limits;
use super::sparse;
use super::{BLOCK_BYTES, Range, padding};
use crate::entry::Moment;
use crate::error::TreeError;
use crate::path::TreePath;

/// One file of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Where it belongs.
    pub path: TreePath,
    /// Its permissions, with set-id bits.
    pub mode: u16,
    /// When its content was changed.
    pub modified: Moment,
    /// What it is.
    pub content: Content,
}

/// What a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A directory.
    Directory,
    /// A regular file, whose data follows.
    File {
        /// Its length in bytes.
        bytes: u64,
        /// Where its data belongs, in order and apart: offsets and lengths.
        ranges: Vec<(u64, u64)>,
    },
    /// A symbolic link that points to these bytes, wherever that is.
    Symlink(Vec<u8>),
    /// Another name of a file that came before.
    HardLink(TreePath),
    /// A named pipe.
    Fifo,
    /// Nothing that is taken over, such as a device; what it is.
    Other(&'static str),
}

/// An archive of whatever format: its members one by one, and as bytes the data of
/// the one that was told last, its ranges one after the other.
pub trait Members: Read {
    /// The next member; `None` at the end. Data of the last one that was not
    /// read is passed over.
    ///
    /// # Errors
    ///
    /// The archive breaks off, is none, or goes beyond a limit; a path in it
    /// leads out.
    fn next_member(&mut self) -> Result<Option<Member>, TreeError>;
}

impl<R: Read> Members for Reader<R> {
    fn next_member(&mut self) -> Result<Option<Member>, TreeError> {
        Self::next_member(self)
    }
}

/// Reads members one by one, and the data of the one that was read last.
#[derive(Debug)]
pub struct Reader<R> {
    stream: R,
    limits: Limits,
    members: u64,
    bytes: u64,
    /// Data of the current member that is not read yet.
    data: u64,
    /// Padding behind it.
    pad: u64,
}

impl<R: Read> Reader<R> {
    /// Reads from `stream`, within `limits`.
    pub const fn new(stream: R, limits: Limits) -> Self {
        Self { stream, limits, members: 0, bytes: 0, data: 0, pad: 0 }
    }

    /// The next member; `None` at the end. Data of the last one that was not
    /// read is passed over.
    ///
    /// # Errors
    ///
    /// The stream breaks off, is no archive, or goes beyond a limit; a path in
    /// it leads out.
    pub fn next_member(&mut self) -> Result<Option<Member>, TreeError> {
        let mut extension = Extension::default();
        loop {
            let (data, pad) = (self.data, self.pad);
            self.pass_over(data + pad)?;
            (self.data, self.pad) = (0, 0);
            let Some(header) = self.header()? else { return Ok(None) };
            let stored =
                header.entry_size().map_err(|_| TreeError::Damaged("a header has no size"))?;
            match header.entry_type() {
                EntryType::XHeader => {
                    let records = self.extension(stored)?;
                    extension.read_records(&records)?;
                }
                // Says things about the whole archive, none of which matter here.
                EntryType::XGlobalHeader => drop(self.extension(stored)?),
                EntryType::GNULongName => extension.path = Some(self.long_name(stored)?),
                EntryType::GNULongLink => extension.link = Some(self.long_name(stored)?),
                _ => return self.member(&header, stored, extension).map(Some),
            }
        }
    }

    /// Ends reading. Tells whether nothing follows the archive but padding;
    /// reads what follows, so that the sender is not stuck.
    ///
    /// # Errors
    ///
    /// The stream breaks.
    pub fn finish(mut self) -> Result<R, TreeError> {
        // tar programs fill their last record, of 10 KiB unless told otherwise.
        let mut rest = [0; BLOCK_BYTES];
        let mut left = 1024 * 1024_usize;
        loop {
            match self.stream.read(&mut rest) {
                Ok(0) => return Ok(self.stream),
                Ok(read) => {
                    left = left
                        .checked_sub(read)
                        .ok_or(TreeError::Damaged("something follows its end"))?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(broken(source)),
            }
        }
    }

    fn member(
        &mut self,
        header: &Header,
        stored: u64,
        extension: Extension,
    ) -> Result<Member, TreeError> {
        self.members += 1;
        if self.members > self.limits.members {
            return Err(TreeError::TooMuch { what: "files", max: self.limits.members });
        }
        let Extension { path, link, bytes, modified, sparse } = extension;
        let stored = bytes.unwrap_or(stored);
        let path = sparse.name.clone().or(path);
        let path = TreePath::parse(&path.unwrap_or_else(|| header.path_bytes().into_owned()))?;
        let link = || {
            link.or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned))
                .ok_or(TreeError::Damaged("a link points nowhere"))
        };
        let kind = header.entry_type();
        // Only regular files have data, whatever a header says; that of others
        // is passed over.
        self.data = stored;
        self.pad = padding(stored);
        let content = match kind {
            EntryType::Directory => Content::Directory,
            EntryType::Symlink => match link()? {
                target if target.is_empty() || target.contains(&0) => {
                    return Err(TreeError::Damaged("a link points nowhere"));
                }
                target => Content::Symlink(target),
            },
            EntryType::Link => Content::HardLink(TreePath::parse(&link()?)?),
            EntryType::Fifo => Content::Fifo,
            EntryType::Char => Content::Other("a character device"),
            EntryType::Block => Content::Other("a block device"),
            EntryType::GNUSparse => self.old_sparse(header)?,
            EntryType::Regular | EntryType::Continuous => self.file(&path, header, sparse)?,
            _ => Content::Other("of an unknown kind"),
        };
        let seconds = header.mtime().ok().and_then(|seconds| i64::try_from(seconds).ok());
        Ok(Member {
            path,
            mode: u16::try_from(header.mode().unwrap_or(0o644) & 0o7777).unwrap_or(0),
            modified: modified
                .unwrap_or_else(|| Moment { seconds: seconds.unwrap_or_default(), nanoseconds: 0 }),
            content,
        })
    }

    fn file(
        &mut self,
        path: &TreePath,
        header: &Header,
        sparse: sparse::SparseExtension,
    ) -> Result<Content, TreeError> {
        // Before POSIX, a directory was a file whose name ends with a slash.
        if path.is_root() || (header.path_bytes().ends_with(b"/") && self.data == 0) {
            return Ok(Content::Directory);
        }
        let (bytes, ranges) = match (sparse.major, sparse.bytes, sparse.map) {
            (Some(1), Some(bytes), _) => {
                let (ranges, taken) = sparse::read_map(&mut self.stream)?;
                self.data = self
                    .data
                    .checked_sub(taken)
                    .ok_or(TreeError::Damaged("the map of a sparse file is malformed"))?;
                (bytes, sparse::check(ranges, bytes, self.data)?)
            }
            (_, Some(bytes), Some(map)) => (bytes, sparse::check(map, bytes, self.data)?),
            _ => {
                let whole = if self.data == 0 { Vec::new() } else { vec![(0, self.data)] };
                (self.data, whole)
            }
        };
        self.count(bytes, ranges)
    }

    fn old_sparse(&mut self, header: &Header) -> Result<Content, TreeError> {
        let gnu = header.as_gnu().ok_or(TreeError::Damaged("a sparse file has no map"))?;
        let (ranges, bytes) = sparse::read_old(gnu, &mut self.stream)?;
        let ranges = sparse::check(ranges, bytes, self.data)?;
        self.count(bytes, ranges)
    }

    /// Counts a file's data against the limits.
    fn count(&mut self, bytes: u64, ranges: Vec<Range>) -> Result<Content, TreeError> {
        self.bytes = self.bytes.saturating_add(self.data);
        if self.bytes > self.limits.bytes {
            return Err(TreeError::TooMuch { what: "bytes", max: self.limits.bytes });
        }
        if bytes > self.limits.file_bytes {
            return Err(TreeError::TooMuch {
                what: "bytes in one file",
                max: self.limits.file_bytes,
            });
        }
        Ok(Content::File { bytes, ranges })
    }

    /// The next header; `None` at the end of the archive.
    fn header(&mut self) -> Result<Option<Header>, TreeError> {
        let mut header = Header::new_old();
        let block = header.as_mut_bytes();
        // Some programs leave the empty blocks at the end out.
        let mut filled = 0;
        while filled < BLOCK_BYTES {
            match self.stream.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(TreeError::Damaged("it breaks off")),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(broken(source)),
            }
        }
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let sum: u32 = block
            .iter()
            .enumerate()
            // The sum itself counts as spaces.
            .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
            .sum();
        if header.cksum().ok() != Some(sum) {
            return Err(TreeError::Damaged(
                "a header's checksum is wrong, or it is no tar archive",
            ));
        }
        Ok(Some(header))
    }

    fn extension(&mut self, stored: u64) -> Result<Vec<u8>, TreeError> {
        if stored > Limits::EXTENSION_BYTES {
            return Err(TreeError::TooMuch {
                what: "bytes in an extended header",
                max: Limits::EXTENSION_BYTES,
            });
        }
        let mut bytes = Vec::new();
        let read = (&mut self.stream).take(stored).read_to_end(&mut bytes).map_err(broken)?;
        if read as u64 != stored {
            return Err(TreeError::Damaged("it breaks off"));
        }
        self.pass_over(padding(stored))?;
        Ok(bytes)
    }

    /// A GNU long name, which ends with a NUL byte.
    fn long_name(&mut self, stored: u64) -> Result<Vec<u8>, TreeError> {
        let mut name = self.extension(stored)?;
        if name.last() == Some(&0) {
            name.pop();
        }
        Ok(name)
    }

    fn pass_over(&mut self, bytes: u64) -> Result<(), TreeError> {
        let passed =
            io::copy(&mut (&mut self.stream).take(bytes), &mut io::sink()).map_err(broken)?;
        if passed == bytes { Ok(()) } else { Err(TreeError::Damaged("it breaks off")) }
    }
}

/// The data of the member that was read last, its ranges one after the other.
impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.data).unwrap_or(usize::MAX).min(buffer.len());
        if want == 0 {
            return Ok(0);
        }
        let read = self.stream.read(&mut buffer[..want])?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive breaks off"));
        }
        self.data -= read as u64;
        Ok(read)
    }
}

fn broken(source: io::Error) -> TreeError {
    TreeError::Stream { action: "read", source }
}
