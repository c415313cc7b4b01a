//! Sealing what is too long to be held in memory at once.
//!
//! ```text
//! version 2 (1 byte) · key id (8) · nonce (19)
//! then chunks:  length, its highest bit set in the last one (u32, big-endian)
//!               ciphertext and its tag (16)
//! ```
//!
//! The chunks are those of STREAM (Hoang, Reyhanitabar, Rogaway, Vizár, 2015)
//! over XChaCha20-Poly1305: the nonce of each holds its number and whether it is
//! the last one, so that none can be left out, moved, or cut off at the end.

use std::fmt;
use std::io::{self, Read, Write};

use aead_stream::{DecryptorBE32, EncryptorBE32};
use chacha20poly1305::XChaCha20Poly1305;
use zeroize::Zeroizing;

use crate::binding::Binding;
use crate::key::{Key, KeyId, NoRandomness};
use crate::value::OpenError;

const VERSION: u8 = 2;
const NONCE_LEN: usize = 19;
const TAG_LEN: usize = 16;
const LAST: u32 = 1 << 31;

/// Longest chunk, in bytes of what is sealed.
pub const CHUNK_MAX: usize = 1024 * 1024;

/// Seals chunks of bytes into a writer.
pub struct Sealer<W> {
    to: W,
    chunks: SealedChunks,
}

/// What seals; not generic, so that it is compiled here, with optimisation.
struct SealedChunks {
    cipher: EncryptorBE32<XChaCha20Poly1305>,
    binding: Binding,
    buffer: Zeroizing<Vec<u8>>,
}

impl SealedChunks {
    fn next(&mut self, chunk: &[u8]) -> io::Result<&[u8]> {
        self.fill(chunk)?;
        self.cipher
            .encrypt_next_in_place(self.binding.as_bytes(), &mut *self.buffer)
            .map_err(|_| io::Error::other("too many chunks"))?;
        Ok(&self.buffer)
    }

    fn last(mut self, chunk: &[u8]) -> io::Result<Zeroizing<Vec<u8>>> {
        self.fill(chunk)?;
        self.cipher
            .encrypt_last_in_place(self.binding.as_bytes(), &mut *self.buffer)
            .map_err(|_| io::Error::other("too many chunks"))?;
        Ok(self.buffer)
    }

    fn fill(&mut self, chunk: &[u8]) -> io::Result<()> {
        if chunk.len() > CHUNK_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the chunk is too long"));
        }
        self.buffer.clear();
        self.buffer.reserve_exact(CHUNK_MAX + TAG_LEN);
        self.buffer.extend_from_slice(chunk);
        Ok(())
    }
}

impl<W: Write> Sealer<W> {
    /// Begins to seal what belongs to something.
    ///
    /// # Errors
    ///
    /// If the system has no random bytes, or the writer fails.
    pub fn begin(key: &Key, binding: Binding, mut to: W) -> io::Result<Self> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|error| io::Error::other(NoRandomness(error)))?;
        to.write_all(&[VERSION])?;
        to.write_all(&key.id())?;
        to.write_all(&nonce)?;
        let cipher = EncryptorBE32::from_aead(key.cipher(), &nonce.into());
        let chunks = SealedChunks { cipher, binding, buffer: Zeroizing::default() };
        Ok(Self { to, chunks })
    }

    /// Seals a chunk, at most [`CHUNK_MAX`] bytes.
    ///
    /// # Errors
    ///
    /// If it is longer, or the writer fails.
    pub fn push(&mut self, chunk: &[u8]) -> io::Result<()> {
        write_chunk(&mut self.to, self.chunks.next(chunk)?, 0)
    }

    /// Seals the last chunk, which may be empty, and gives the writer back.
    ///
    /// # Errors
    ///
    /// As [`Sealer::push`].
    pub fn finish(mut self, chunk: &[u8]) -> io::Result<W> {
        write_chunk(&mut self.to, &self.chunks.last(chunk)?, LAST)?;
        Ok(self.to)
    }
}

fn write_chunk(mut to: impl Write, sealed: &[u8], flags: u32) -> io::Result<()> {
    let length = u32::try_from(sealed.len()).expect("chunks are bounded");
    to.write_all(&(length | flags).to_be_bytes())?;
    to.write_all(sealed)
}

/// Opens chunks of bytes from a reader, in the order in which they were sealed.
pub struct Opener<R> {
    from: R,
    /// `None` behind the last chunk.
    cipher: Option<DecryptorBE32<XChaCha20Poly1305>>,
    binding: Binding,
    buffer: Zeroizing<Vec<u8>>,
}

impl<R: Read> Opener<R> {
    /// Begins to open what [`Sealer`] made, if it still belongs to the same.
    ///
    /// # Errors
    ///
    /// If it is nothing of that kind ([`OpenError`] as the source), or the reader
    /// fails.
    pub fn begin(key: &Key, binding: Binding, mut from: R) -> io::Result<Self> {
        let mut header = [0; 1 + size_of::<KeyId>() + NONCE_LEN];
        from.read_exact(&mut header).map_err(unsealed)?;
        let [version, rest @ ..] = header;
        if version != VERSION {
            return Err(invalid(OpenError::Version(version)));
        }
        let (id, nonce) = rest.split_at(size_of::<KeyId>());
        if *id != key.id() {
            return Err(invalid(OpenError::OtherKey));
        }
        let nonce: [u8; NONCE_LEN] = nonce.try_into().expect("what is left of the header");
        let cipher = DecryptorBE32::from_aead(key.cipher(), &nonce.into());
        Ok(Self { from, cipher: Some(cipher), binding, buffer: Zeroizing::default() })
    }

    /// The next chunk; none behind the last one. Nothing is given out that was
    /// altered, but what came before may have been.
    ///
    /// # Errors
    ///
    /// If a chunk was altered, moved or cut off, or the reader fails.
    pub fn next_chunk(&mut self) -> io::Result<Option<&[u8]>> {
        let Some(cipher) = self.cipher.take() else { return Ok(None) };
        let mut prefix = [0; 4];
        self.from.read_exact(&mut prefix).map_err(unsealed)?;
        let prefix = u32::from_be_bytes(prefix);
        let (is_last, length) = (prefix & LAST != 0, prefix & !LAST);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if !(TAG_LEN..=CHUNK_MAX + TAG_LEN).contains(&length) {
            return Err(invalid(OpenError::NotSealed));
        }
        self.buffer.clear();
        self.buffer.resize(length, 0);
        self.from.read_exact(&mut self.buffer).map_err(unsealed)?;
        self.cipher = open_chunk(cipher, &self.binding, &mut self.buffer, is_last)?;
        Ok(Some(&self.buffer))
    }
}

/// Opens a chunk in its place; what opens the next one, if there is one.
fn open_chunk(
    mut cipher: DecryptorBE32<XChaCha20Poly1305>,
    binding: &Binding,
    buffer: &mut Vec<u8>,
    is_last: bool,
) -> io::Result<Option<DecryptorBE32<XChaCha20Poly1305>>> {
    let altered = |_| invalid(OpenError::Altered);
    if is_last {
        cipher.decrypt_last_in_place(binding.as_bytes(), buffer).map_err(altered)?;
        Ok(None)
    } else {
        cipher.decrypt_next_in_place(binding.as_bytes(), buffer).map_err(altered)?;
        Ok(Some(cipher))
    }
}

fn invalid(error: OpenError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// A stream that ends too early was cut off.
fn unsealed(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => invalid(OpenError::Altered),
        _ => error,
    }
}

impl<W> fmt::Debug for Sealer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").finish_non_exhaustive()
    }
}

impl<R> fmt::Debug for Opener<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sealed(key: &Key, binding: &Binding, chunks: &[Vec<u8>]) -> Vec<u8> {
        let mut sealer = Sealer::begin(key, binding.clone(), Vec::new()).unwrap();
        let (last, first) = chunks.split_last().unwrap();
        first.iter().for_each(|chunk| sealer.push(chunk).unwrap());
        sealer.finish(last).unwrap()
    }

    fn opened(key: &Key, binding: &Binding, sealed: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        let mut opener = Opener::begin(key, binding.clone(), sealed)?;
        let mut chunks = Vec::new();
        while let Some(chunk) = opener.next_chunk()? {
            chunks.push(chunk.to_vec());
        }
        Ok(chunks)
    }

    proptest! {
        #[test]
        fn chunks_come_back_whole_in_order_or_not_at_all(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 1..5),
            place in any::<prop::sample::Index>(),
            bit in 0..8_u32,
        ) {
            let (key, binding) = (Key::generate().unwrap(), Binding::new(["ram"]));
            let mut bytes = sealed(&key, &binding, &chunks);
            prop_assert_eq!(&opened(&key, &binding, &bytes).unwrap(), &chunks);
            prop_assert!(opened(&key, &Binding::new(["state"]), &bytes).is_err());
            prop_assert!(opened(&Key::generate().unwrap(), &binding, &bytes).is_err());
            let place = place.index(bytes.len());
            prop_assert!(opened(&key, &binding, &bytes[..place]).is_err(), "cut off");
            bytes[place] ^= 1 << bit;
            prop_assert!(opened(&key, &binding, &bytes).is_err(), "altered");
        }
    }

    #[test]
    fn a_stream_that_is_cut_at_a_chunk_is_not_whole() {
        let (key, binding) = (Key::generate().unwrap(), Binding::new(["ram"]));
        let whole = sealed(&key, &binding, &[vec![1; 10], vec![2; 10]]);
        let first_only = whole.len() - (4 + 10 + TAG_LEN);
        assert!(opened(&key, &binding, &whole[..first_only]).is_err());
        let mut sealer = Sealer::begin(&key, binding, Vec::new()).unwrap();
        assert!(sealer.push(&vec![0; CHUNK_MAX + 1]).is_err());
        sealer.push(&vec![0; CHUNK_MAX]).unwrap();
    }
}
