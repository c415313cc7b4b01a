//! Takes the ELF kernel out of a compressed kernel image.
//!
//! A monitor can enter an ELF kernel with a PVH note directly; that saves the
//! guest its own decompression, which takes seconds under emulation.

use std::io::{self, Read};

use object::elf::FileHeader64;
use object::endian::LittleEndian;
use object::read::elf::{FileHeader, ProgramHeader};

/// How the compressed part of Debian's kernels begins.
const XZ_MAGIC: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];

/// The largest kernel, in bytes.
pub(crate) const MAX_KERNEL_BYTES: u64 = 512 * 1024 * 1024;

/// The memory that decompression may take, in bytes.
const DECODER_MEMORY_BYTES: u64 = 512 * 1024 * 1024;

/// The type and owner of the note that names the entry point for PVH.
const PVH_NOTE_TYPE: u32 = 18;
const PVH_NOTE_OWNER: &[u8] = b"Xen";

/// Why a kernel image cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KernelImageError {
    /// The package holds no file like `boot/vmlinuz-*`.
    #[error("there is no boot/vmlinuz file")]
    Missing,
    /// No compressed part was found.
    #[error("it holds no part that is compressed with xz")]
    NotXz,
    /// The compressed part is damaged.
    #[error("it cannot be decompressed")]
    Damaged(#[source] io::Error),
    /// The decompressed part is larger than any kernel.
    #[error("it is larger than {MAX_KERNEL_BYTES} bytes")]
    TooLarge,
    /// The decompressed part is no ELF file for this machine.
    #[error("it is no 64-bit ELF file")]
    NotElf(#[source] object::read::Error),
    /// It has no entry point for PVH.
    #[error("it has no PVH entry point")]
    NoPvh,
}

/// The ELF kernel in `image`.
pub(crate) fn extract(image: &[u8]) -> Result<Vec<u8>, KernelImageError> {
    // The magic bytes may also occur by chance, in code before the real part.
    let mut last = KernelImageError::NotXz;
    for start in memchr::memmem::find_iter(image, XZ_MAGIC) {
        match decompress(image.get(start..).unwrap_or_default()) {
            Ok(kernel) => return check(&kernel).map(|()| kernel),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn decompress(stream: &[u8]) -> Result<Vec<u8>, KernelImageError> {
    let decoder = liblzma::stream::Stream::new_stream_decoder(DECODER_MEMORY_BYTES, 0)
        .map_err(|error| KernelImageError::Damaged(error.into()))?;
    let mut kernel = Vec::new();
    liblzma::read::XzDecoder::new_stream(stream, decoder)
        .take(MAX_KERNEL_BYTES + 1)
        .read_to_end(&mut kernel)
        .map_err(KernelImageError::Damaged)?;
    match u64::try_from(kernel.len()) {
        Ok(length) if length <= MAX_KERNEL_BYTES => Ok(kernel),
        _ => Err(KernelImageError::TooLarge),
    }
}

fn check(kernel: &[u8]) -> Result<(), KernelImageError> {
    let header = FileHeader64::<LittleEndian>::parse(kernel).map_err(KernelImageError::NotElf)?;
    let endian = header.endian().map_err(KernelImageError::NotElf)?;
    for segment in header.program_headers(endian, kernel).map_err(KernelImageError::NotElf)? {
        let notes = segment.notes(endian, kernel).map_err(KernelImageError::NotElf)?;
        let Some(mut notes) = notes else { continue };
        while let Some(note) = notes.next().map_err(KernelImageError::NotElf)? {
            if note.name() == PVH_NOTE_OWNER && note.n_type(endian) == PVH_NOTE_TYPE {
                return Ok(());
            }
        }
    }
    Err(KernelImageError::NoPvh)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn image_of(payload: &[u8]) -> Vec<u8> {
        let mut encoder = liblzma::write::XzEncoder::new(b"setup code".to_vec(), 0);
        encoder.write_all(payload).unwrap();
        let mut image = encoder.finish().unwrap();
        image.extend_from_slice(b"size and padding");
        image
    }

    #[test]
    fn what_is_no_kernel_is_refused() {
        assert!(matches!(extract(b"nothing"), Err(KernelImageError::NotXz)));
        assert!(matches!(extract(&image_of(b"text")), Err(KernelImageError::NotElf(_))));
        let mut damaged = image_of(&[7; 4096]);
        damaged.truncate(40);
        assert!(matches!(extract(&damaged), Err(KernelImageError::Damaged(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _result = extract(&image_of(&bytes));
            let _result = extract(&[XZ_MAGIC, &bytes].concat());
        }
    }
}
