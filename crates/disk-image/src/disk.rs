//! Disks.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// Something that holds as many bytes as a disk.
pub trait Disk: Send {
    /// How many.
    fn bytes(&self) -> u64;

    /// Fills the buffer with what lies at an offset.
    ///
    /// # Errors
    ///
    /// If it lies beyond the end, or cannot be read.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

/// A disk that is a file.
#[derive(Debug)]
pub struct Raw {
    file: File,
    bytes: u64,
}

impl Raw {
    /// The disk that this file is.
    ///
    /// # Errors
    ///
    /// If it cannot be looked at.
    pub fn new(file: File) -> io::Result<Self> {
        let bytes = file.metadata()?.len();
        Ok(Self { file, bytes })
    }
}

impl Disk for Raw {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
}

impl Disk for Vec<u8> {
    fn bytes(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let offset = usize::try_from(offset).map_err(|_| end())?;
        let bytes = self.get(offset..).and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(bytes.ok_or_else(end)?);
        Ok(())
    }
}
