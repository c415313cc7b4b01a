//! Reading zip archives, of which nothing is believed.
//!
//! What counts is the list at the archive's end; what the crate `rawzip` makes of it
//! allocates nothing. Names are taken byte for byte, and times that name no zone as
//! UTC. The sum and the length of each file are checked, so members that share data
//! or lie about it gain nothing: what comes out is bounded whatever is announced.

use std::fs::File;
use std::io::{self, Read};

use file_tree::archive::{Content, Member, Members};
use file_tree::{Limits, Moment, TreeError, TreePath};
use flate2::read::DeflateDecoder;
use rawzip::time::{UtcDateTime, ZipDateTimeKind};
use rawzip::{
    CompressionMethod, CreatorSystem, FileReader, RECOMMENDED_BUFFER_SIZE, ZipArchive, ZipEntries,
    ZipFileHeaderRecord,
};

/// Longest target of a link, in bytes: `PATH_MAX` of Linux.
const TARGET_MAX: u64 = 4096;

/// What a mode says something is.
const KIND: u32 = 0o170_000;
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;
const FIFO: u32 = 0o010_000;

/// A zip archive.
#[derive(Debug)]
pub(super) struct Zip {
    archive: ZipArchive<FileReader>,
    /// Where its list is read into.
    buffer: Vec<u8>,
}

impl Zip {
    /// Finds the list of an archive.
    pub(super) fn open(file: File) -> Result<Self, TreeError> {
        // Room for the longest name and what else is said of a file.
        let mut buffer = vec![0; 4 * RECOMMENDED_BUFFER_SIZE];
        let archive = ZipArchive::from_file(file, &mut buffer).map_err(broken)?;
        Ok(Self { archive, buffer })
    }

    /// Its members, in the order of the list, within `limits`.
    pub(super) fn members(&mut self, limits: Limits) -> ZipMembers<'_> {
        let Self { archive, buffer } = self;
        let entries = archive.entries(buffer);
        ZipMembers { archive, entries, limits, members: 0, bytes: 0, data: None }
    }
}

/// The members of a zip archive, one by one.
pub(super) struct ZipMembers<'a> {
    archive: &'a ZipArchive<FileReader>,
    entries: ZipEntries<'a, 'a, FileReader>,
    limits: Limits,
    members: u64,
    bytes: u64,
    /// What the current member holds, and how much of it was not read yet.
    data: Option<(Box<dyn Read + 'a>, u64)>,
}

impl Members for ZipMembers<'_> {
    fn next_member(&mut self) -> Result<Option<Member>, TreeError> {
        self.data = None;
        let Some(entry) = self.entries.next_entry().map_err(broken)? else {
            // Old programs count modulo 2^16.
            let is_whole = (self.archive.entries_hint() ^ self.members) & 0xffff == 0;
            return if is_whole {
                Ok(None)
            } else {
                Err(TreeError::Damaged("its list of files has another length than it says"))
            };
        };
        self.members += 1;
        if self.members > self.limits.members {
            return Err(TreeError::TooMuch { what: "files", max: self.limits.members });
        }
        let path = TreePath::parse(entry.file_path().as_bytes())?;
        let kind = match entry.mode().value() & KIND {
            _ if entry.is_dir() || path.is_root() => DIRECTORY,
            kind => kind,
        };
        let content = match kind {
            DIRECTORY => Content::Directory,
            REGULAR => {
                let bytes = entry.uncompressed_size_hint();
                self.bytes = self.bytes.saturating_add(bytes);
                if self.bytes > self.limits.bytes {
                    return Err(TreeError::TooMuch { what: "bytes", max: self.limits.bytes });
                }
                self.data = Some((data(self.archive, &entry)?, bytes));
                let ranges = if bytes == 0 { Vec::new() } else { vec![(0, bytes)] };
                Content::File { bytes, ranges }
            }
            SYMLINK => Content::Symlink(target(data(self.archive, &entry)?)?),
            FIFO => Content::Fifo,
            _ => Content::Other("a device or a socket"),
        };
        Ok(Some(Member { path, mode: mode(&entry, kind), modified: modified(&entry), content }))
    }
}

/// The data of the member that was told last.
impl Read for ZipMembers<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some((data, left)) = &mut self.data else { return Ok(0) };
        let want = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
        if want == 0 {
            return Ok(0);
        }
        let read = data.read(&mut buffer[..want])?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive breaks off"));
        }
        *left -= read as u64;
        Ok(read)
    }
}

/// What a member holds, which is checked when its end is read.
fn data<'a>(
    archive: &'a ZipArchive<FileReader>,
    entry: &ZipFileHeaderRecord<'_>,
) -> Result<Box<dyn Read + 'a>, TreeError> {
    if entry.flags().is_encrypted() {
        return Err(TreeError::Unsupported("encrypted files"));
    }
    let place = archive.get_entry(entry.wayfinder()).map_err(broken)?;
    match entry.compression_method() {
        CompressionMethod::STORE => Ok(Box::new(place.verifying_reader(place.reader()))),
        CompressionMethod::DEFLATE => {
            let inflated = DeflateDecoder::new(place.reader());
            Ok(Box::new(place.verifying_reader(inflated)))
        }
        _ => Err(TreeError::Unsupported("files that are compressed in another way than deflate")),
    }
}

/// Where a link points: that is what it holds.
fn target(data: impl Read) -> Result<Vec<u8>, TreeError> {
    let mut target = Vec::new();
    data.take(TARGET_MAX)
        .read_to_end(&mut target)
        .map_err(|source| TreeError::Stream { action: "read", source })?;
    if target.is_empty() || target.contains(&0) || target.len() as u64 == TARGET_MAX {
        return Err(TreeError::Damaged("a link points nowhere"));
    }
    Ok(target)
}

/// Permissions: those that it has, if it was made where there are any.
fn mode(entry: &ZipFileHeaderRecord<'_>, kind: u32) -> u16 {
    let is_unix = entry.version_made_by().creator_system() == CreatorSystem::UNIX;
    let bits = u16::try_from(entry.mode().value() & 0o7777).unwrap_or(0);
    match kind {
        _ if is_unix && bits & 0o777 != 0 => bits,
        DIRECTORY => 0o755,
        _ => 0o644,
    }
}

fn modified(entry: &ZipFileHeaderRecord<'_>) -> Moment {
    let time = match entry.last_modified() {
        ZipDateTimeKind::Utc(time) => Some(time),
        ZipDateTimeKind::Local(time) => UtcDateTime::from_components(
            time.year(),
            time.month(),
            time.day(),
            time.hour(),
            time.minute(),
            time.second(),
            0,
        ),
    };
    time.map_or(Moment { seconds: 0, nanoseconds: 0 }, |time| Moment {
        seconds: time.to_unix(),
        nanoseconds: time.nanosecond().min(999_999_999),
    })
}

fn broken(error: rawzip::Error) -> TreeError {
    let source = io::Error::new(io::ErrorKind::InvalidData, error);
    TreeError::Stream { action: "read", source }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use rawzip::ZipArchiveWriter;
    use rawzip::path::EntryPath;

    use super::*;

    const LIMITS: Limits = Limits { members: 3, bytes: 1000, file_bytes: 1000 };

    /// An archive of files, each with its name as content.
    fn zip(names: &[&str]) -> Vec<u8> {
        let mut archive = ZipArchiveWriter::new(Vec::new());
        for name in names {
            let path = EntryPath::verbatim(name.as_bytes());
            let (mut entry, config) = archive.new_file(path).start().unwrap();
            let mut writer = config.wrap(&mut entry);
            writer.write_all(name.as_bytes()).unwrap();
            let (_, descriptor) = writer.finish().unwrap();
            entry.finish(descriptor).unwrap();
        }
        archive.finish().unwrap()
    }

    /// What is in an archive, or why not.
    fn read(bytes: &[u8], limits: Limits) -> Result<Vec<(String, String)>, TreeError> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let mut zip = Zip::open(file)?;
        let mut members = zip.members(limits);
        let mut found = Vec::new();
        while let Some(member) = members.next_member()? {
            let mut content = String::new();
            let read = members.read_to_string(&mut content);
            read.map_err(|source| TreeError::Stream { action: "read", source })?;
            found.push((member.path.to_string(), content));
        }
        Ok(found)
    }

    #[test]
    fn members_are_read_within_limits_and_what_leads_out_or_was_altered_is_refused() {
        let own = |name: &str| (name.to_owned(), name.to_owned());
        let good = zip(&["a", "b/c"]);
        assert_eq!(read(&good, LIMITS).unwrap(), [own("a"), own("b/c")]);
        for leading in ["../x", "/etc/x", "a/../../x"] {
            let error = read(&zip(&["a", leading]), LIMITS).unwrap_err();
            assert!(matches!(error, TreeError::Member(_)), "{error}");
        }
        let many = read(&zip(&["1", "2", "3", "4"]), LIMITS).unwrap_err();
        assert!(matches!(many, TreeError::TooMuch { what: "files", .. }), "{many}");
        let large = read(&good, Limits { bytes: 3, ..LIMITS }).unwrap_err();
        assert!(matches!(large, TreeError::TooMuch { what: "bytes", .. }), "{large}");
        // A letter of the content, and each beginning of the whole.
        let mut altered = good.clone();
        let at = good.windows(3).position(|bytes| bytes == b"b/c").unwrap() + 3;
        let at = at + good[at..].windows(3).position(|bytes| bytes == b"b/c").unwrap();
        altered[at] = b'x';
        assert!(read(&altered, LIMITS).is_err());
        for length in 0..good.len() {
            assert!(read(&good[..length], LIMITS).is_err(), "{length}");
        }
    }
}
