//! The engine of batches as a pure function: what is decided, never how it is
//! done. No I/O, no clock, no randomness: time and every answer of the world are
//! given.

pub mod journal;
pub mod time;
