//! Files with holes: where their data belongs.
//!
//! GNU tar has written them in three ways. The old one puts ranges into the
//! header and into blocks behind it. The newer ones put them into the extended
//! header (0.1) or before the content (1.0, the one that is written here).

use std::io::Read;

use tar::{GnuExtSparseHeader, GnuHeader, GnuSparseHeader};

use super::extension::number;
use super::limits::Limits;
use super::{BLOCK_BYTES, Range};
use crate::error::TreeError;

/// What an extended header says about holes.
#[derive(Debug, Default)]
pub(super) struct SparseExtension {
    pub(super) major: Option<u64>,
    pub(super) name: Option<Vec<u8>>,
    pub(super) bytes: Option<u64>,
    pub(super) map: Option<Vec<Range>>,
}

impl SparseExtension {
    pub(super) fn read_record(&mut self, key: &[u8], value: &[u8]) -> Result<(), TreeError> {
        match key {
            b"GNU.sparse.major" => self.major = Some(number(value)?),
            b"GNU.sparse.name" => self.name = Some(value.to_vec()),
            b"GNU.sparse.realsize" | b"GNU.sparse.size" => self.bytes = Some(number(value)?),
            b"GNU.sparse.map" => {
                let numbers: Vec<u64> = value
                    .split(|byte| *byte == b',')
                    .filter(|text| !text.is_empty())
                    .map(number)
                    .collect::<Result<_, _>>()?;
                let (pairs, rest) = numbers.as_chunks::<2>();
                if !rest.is_empty() {
                    return Err(MAP_DAMAGED);
                }
                self.map = Some(pairs.iter().map(|[offset, length]| (*offset, *length)).collect());
            }
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                return Err(TreeError::Damaged("it has sparse files of the format 0.0"));
            }
            _ => {}
        }
        Ok(())
    }
}

const MAP_DAMAGED: TreeError = TreeError::Damaged("the map of a sparse file is malformed");

/// Reads the ranges that stand before the content (format 1.0), and how many
/// bytes they took with their padding.
pub(super) fn read_map(stream: &mut dyn Read) -> Result<(Vec<Range>, u64), TreeError> {
    let mut text = MapText { stream, block: [0; BLOCK_BYTES], at: BLOCK_BYTES, taken: 0 };
    let count = usize::try_from(text.number()?).map_err(|_| MAP_DAMAGED)?;
    if count > Limits::RANGES {
        return Err(too_many());
    }
    let mut ranges = Vec::new();
    for _ in 0..count {
        ranges.push((text.number()?, text.number()?));
    }
    Ok((ranges, text.taken))
}

/// Decimal numbers, one a line, in whole blocks.
struct MapText<'a> {
    stream: &'a mut dyn Read,
    block: [u8; BLOCK_BYTES],
    at: usize,
    taken: u64,
}

impl MapText<'_> {
    fn number(&mut self) -> Result<u64, TreeError> {
        let mut value: u64 = 0;
        let mut digits = 0;
        loop {
            match self.byte()? {
                b'\n' if digits > 0 => return Ok(value),
                digit @ b'0'..=b'9' => {
                    value = value
                        .checked_mul(10)
                        .and_then(|value| value.checked_add(u64::from(digit - b'0')))
                        .ok_or(MAP_DAMAGED)?;
                    digits += 1;
                }
                _ => return Err(MAP_DAMAGED),
            }
        }
    }

    fn byte(&mut self) -> Result<u8, TreeError> {
        if self.at == BLOCK_BYTES {
            self.stream
                .read_exact(&mut self.block)
                .map_err(|source| TreeError::Stream { action: "read", source })?;
            self.taken += BLOCK_BYTES as u64;
            self.at = 0;
        }
        let byte = self.block[self.at];
        self.at += 1;
        Ok(byte)
    }
}

/// The map as it is written before the content, padded.
pub(super) fn map_text(ranges: &[Range]) -> Vec<u8> {
    let mut text = format!("{}\n", ranges.len());
    for (offset, length) in ranges {
        text.push_str(&offset.to_string());
        text.push('\n');
        text.push_str(&length.to_string());
        text.push('\n');
    }
    let mut bytes = text.into_bytes();
    bytes.resize(bytes.len().next_multiple_of(BLOCK_BYTES), 0);
    bytes
}

/// Reads the ranges of the old format: from the header and, if it says so, from
/// blocks behind it.
pub(super) fn read_old(
    header: &GnuHeader,
    stream: &mut dyn Read,
) -> Result<(Vec<Range>, u64), TreeError> {
    let mut ranges = Vec::new();
    take_old(&header.sparse, &mut ranges)?;
    let mut more = header.is_extended();
    while more {
        let mut block = GnuExtSparseHeader::new();
        stream
            .read_exact(block.as_mut_bytes())
            .map_err(|source| TreeError::Stream { action: "read", source })?;
        take_old(block.sparse(), &mut ranges)?;
        more = block.is_extended();
    }
    let bytes = header.real_size().map_err(|_| MAP_DAMAGED)?;
    Ok((ranges, bytes))
}

fn take_old(fields: &[GnuSparseHeader], ranges: &mut Vec<Range>) -> Result<(), TreeError> {
    for field in fields.iter().filter(|field| !field.is_empty()) {
        if ranges.len() == Limits::RANGES {
            return Err(too_many());
        }
        let offset = field.offset().map_err(|_| MAP_DAMAGED)?;
        ranges.push((offset, field.length().map_err(|_| MAP_DAMAGED)?));
    }
    Ok(())
}

fn too_many() -> TreeError {
    TreeError::TooMuch { what: "ranges of data in one file", max: Limits::RANGES as u64 }
}

/// Checks that ranges lie in order within a file of `bytes` and hold `stored`
/// bytes together. Empty ones, which mark the end, are dropped.
pub(super) fn check(ranges: Vec<Range>, bytes: u64, stored: u64) -> Result<Vec<Range>, TreeError> {
    let mut end = 0_u64;
    let mut sum = 0_u64;
    for (offset, length) in &ranges {
        let next = offset.checked_add(*length).ok_or(MAP_DAMAGED)?;
        if *offset < end || next > bytes {
            return Err(MAP_DAMAGED);
        }
        end = next;
        sum += length;
    }
    if sum != stored {
        return Err(MAP_DAMAGED);
    }
    Ok(ranges.into_iter().filter(|(_, length)| *length > 0).collect())
}
