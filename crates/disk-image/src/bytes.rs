//! Numbers in bytes.

/// A little-endian number at an offset; `None` if it does not lie within.
pub(crate) fn le16(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes.get(offset..)?.first_chunk().copied().map(u16::from_le_bytes)
}

/// A little-endian number at an offset; `None` if it does not lie within.
pub(crate) fn le32(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().copied().map(u32::from_le_bytes)
}
