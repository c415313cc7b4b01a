//! Binary hunks: `literal` and `delta`, zlib inside git's base85.
//!
//! The format is that of git's `diff.c` and `patch-delta.c`: each line begins
//! with the length of its bytes (`A`–`Z` for 1–26, `a`–`z` for 27–52), followed by
//! groups of five digits for four bytes each; together they are one zlib stream.
//! A delta is the lengths of source and result, then orders to copy from the
//! source or to insert bytes. Lengths are said before the data and are bounded
//! before anything is allocated.

use std::io::Read as _;

use flate2::bufread::ZlibDecoder;
use guest_protocol::tools::patch::FILE_MAX;

use super::PatchError;
use super::parse::Lines;

/// The digits of git's base85.
const DIGITS: &[u8; 85] =
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";

/// How to get a content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BinaryHunk {
    /// It is this.
    Literal(Vec<u8>),
    /// It is made of another one by this.
    Delta(Vec<u8>),
}

/// Reads the hunk that leads to the new content, and past the one that leads
/// back, if there is one.
pub(super) fn hunks(lines: &mut Lines<'_>) -> Result<BinaryHunk, PatchError> {
    let corrupt = |lines: &Lines<'_>| PatchError::CorruptBinary { line: lines.number };
    let forward = hunk(lines).ok_or_else(|| corrupt(lines))?;
    let leads_back = lines
        .peek()
        .is_some_and(|line| line.starts_with(b"literal ") || line.starts_with(b"delta "));
    if leads_back {
        hunk(lines).ok_or_else(|| corrupt(lines))?;
    }
    Ok(forward)
}

fn hunk(lines: &mut Lines<'_>) -> Option<BinaryHunk> {
    let first = lines.next()?;
    let (is_delta, length) = match first.strip_prefix(b"delta ") {
        Some(length) => (true, length),
        None => (false, first.strip_prefix(b"literal ")?),
    };
    let length: u64 = std::str::from_utf8(length).ok()?.trim_ascii_end().parse().ok()?;
    if length > FILE_MAX {
        return None;
    }
    let mut packed = Vec::new();
    // An empty line ends it; git takes the end of the patch for none.
    loop {
        let line = lines.next()?;
        if line == b"\n" {
            break;
        }
        decode_line(line.strip_suffix(b"\n").unwrap_or(line), &mut packed)?;
    }
    let data = inflate(&packed, length)?;
    Some(if is_delta { BinaryHunk::Delta(data) } else { BinaryHunk::Literal(data) })
}

fn decode_line(line: &[u8], packed: &mut Vec<u8>) -> Option<()> {
    let (&length, digits) = line.split_first()?;
    let length = match length {
        b'A'..=b'Z' => usize::from(length - b'A') + 1,
        b'a'..=b'z' => usize::from(length - b'a') + 27,
        _ => return None,
    };
    if digits.len() != length.div_ceil(4) * 5 {
        return None;
    }
    let end = packed.len() + length;
    for group in digits.chunks_exact(5) {
        let value = group.iter().try_fold(0_u64, |value, digit| {
            let digit = DIGITS.iter().position(|known| known == digit)?;
            Some(value * 85 + digit as u64)
        })?;
        packed.extend_from_slice(&u32::try_from(value).ok()?.to_be_bytes());
    }
    packed.truncate(end);
    Some(())
}

/// The stream's content, which must be exactly that long.
fn inflate(packed: &[u8], length: u64) -> Option<Vec<u8>> {
    let mut data = Vec::new();
    let mut decoder = ZlibDecoder::new(packed);
    decoder.by_ref().take(length + 1).read_to_end(&mut data).ok()?;
    // All of the stream, its checksum included, and nothing after it.
    let is_whole = data.len() as u64 == length && decoder.total_in() == packed.len() as u64;
    is_whole.then_some(data)
}

/// The content that a delta makes of `source`; `None` if it is not meant for it.
#[must_use]
pub fn apply_delta(source: &[u8], delta: &[u8]) -> Option<Vec<u8>> {
    let mut rest = delta;
    let source_length = length(&mut rest)?;
    let result_length = length(&mut rest)?;
    if source_length != source.len() as u64 || result_length > FILE_MAX {
        return None;
    }
    let mut result = Vec::new();
    while let Some((&order, tail)) = rest.split_first() {
        rest = tail;
        if order & 0x80 != 0 {
            let mut field = |bits: std::ops::Range<u8>| {
                bits.clone().zip(0_u32..).try_fold(0_usize, |value, (bit, place)| {
                    if order & (1 << bit) == 0 {
                        return Some(value);
                    }
                    let (&byte, tail) = rest.split_first()?;
                    rest = tail;
                    Some(value | usize::from(byte) << (8 * place))
                })
            };
            let from = field(0..4)?;
            let length = match field(4..7)? {
                0 => 0x10000,
                length => length,
            };
            result.extend_from_slice(source.get(from..from.checked_add(length)?)?);
        } else if order > 0 {
            let (bytes, tail) = rest.split_at_checked(usize::from(order))?;
            result.extend_from_slice(bytes);
            rest = tail;
        } else {
            return None;
        }
        if result.len() as u64 > result_length {
            return None;
        }
    }
    (result.len() as u64 == result_length).then_some(result)
}

/// Seven bits per byte, the low ones first.
fn length(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..63).step_by(7) {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delta_copies_and_inserts() {
        // 5 bytes to 7: copy 3 from 1, insert "xy", copy 2 from 0.
        let delta = [5, 7, 0x91, 1, 3, 2, b'x', b'y', 0x90, 2];
        assert_eq!(apply_delta(b"abcde", &delta).as_deref(), Some(b"bcdxyab".as_slice()));
        assert_eq!(apply_delta(b"abcd", &delta), None, "another source");
        assert_eq!(apply_delta(b"abcde", &delta[..9]), None, "cut off");
        assert_eq!(apply_delta(b"abcde", &[5, 1, 0x91, 5, 1]), None, "beyond the source");
    }
}
