//! What a job wrote, on disk: bounded, and readable from any position.
//!
//! A channel is a stream of bytes counted from 0. Its end is kept in segments of
//! at most [`SEGMENT_MAX`] bytes, each a file named by the position of its first
//! byte; when a new one begins, all but the one before are removed. So between
//! one and two segments are there to be read, and a position that is gone is
//! told from one that is not there yet.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::files::FileError;

/// The largest segment, in bytes.
const SEGMENT_MAX: u64 = 8 * 1024 * 1024;

/// Writes one channel.
#[derive(Debug)]
pub(crate) struct LogWriter {
    directory: PathBuf,
    channel: &'static str,
    position: u64,
    segment: Option<Segment>,
}

#[derive(Debug)]
struct Segment {
    file: File,
    begin: u64,
}

impl LogWriter {
    /// Goes on at the end of what is there.
    pub(crate) fn open(directory: &Path, channel: &'static str) -> Result<Self, FileError> {
        let position = end(directory, channel)?;
        Ok(Self { directory: directory.to_owned(), channel, position, segment: None })
    }

    /// How many bytes were written in all.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Adds bytes. What could not be written counts all the same, so positions
    /// stay what they are; a reader is told that it is gone.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        let begin = self.position;
        self.position += bytes.len() as u64;
        let segment = match self.segment.take() {
            Some(segment) if begin - segment.begin < SEGMENT_MAX => segment,
            _ => self.segment_for(begin)?,
        };
        let path = path(&self.directory, self.channel, segment.begin);
        let segment = self.segment.insert(segment);
        let written = segment.file.write_all(bytes);
        if written.is_err() {
            // The file is short of bytes now; the next one begins where it should.
            self.segment = None;
        }
        written.map_err(FileError::at("write", &path))
    }

    /// The segment for what comes at `begin`: the last one if it ends there and
    /// has room, or else a new one.
    fn segment_for(&self, begin: u64) -> Result<Segment, FileError> {
        let mut older = begins(&self.directory, self.channel)?;
        let last = older.pop();
        let ends_here = end(&self.directory, self.channel)? == begin;
        let begin = match last.filter(|last| ends_here && begin - last < SEGMENT_MAX) {
            Some(last) => last,
            None => {
                for begin in older {
                    let path = path(&self.directory, self.channel, begin);
                    fs::remove_file(&path).map_err(FileError::at("remove", &path))?;
                }
                begin
            }
        };
        let path = path(&self.directory, self.channel, begin);
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path)
            .map_err(FileError::at("create", &path))?;
        Ok(Segment { file, begin })
    }
}

/// Some bytes of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Excerpt {
    /// Position of the first of them: that which was asked for, or a later one
    /// if that is gone.
    pub(crate) begin: u64,
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
    /// Position behind the last byte that the job has written.
    pub(crate) end: u64,
}

/// How often is looked again because the oldest segment went meanwhile.
const LOOKS_MAX: usize = 16;

/// Reads at most `most` bytes from a position on.
pub(crate) fn read(
    directory: &Path,
    channel: &str,
    from: u64,
    most: usize,
) -> Result<Excerpt, FileError> {
    steadily(directory, || read_now(directory, channel, from, most))
}

/// Position behind the last byte of a channel.
pub(crate) fn end(directory: &Path, channel: &str) -> Result<u64, FileError> {
    steadily(directory, || end_now(directory, channel))
}

/// Looks again if a segment that was listed is gone: the writer has begun a new one.
fn steadily<T>(directory: &Path, look: impl Fn() -> Result<T, FileError>) -> Result<T, FileError> {
    for _ in 1..LOOKS_MAX {
        match look() {
            Err(error)
                if error.source.kind() == io::ErrorKind::NotFound && error.path != directory => {}
            looked => return looked,
        }
    }
    look()
}

fn read_now(directory: &Path, channel: &str, from: u64, most: usize) -> Result<Excerpt, FileError> {
    let segments = begins(directory, channel)?;
    let end = end_now(directory, channel)?;
    let mut position = from.max(segments.first().copied().unwrap_or(0)).min(end);
    let mut excerpt = Excerpt { begin: position, bytes: Vec::new(), end };
    while excerpt.bytes.len() < most && position < end {
        let Some(&begin) = segments.iter().rev().find(|begin| **begin <= position) else { break };
        let path = path(directory, channel, begin);
        let left = most - excerpt.bytes.len();
        let read = read_segment(&path, position - begin, left, &mut excerpt.bytes);
        let read = read.map_err(FileError::at("read", &path))?;
        position += read;
        if read == 0 {
            // The rest of this segment was never written.
            match segments.iter().find(|begin| **begin > position) {
                Some(&next) if excerpt.bytes.is_empty() => {
                    position = next;
                    excerpt.begin = next;
                }
                _ => break,
            }
        }
    }
    Ok(excerpt)
}

fn end_now(directory: &Path, channel: &str) -> Result<u64, FileError> {
    let Some(&begin) = begins(directory, channel)?.last() else { return Ok(0) };
    let path = path(directory, channel, begin);
    let length = fs::metadata(&path).map_err(FileError::at("look at", &path))?.len();
    Ok(begin + length)
}

fn read_segment(path: &Path, from: u64, most: usize, into: &mut Vec<u8>) -> io::Result<u64> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let read = file.take(most as u64).read_to_end(into)?;
    Ok(read as u64)
}

fn path(directory: &Path, channel: &str, begin: u64) -> PathBuf {
    directory.join(format!("{channel}.{begin}"))
}

/// Where the segments begin, in their order.
fn begins(directory: &Path, channel: &str) -> Result<Vec<u64>, FileError> {
    let entries = fs::read_dir(directory).map_err(FileError::at("list", directory))?;
    let mut found: Vec<u64> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            name.to_str()?.strip_prefix(channel)?.strip_prefix('.')?.parse().ok()
        })
        .collect();
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_log_is_read_from_any_position_and_goes_on_where_it_ended() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = LogWriter::open(directory.path(), "stdout").unwrap();
        log.write(b"hello ").unwrap();
        log.write(b"world").unwrap();
        drop(log);
        let mut log = LogWriter::open(directory.path(), "stdout").unwrap();
        assert_eq!(log.position(), 11);
        log.write(b"!").unwrap();
        for _ in 0..3 {
            // Whoever goes on for the third time still has the beginning.
            LogWriter::open(directory.path(), "stdout").unwrap().write(b"").unwrap();
        }
        let all = read(directory.path(), "stdout", 0, 100).unwrap();
        assert_eq!(all, Excerpt { begin: 0, bytes: b"hello world!".to_vec(), end: 12 });
        let some = read(directory.path(), "stdout", 6, 3).unwrap();
        assert_eq!((some.begin, &some.bytes[..], some.end), (6, &b"wor"[..], 12));
        let beyond = read(directory.path(), "stdout", 50, 3).unwrap();
        assert_eq!((beyond.begin, beyond.bytes.len()), (12, 0));
        assert_eq!(read(directory.path(), "stderr", 0, 3).unwrap().end, 0);
    }

    #[test]
    fn old_output_goes_and_its_readers_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = LogWriter::open(directory.path(), "stdout").unwrap();
        let chunk = vec![b'x'; 1 << 20];
        for _ in 0..20 {
            log.write(&chunk).unwrap();
        }
        let from_start = read(directory.path(), "stdout", 0, 10).unwrap();
        assert_eq!((from_start.begin, from_start.end), (8 << 20, 20 << 20));
        // Across the border of two segments.
        let across = read(directory.path(), "stdout", (16 << 20) - 5, 10).unwrap();
        assert_eq!((across.begin, across.bytes.len()), ((16 << 20) - 5, 10));
    }

    #[test]
    fn a_log_is_read_while_its_segments_come_and_go() {
        let directory = tempfile::tempdir().unwrap();
        // What is written is of no interest, so segments are but names here.
        let segment = |begin: u64| path(directory.path(), "stdout", begin);
        File::create(segment(0)).unwrap();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let begins = (0..).take_while(|_| !done.load(Ordering::Relaxed));
                for begin in begins {
                    File::create(segment(begin + 1)).unwrap();
                    fs::remove_file(segment(begin)).unwrap();
                    // Nobody writes so fast that all looks of a reader meet it.
                    thread::sleep(Duration::from_millis(1));
                }
            });
            let looks = scope.spawn(|| {
                (0..10_000).try_for_each(|_| {
                    read(directory.path(), "stdout", 0, 10)?;
                    end(directory.path(), "stdout").map(drop)
                })
            });
            let looked = looks.join();
            done.store(true, Ordering::Relaxed);
            looked.unwrap().unwrap();
        });
    }
}
