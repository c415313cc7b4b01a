//! Drives batches: everything around the pure core that touches the world.
//!
//! * [`custody`]: the processes of agents and tools, none of which outlives its engine.
//! * [`journal`]: the journal of a batch in SQLite, and its traces in files.

pub mod custody;
pub mod journal;
