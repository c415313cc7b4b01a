//! Seeds from archives, which are hostile.
//!
//! The format is known by its first bytes, whatever the file is called. What
//! comes out is bounded in all and by how much more it is than what went in, as
//! a few kilobytes can stand for terabytes of zeros.

mod zip;

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use environment::{IMAGE_VIRTUAL_BYTES, tree};
use file_tree::archive::Reader;
use file_tree::{Limits, Replacing, Root, SetId, TreeError, unpack, walk};
use operation::{ErrorKind, OpError};
use sha2::{Digest, Sha256};
use workspace_api::seed::{SeedReport, SeedSource};

use self::zip::Zip;
use super::cache::{self, IMAGE, PACKING, TREE};
use super::listing::{BYTES_MAX, FILES_MAX};
use super::{Seeded, Work, blocking, report};
use crate::files::FileError;
use crate::home::Home;
use crate::trouble::{environment_error, tree_error};

/// What an archive may hold.
const LIMITS: Limits =
    Limits { members: FILES_MAX as u64, bytes: BYTES_MAX, file_bytes: 1024 * 1024 * 1024 * 1024 };

/// How many times larger than the archive its content may be.
const RATIO_MAX: u64 = 500;

/// Content of up to this many bytes may have any ratio: source code with long
/// runs of the same does.
const RATIO_FROM_BYTES: u64 = 256 * 1024 * 1024;

/// The image of an archive's content.
pub(super) async fn provide(home: &Home, path: PathBuf, work: &Work) -> Result<Seeded, OpError> {
    let (home, work) = (home.clone(), work.clone());
    blocking(move || {
        let file = File::open(&path).map_err(FileError::at("read", &path))?;
        let metadata = file.metadata().map_err(FileError::at("look at", &path))?;
        let mut key = Sha256::new();
        key.update(b"hotcell archive 1");
        for number in [metadata.dev(), metadata.ino(), metadata.size()] {
            key.update(number.to_le_bytes());
        }
        for number in
            [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()]
        {
            key.update(number.to_le_bytes());
        }
        let key = crate::hex::hex(&key.finalize());
        let name = key.clone();
        cache::find_or_make(&home, &key, &work, |making| {
            make(&path, file, name, making, &work).map_err(|error| {
                error.during(format!("cannot unpack {} into the workspace", path.display()))
            })
        })
    })
    .await
}

fn make(
    path: &Path,
    file: File,
    key: String,
    making: &Path,
    work: &Work,
) -> Result<SeedReport, OpError> {
    work.begins(format_args!("unpacking {}", path.display()));
    let staged = making.join(TREE);
    fs::create_dir(&staged).map_err(FileError::at("create", &staged))?;
    let root = Root::open(&staged).map_err(tree_error)?;
    let packed_bytes = file.metadata().map_err(FileError::at("look at", path))?.len();
    let go_on = &mut || !work.cancel.is_cancelled();
    let unpacked = match opened(file, path)? {
        Opened::Tar(stream) => {
            let mut archive = Reader::new(Bounded { stream, packed_bytes, given: 0 }, LIMITS);
            unpack(&mut archive, &root, Replacing::Unseen, SetId::Kept, go_on)
                .and_then(|unpacked| archive.finish().map(|_| unpacked))
        }
        Opened::Zip(file) => Zip::open(file).and_then(|mut zip| {
            let in_proportion = packed_bytes.saturating_mul(RATIO_MAX).max(RATIO_FROM_BYTES);
            let limits = Limits { bytes: LIMITS.bytes.min(in_proportion), ..LIMITS };
            unpack(&mut zip.members(limits), &root, Replacing::Unseen, SetId::Kept, go_on)
        }),
    };
    let unpacked = unpacked.map_err(tree_error)?;
    let found = walk(&root, FILES_MAX, &mut |_| true).map_err(tree_error)?;
    let mut told = report::of(SeedSource::Archive, path.display().to_string(), key, &found.entries);
    for left_out in &unpacked.left_out {
        report::leave_out(&mut told, &left_out.path, left_out.what);
    }
    told.left_out_total = unpacked.left_out_total;
    work.begins(PACKING);
    tree::from_directory(&staged, &making.join(IMAGE), IMAGE_VIRTUAL_BYTES, &work.cancel)
        .map_err(environment_error)?;
    Ok(told)
}

/// An archive of a known format.
enum Opened {
    /// Without its compression.
    Tar(Box<dyn Read>),
    Zip(File),
}

fn opened(mut file: File, path: &Path) -> Result<Opened, OpError> {
    let failed = || FileError::at("read", path);
    let mut magic = [0; 6];
    let mut filled = 0;
    while filled < magic.len() {
        match file.read(&mut magic[filled..]).map_err(failed())? {
            0 => break,
            read => filled += read,
        }
    }
    file.rewind().map_err(failed())?;
    if let [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] = magic {
        return Ok(Opened::Zip(file));
    }
    let stream = BufReader::new(file);
    Ok(Opened::Tar(match magic {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(stream)),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => {
            Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(stream))
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(
            ruzstd::decoding::StreamingDecoder::new(stream)
                .map_err(|error| not_an_archive(path).during(error.to_string()))?,
        ),
        _ => Box::new(stream),
    }))
}

fn not_an_archive(path: &Path) -> OpError {
    OpError::plain(
        ErrorKind::InvalidRequest,
        format!("{} is neither a directory nor an archive that is known", path.display()),
    )
    .hinted("known are zip archives, and tar archives, also compressed with gzip, xz or zstd")
}

/// A stream that ends with an error when it gives out of proportion.
struct Bounded<R> {
    stream: R,
    packed_bytes: u64,
    given: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)?;
        self.given += read as u64;
        if self.given > RATIO_FROM_BYTES && self.given / self.packed_bytes.max(1) > RATIO_MAX {
            return Err(io::Error::other(TreeError::TooMuch {
                what: "times the archive's size in it",
                max: RATIO_MAX,
            }));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_out_of_proportion_ends() {
        let mut bomb = Bounded { stream: io::repeat(0), packed_bytes: 1000, given: 0 };
        let error = io::copy(&mut bomb, &mut io::sink()).unwrap_err();
        assert!(error.to_string().contains("500 times"), "{error}");
    }
}
