//! Memory of saved machines, sealed.
//!
//! ```text
//! monitor ──▶ [Aside]: files in memory, without a name ──sealed──▶ ram.sealed, state.sealed
//! monitor ◀── [Aside] ◀──opened── ram.sealed, state.sealed
//! ```
//!
//! What a process holds is in the memory of its machine, so once a workspace was
//! given a secret no memory of it is written to a disk in clear. The parts of a
//! file that hold something are sealed as chunks of a stream: eight bytes say
//! where in the file the rest of a chunk lies, and the last chunk says how long
//! the file is. Neither direction holds more than a chunk.
//!
//! **SIGKILL here** leaves nothing in clear: files in memory go with the process
//! that has them open.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, SeekFrom, memfd_create, seek};
use rustix::io::Errno;
use sealing::{Binding, CHUNK_MAX, Opener, Sealer, Zeroizing};

use super::{SecretError, key};
use crate::files::FileError;
use crate::home::Home;

/// Length of what says where a chunk lies, in bytes.
const OFFSET_LEN: usize = size_of::<u64>();

/// How much of a file a chunk holds, in bytes. A part of that size that is all
/// zeros is left out: a machine's memory is mostly such parts, whether the file
/// has holes there or not.
const PART: usize = 64 * 1024;
const _: () = assert!(PART + OFFSET_LEN <= CHUNK_MAX);

/// A file in memory that no name leads to. It is gone with its last descriptor.
#[derive(Debug)]
pub(crate) struct Aside(File);

impl Aside {
    /// An empty one.
    pub(crate) fn new() -> Result<Self, FileError> {
        memfd_create("hotcell-memory", MemfdFlags::CLOEXEC)
            .map(|descriptor| Self(File::from(descriptor)))
            .map_err(|errno| FileError::at("create", Path::new("memfd"))(errno.into()))
    }

    /// Where this process, and no other, finds it.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }
}

/// Seals a file in memory; the new file belongs to these texts.
pub(crate) fn seal(
    home: &Home,
    belongs: [&str; 2],
    from: &Aside,
    to: &Path,
) -> Result<(), SecretError> {
    let key = key::obtain(home)?;
    let write = || -> io::Result<()> {
        let file =
            OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(to)?;
        let mut sealer = Sealer::begin(&key, binding(belongs), BufWriter::new(file))?;
        let length = from.0.metadata()?.len();
        let zeros = vec![0; OFFSET_LEN + PART];
        let mut chunk = Zeroizing::new(zeros.clone());
        let mut at = 0;
        while let Some((begin, end)) = next_part(&from.0, at, length)? {
            at = begin;
            while at < end {
                let used =
                    OFFSET_LEN + usize::try_from(end - at).map_or(PART, |left| left.min(PART));
                chunk[..OFFSET_LEN].copy_from_slice(&at.to_be_bytes());
                from.0.read_exact_at(&mut chunk[OFFSET_LEN..used], at)?;
                if chunk[OFFSET_LEN..used] != zeros[OFFSET_LEN..used] {
                    sealer.push(&chunk[..used])?;
                }
                at += (used - OFFSET_LEN) as u64;
            }
        }
        sealer.finish(&length.to_be_bytes())?.flush()
    };
    Ok(write().map_err(FileError::at("seal", to))?)
}

/// The next part of a file that holds something: where it begins and ends.
fn next_part(file: &File, from: u64, length: u64) -> io::Result<Option<(u64, u64)>> {
    if from >= length {
        return Ok(None);
    }
    match seek(file, SeekFrom::Data(from)) {
        Ok(begin) => Ok(Some((begin, seek(file, SeekFrom::Hole(begin))?))),
        // Nothing but a hole is left.
        Err(Errno::NXIO) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Opens a sealed file that belongs to these texts, into memory.
pub(crate) fn open(home: &Home, belongs: [&str; 2], from: &Path) -> Result<Aside, SecretError> {
    let key = key::read(home)?;
    let aside = Aside::new()?;
    let read = || -> io::Result<()> {
        let file = BufReader::new(File::open(from)?);
        let mut opener = Opener::begin(&key, binding(belongs), file)?;
        let malformed = || io::Error::from(io::ErrorKind::InvalidData);
        while let Some(chunk) = opener.next_chunk()? {
            let (number, bytes) = chunk.split_first_chunk::<OFFSET_LEN>().ok_or_else(malformed)?;
            let number = u64::from_be_bytes(*number);
            if bytes.is_empty() {
                aside.0.set_len(number)?;
            } else {
                aside.0.write_all_at(bytes, number)?;
            }
        }
        Ok(())
    };
    match read() {
        Ok(()) => Ok(aside),
        Err(source) if source.kind() == io::ErrorKind::InvalidData => {
            Err(SecretError::Memory { path: from.to_owned(), source })
        }
        Err(source) => Err(FileError::at("open", from)(source).into()),
    }
}

fn binding([machine, part]: [&str; 2]) -> Binding {
    Binding::new(["memory", machine, part])
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn memory_comes_back_as_it_was_and_is_nowhere_in_clear() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::open(directory.path()).unwrap();
        let path = directory.path().join("ram.sealed");
        let ram = Aside::new().unwrap();
        let file = File::options().write(true).open(ram.path()).unwrap();
        file.set_len(64 << 20).unwrap();
        // No hole, but nothing in it either.
        file.write_all_at(&vec![0; 8 << 20], 40 << 20).unwrap();
        let secret = b"a value that a process holds".repeat(100_000);
        for offset in [0, 20 << 20, (64 << 20) - secret.len() as u64] {
            file.write_all_at(&secret, offset).unwrap();
        }
        seal(&home, ["one", "ram"], &ram, &path).unwrap();
        let sealed = fs::read(&path).unwrap();
        assert!(sealed.len() < 10 << 20, "holes cost nothing: {}", sealed.len());
        assert!(!sealed.windows(16).any(|window| window == &secret[..16]));
        let opened = open(&home, ["one", "ram"], &path).unwrap();
        assert!(fs::read(opened.path()).unwrap() == fs::read(ram.path()).unwrap());

        let other = open(&home, ["two", "ram"], &path);
        assert!(matches!(other, Err(SecretError::Memory { .. })));
        fs::write(&path, &sealed[..sealed.len() - 1]).unwrap();
        let cut = open(&home, ["one", "ram"], &path);
        assert!(matches!(cut, Err(SecretError::Memory { .. })));
    }
}
