//! Real trees, real archives, real tar.

mod hostile;
mod round_trip;
mod support;
