//! Finds and hides secret values in streams of bytes.
//!
//! A value is found as it is, percent-encoded, as hexadecimal digits of either
//! case, escaped as in JSON, and in base64 (standard and URL-safe) at each of
//! the three alignments that it can have in something longer. What other
//! transformations make of a value, compression or encryption say, is not found.
//!
//! ```text
//! bytes ──▶ Redactor ──▶ bytes with [REDACTED:NAME] in the place of values
//!              └ holds back what may be the beginning of one, until more comes
//! bytes ──▶ Scanner  ──▶ the name of the first secret that they hold
//! Veil: the secrets of one place, which may become more while streams go on
//! ```
//!
//! At each place the longest form wins, so the end of a value that begins like
//! another one is never left over. This crate does no I/O, and none of its types
//! shows a value.

mod forms;
mod redactor;
mod scanner;
mod secrets;
mod veil;

pub use redactor::Redactor;
pub use scanner::Scanner;
pub use secrets::{NotHideable, Secrets};
pub use veil::Veil;
