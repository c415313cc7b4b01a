//! Drives batches: everything around the pure core that touches the world.
//!
//! * [`custody`]: the processes of agents and tools, none of which outlives its engine.

pub mod custody;
