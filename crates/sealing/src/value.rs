//! Sealing one value as a whole.

use chacha20poly1305::aead::{Aead as _, Payload};
use zeroize::Zeroizing;

use crate::binding::Binding;
use crate::key::{Key, KeyId, NoRandomness};

const VERSION: u8 = 1;
const NONCE_LEN: usize = 24;
const TAG_LEN: usize = 16;

/// A value could not be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// There is no nonce to seal it with.
    #[error(transparent)]
    Randomness(NoRandomness),
    /// The cipher takes nothing that long.
    #[error("it is too long to be sealed")]
    TooLong,
}

/// A sealed value could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It is shorter than any sealed value.
    #[error("it is no sealed value")]
    NotSealed,
    /// A newer program sealed it.
    #[error("it has format {0}, this program knows {VERSION}")]
    Version(u8),
    /// Another key sealed it.
    #[error("it was sealed with another key")]
    OtherKey,
    /// It is not what was sealed, or belongs to something else.
    #[error("it was altered or moved since it was sealed")]
    Altered,
}

/// Seals a value that belongs to something.
///
/// # Errors
///
/// If the system has no random bytes or the value is absurdly long.
pub fn seal(key: &Key, binding: &Binding, value: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut nonce = [0; NONCE_LEN];
    getrandom::fill(&mut nonce).map_err(|error| SealError::Randomness(NoRandomness(error)))?;
    let payload = Payload { msg: value, aad: binding.as_bytes() };
    let sealed = key.cipher().encrypt(&nonce.into(), payload).map_err(|_| SealError::TooLong)?;
    let mut out = vec![VERSION];
    out.extend_from_slice(&key.id());
    out.extend_from_slice(&nonce);
    out.extend_from_slice(&sealed);
    Ok(out)
}

/// Opens what [`seal`] made, if it still belongs to the same.
///
/// # Errors
///
/// If it is anything else.
pub fn open(key: &Key, binding: &Binding, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let (&version, rest) = sealed.split_first().ok_or(OpenError::NotSealed)?;
    if version != VERSION {
        return Err(OpenError::Version(version));
    }
    let (id, rest) =
        rest.split_first_chunk::<{ size_of::<KeyId>() }>().ok_or(OpenError::NotSealed)?;
    let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>().ok_or(OpenError::NotSealed)?;
    if rest.len() < TAG_LEN {
        return Err(OpenError::NotSealed);
    }
    if *id != key.id() {
        return Err(OpenError::OtherKey);
    }
    let payload = Payload { msg: rest, aad: binding.as_bytes() };
    key.cipher().decrypt(nonce.into(), payload).map(Zeroizing::new).map_err(|_| OpenError::Altered)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn only_the_key_and_the_owner_open_a_value(
            value in prop::collection::vec(any::<u8>(), 0..100),
            place in any::<prop::sample::Index>(),
            bit in 0..8_u32,
        ) {
            let key = Key::generate().unwrap();
            let owner = Binding::new(["secret", "TOKEN"]);
            let mut sealed = seal(&key, &owner, &value).unwrap();
            prop_assert_eq!(&*open(&key, &owner, &sealed).unwrap(), &value);
            let other = Binding::new(["secretT", "OKEN"]);
            prop_assert_eq!(open(&key, &other, &sealed), Err(OpenError::Altered));
            let stranger = Key::generate().unwrap();
            prop_assert_eq!(open(&stranger, &owner, &sealed), Err(OpenError::OtherKey));
            let length = place.index(sealed.len());
            prop_assert!(open(&key, &owner, &sealed[..length]).is_err());
            sealed[length] ^= 1 << bit;
            prop_assert!(open(&key, &owner, &sealed).is_err());
        }
    }

    #[test]
    fn a_value_never_looks_the_same_twice() {
        let key = Key::generate().unwrap();
        let owner = Binding::new(["a"]);
        let sealed = [(); 2].map(|()| seal(&key, &owner, b"0123456789").unwrap());
        assert_ne!(sealed[0], sealed[1]);
        assert!(!sealed[0].windows(10).any(|window| window == b"0123456789"));
    }
}
