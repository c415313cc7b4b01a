//! The start of an epoch: how both ends find solid ground in a dirty stream.
//!
//! After a resume either end may receive the tail of a frame from before. The
//! host therefore opens each epoch with a token of 32 bytes that the guest was
//! told in the epoch before (the first one is [`BOOT_TOKEN`]), followed by a
//! fresh nonce; the guest answers with that nonce. Both are random, so neither
//! can be part of somebody's data by accident, and the guest can watch for the
//! token without any escaping of what it carries.

use bytes::{Buf, BytesMut};
use memchr::memmem;

/// Length of a token and of a nonce, in bytes.
pub const TOKEN_LEN: usize = 32;

/// Opens the next epoch; a secret between the host and one guest.
pub type Token = [u8; TOKEN_LEN];

/// Identifies one epoch; chosen by the host, echoed by the guest.
pub type Nonce = [u8; TOKEN_LEN];

/// The token of a freshly booted guest, which nobody has told a secret yet.
pub const BOOT_TOKEN: Token = *b"hotcell epoch of a booted guest\n";

/// What the host writes to open an epoch.
#[must_use]
pub fn opening(token: &Token, nonce: &Nonce) -> [u8; TOKEN_LEN * 2] {
    let mut opening = [0; TOKEN_LEN * 2];
    opening[..TOKEN_LEN].copy_from_slice(token);
    opening[TOKEN_LEN..].copy_from_slice(nonce);
    opening
}

/// Drops everything up to the end of `mark`, if it is there.
///
/// Otherwise drops all but the last bytes that could still become the mark, so
/// the buffer stays small however much debris arrives.
pub fn skip_past(buffer: &mut BytesMut, mark: &[u8; TOKEN_LEN]) -> Skip {
    if let Some(at) = memmem::find(buffer, mark) {
        buffer.advance(at + TOKEN_LEN);
        return Skip::Found;
    }
    let keep = buffer.len().min(TOKEN_LEN - 1);
    buffer.advance(buffer.len() - keep);
    Skip::Missing
}

/// Whether [`skip_past`] met the mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// The buffer now starts right behind the mark.
    Found,
    /// More bytes are needed.
    Missing,
}

/// Where `token` begins in `buffer`, which may be the middle of a data frame.
///
/// The guest asks this of every chunk that it receives, with the last bytes of
/// the chunk before put in front of it.
#[must_use]
pub fn position(buffer: &[u8], token: &Token) -> Option<usize> {
    memmem::find(buffer, token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_mark_is_found_however_the_stream_is_cut(
            debris in proptest::collection::vec(any::<u8>(), 0..400),
            rest in proptest::collection::vec(any::<u8>(), 0..100),
            cut in 1usize..70,
        ) {
            let mark = BOOT_TOKEN;
            prop_assume!(memmem::find(&debris, &mark[..4]).is_none());
            let stream = [debris.as_slice(), mark.as_slice(), rest.as_slice()].concat();
            let mut buffer = BytesMut::new();
            let mut chunks = stream.chunks(cut);
            loop {
                buffer.extend_from_slice(chunks.next().expect("the mark was missed"));
                if skip_past(&mut buffer, &mark) == Skip::Found {
                    break;
                }
                prop_assert!(buffer.len() < TOKEN_LEN);
            }
            for chunk in chunks {
                buffer.extend_from_slice(chunk);
            }
            prop_assert_eq!(&buffer[..], rest.as_slice());
        }
    }
}
