//! Reads parts of files of any size.
//!
//! Only what is told is held in memory. Lines are found by searching for their
//! ends from the beginning of the file; those of a file of up to [`COUNT_MAX`]
//! bytes are counted as well.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::FileExt as _;

use guest_protocol::tools::file::{Content, Entry, Part, READ_MAX, Read, Stat};

use crate::error::ToolError;
use crate::root::Root;
use crate::wire;
use guest_protocol::tools::file::Parents;

/// Largest file whose lines are counted, in bytes.
const COUNT_MAX: u64 = 64 << 20;

/// How much of a file is searched for a NUL byte, in bytes; git's measure.
const BINARY_PROBE: usize = 8000;

/// How much is read at once, in bytes.
const BUFFER: usize = 128 << 10;

pub(crate) fn stat(root: &Root, stat: &Stat) -> Result<Entry, ToolError> {
    match root.place(&stat.path, Parents::Require, "described") {
        Ok(place) => place.entry(),
        Err(ToolError::IsRoot(_)) => {
            let status = rustix::fs::fstat(root.directory())
                .map_err(ToolError::at("look at", &stat.path))?;
            Ok(crate::root::entry(stat.path.clone(), &status, None))
        }
        Err(error) => Err(error),
    }
}

pub(crate) fn read(root: &Root, read: &Read, output: &mut impl Write) -> Result<(), ToolError> {
    let found = locate(root, read);
    let (content, mut file) = match found {
        Ok(found) => found,
        Err(error) => return wire::answer::<Content>(output, Err(error)),
    };
    let length = content.length;
    file.seek(SeekFrom::Start(content.offset)).map_err(ToolError::at("read", &read.path))?;
    wire::answer(output, Ok(content))?;
    wire::copy(output, &mut file, length)
}

fn locate(root: &Root, read: &Read) -> Result<(Content, File), ToolError> {
    let place = root.followed_place(&read.path, Parents::Require, "read as a file")?;
    let (mut file, status) = place.open_file()?;
    let failed = || ToolError::at::<io::Error>("read", &read.path);
    let size = u64::try_from(status.st_size).unwrap_or(0);
    let max = u64::from(read.max_bytes.min(READ_MAX));
    let mut probe = vec![0; BINARY_PROBE];
    let probed = read_at_most(&file, &mut probe, 0).map_err(failed())?;
    let binary = memchr::memchr(0, &probe[..probed]).is_some();
    let (wanted, lines) = match read.part {
        Part::Bytes { offset } => {
            let offset = offset.min(size);
            let total = count(&mut file, size).map_err(failed())?;
            let wanted = Extent { offset, length: size - offset, first_line: None };
            (wanted, total)
        }
        Part::Lines { first, last } => {
            find_lines(&mut file, size, first.max(1), last).map_err(failed())?
        }
    };
    let mut length = wanted.length.min(max);
    let truncated = length < wanted.length;
    if truncated {
        length = good_end(&file, wanted, length, read.part).map_err(failed())?;
    }
    let content = Content {
        size,
        total_lines: lines,
        offset: wanted.offset,
        length,
        first_line: wanted.first_line,
        truncated,
        binary,
    };
    Ok((content, file))
}

/// A part of a file.
#[derive(Clone, Copy)]
struct Extent {
    offset: u64,
    length: u64,
    first_line: Option<u64>,
}

/// Where some lines lie, and how many the file has in all.
fn find_lines(
    file: &mut File,
    size: u64,
    first: u64,
    last: Option<u64>,
) -> io::Result<(Extent, Option<u64>)> {
    let last = last.unwrap_or(u64::MAX);
    let counted = size <= COUNT_MAX;
    // Ends of lines that have gone by, and where the lines begin and end.
    let (mut ends, mut at) = (0_u64, 0_u64);
    let mut begin = (first == 1).then_some(0);
    let mut end = None;
    let mut last_byte = None;
    let mut buffer = vec![0; BUFFER];
    file.rewind()?;
    'file: loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        for newline in memchr::memchr_iter(b'\n', &buffer[..length]) {
            ends += 1;
            let next = at + offset(newline) + 1;
            if begin.is_none() && ends + 1 == first {
                begin = Some(next);
            }
            if end.is_none() && ends >= last && begin.is_some() {
                end = Some(next);
                if !counted {
                    break 'file;
                }
            }
        }
        last_byte = buffer[..length].last().copied();
        at += offset(length);
    }
    let total = ends + u64::from(last_byte.is_some_and(|byte| byte != b'\n'));
    let begin = begin.unwrap_or(at);
    let extent = Extent {
        offset: begin,
        length: end.unwrap_or_else(|| at.max(begin)).saturating_sub(begin),
        first_line: Some(first),
    };
    Ok((extent, counted.then_some(total)))
}

/// Lines in a file that is not too long for it.
fn count(file: &mut File, size: u64) -> io::Result<Option<u64>> {
    if size > COUNT_MAX {
        return Ok(None);
    }
    find_lines(file, size, 1, None).map(|(_, total)| total)
}

/// A shorter length at which text can be cut: after a line if lines were asked
/// for and one fits, else after a character.
fn good_end(file: &File, wanted: Extent, length: u64, part: Part) -> io::Result<u64> {
    let Ok(fits) = usize::try_from(length) else { return Ok(length) };
    let mut bytes = vec![0; fits];
    let read = read_at_most(file, &mut bytes, wanted.offset)?;
    bytes.truncate(read);
    if let Part::Lines { .. } = part
        && let Some(end) = memchr::memrchr(b'\n', &bytes)
    {
        return Ok(offset(end) + 1);
    }
    Ok(match std::str::from_utf8(&bytes) {
        // Only a character that is cut at the end has no length.
        Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => {
            offset(error.valid_up_to())
        }
        _ => offset(bytes.len()),
    })
}

fn read_at_most(file: &File, buffer: &mut [u8], from: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], from + offset(filled))? {
            0 => break,
            length => filled += length,
        }
    }
    Ok(filled)
}

fn offset(length: usize) -> u64 {
    length as u64
}
