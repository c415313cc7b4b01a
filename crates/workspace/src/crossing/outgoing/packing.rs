//! One archive of a tree, with or without compression.

use std::cell::RefCell;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::thread;

use file_tree::archive::Writer;
use file_tree::{Entry, Root, TreeError, pack};
use flate2::Compression;
use flate2::write::GzEncoder;
use operation::OpError;
use ruzstd::encoding::{CompressionLevel, compress};
use workspace_api::workspace::ArchiveFormat;

use crate::files::FileError;
use crate::trouble::tree_error;

/// Writes a new archive, and syncs it.
pub(super) fn write(
    root: &Root,
    entries: &[Entry],
    format: ArchiveFormat,
    to: &Path,
) -> Result<(), OpError> {
    let failed = |source| FileError { action: "write", path: to.to_owned(), source };
    let file =
        OpenOptions::new().write(true).create_new(true).mode(0o666).open(to).map_err(failed)?;
    let file = match format {
        ArchiveFormat::Tar => {
            let buffer = packed(root, entries, io::BufWriter::new(file)).map_err(tree_error)?;
            buffer.into_inner().map_err(|error| failed(error.into_error()))?
        }
        ArchiveFormat::TarGz => {
            let encoder = GzEncoder::new(file, Compression::default());
            let encoder = packed(root, entries, encoder).map_err(tree_error)?;
            encoder.finish().map_err(failed)?
        }
        ArchiveFormat::TarZst => {
            let (from, into) = io::pipe().map_err(failed)?;
            let (packed, compressed) = thread::scope(|scope| {
                let packing = scope.spawn(|| {
                    let buffer = packed(root, entries, io::BufWriter::new(into))?;
                    buffer.into_inner().map(drop).map_err(|error| TreeError::Stream {
                        action: "write",
                        source: error.into_error(),
                    })
                });
                let compressed = zstd(from, &file);
                let packed =
                    packing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                (packed, compressed)
            });
            // Whoever packs fails as well when its reader has gone.
            compressed.map_err(failed)?;
            packed.map_err(tree_error)?;
            file
        }
    };
    file.sync_all().map_err(failed)?;
    Ok(())
}

fn packed<W: Write>(root: &Root, entries: &[Entry], to: W) -> Result<W, TreeError> {
    let mut archive = Writer::new(to);
    pack(root, entries, &mut archive, &mut |_, error| Err(error))?;
    archive.finish()
}

/// Compresses all of one stream into the other.
fn zstd(from: impl Read, to: impl Write) -> io::Result<()> {
    let trouble = RefCell::new(None);
    let from = Tolerant { stream: from, trouble: &trouble };
    let to = Tolerant { stream: to, trouble: &trouble };
    compress(from, to, CompressionLevel::Fastest);
    trouble.into_inner().map_or(Ok(()), Err)
}

/// A stream that never fails, since the encoder panics when one does: after the
/// first failure, which is kept, there is nothing to read and nobody who writes.
struct Tolerant<'a, S> {
    stream: S,
    trouble: &'a RefCell<Option<io::Error>>,
}

impl<S> Tolerant<'_, S> {
    fn keep<T>(&self, result: io::Result<T>, instead: T) -> T {
        result.unwrap_or_else(|error| {
            self.trouble.borrow_mut().get_or_insert(error);
            instead
        })
    }
}

impl<S: Read> Read for Tolerant<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.trouble.borrow().is_some() {
            return Ok(0);
        }
        loop {
            match self.stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return Ok(self.keep(result, 0)),
            }
        }
    }
}

impl<S: Write> Write for Tolerant<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.trouble.borrow().is_none() {
            let result = self.stream.write_all(bytes);
            self.keep(result, ());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.stream.flush();
        self.keep(result, ());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A place for so many bytes.
    struct Full(usize);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_was_compressed_is_the_same_again_and_a_full_disk_is_told() {
        let content: Vec<u8> = (0..400_000_u32).flat_map(u32::to_le_bytes).collect();
        for content in [&content[..], b"", b"x"] {
            let mut compressed = Vec::new();
            zstd(content, &mut compressed).unwrap();
            let mut again = Vec::new();
            let decoder = ruzstd::decoding::StreamingDecoder::new(compressed.as_slice());
            decoder.unwrap().read_to_end(&mut again).unwrap();
            assert!(again == content);
        }
        let error = zstd(content.as_slice(), Full(100_000)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
