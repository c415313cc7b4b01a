//! Drives batches: everything around the pure core that touches the world.
//!
//! * [`custody`]: the processes of agents and tools, none of which outlives its engine.
//! * [`journal`]: the journal of a batch in SQLite, and its traces in files.
//! * [`engine`]: the loop around the core, and the world that carries its orders out.
//! * `configuration`, `discovery`: how a repository wants its batches, and its packets.
//! * `planning`, `picture`, `initial`: the operations on packets.
//! * `taskplane`: a batch as Taskplane's files.
//! * `processes`: the operation on processes; `home`: where batches lie.

mod configuration;
pub mod custody;
mod discovery;
pub mod engine;
mod home;
mod initial;
pub mod journal;
mod picture;
mod planning;
mod processes;
mod taskplane;

use std::path::Path;

use home::BatchesHome;

/// Carries out every operation on batches.
#[derive(Debug, Clone)]
pub struct Batches {
    home: BatchesHome,
}

impl Batches {
    /// Those within the directory that holds everything of Hotcell's.
    #[must_use]
    pub fn within(home: &Path) -> Self {
        Self { home: BatchesHome::within(home) }
    }
}

// Every operation of the contract has its handler, or this does not compile.
const _: fn() = || {
    fn carries_out_all<T: batch_api::BatchOperations>() {}
    carries_out_all::<Batches>();
};
