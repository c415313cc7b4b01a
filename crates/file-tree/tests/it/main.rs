//! Real trees, real archives, real tar.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod hostile;
mod round_trip;
mod support;
