//! Seals values so that only a holder of a key can read them.
//!
//! ```text
//! sealed, version 1:
//! ┌─────────┬──────────┬──────────┬─────────────────────────────┐
//! │ version │ key id   │ nonce    │ ciphertext and its tag (16) │
//! │ 1 byte  │ 8 bytes  │ 24 bytes │                             │
//! └─────────┴──────────┴──────────┴─────────────────────────────┘
//! ```
//!
//! Version 2 is for what is too long to be held in memory at once (`stream.rs`).
//!
//! The cipher is XChaCha20-Poly1305 (RFC 8439 with the nonce extended as in
//! draft-irtf-cfrg-xchacha), whose nonce is long enough to be drawn at random.
//! What a value belongs to is bound to it as associated data ([`Binding`]), so a
//! sealed value that is moved to another name or owner no longer opens. The id of
//! the key tells a value that another key sealed from one that was altered.
//!
//! This crate does no I/O but on what it is given, and none of its types shows a
//! key or a value.

mod binding;
mod key;
mod stream;
mod value;

pub use binding::Binding;
pub use key::{Key, NoRandomness, NotAKey};
pub use stream::{CHUNK_MAX, Opener, Sealer};
pub use value::{OpenError, SealError, open, seal};
pub use zeroize::Zeroizing;
