//! Drives batches: everything around the pure core that touches the world.
//!
//! * [`custody`]: the processes of agents and tools, none of which outlives its engine.
//! * [`journal`]: the journal of a batch in SQLite, and its traces in files.
//! * [`engine`]: the loop around the core, and the world that carries its orders out.
//! * `control`: that engine as a process of its own, and the operations on it.
//! * [`gateway`]: the tools of agents on the host, which act in their lanes.
//! * `configuration`, `discovery`: how a repository wants its batches, and its packets.
//! * `planning`, `picture`, `initial`: the operations on packets.
//! * `taskplane`: a batch as Taskplane's files.
//! * `mailbox`: the operations on messages.
//! * [`roster`]: the kinds of agents and what is proved of them;
//! * `processes`: the operation on processes; `home`: where batches lie.

mod configuration;
mod control;
pub mod custody;
mod discovery;
pub mod engine;
pub mod gateway;
mod home;
mod initial;
pub mod journal;
mod mailbox;
mod picture;
mod planning;
mod processes;
pub mod roster;
mod taskplane;

use control::Starter;
pub use control::{ENGINE_SUBCOMMAND, run_engine};
use home::BatchesHome;
use workspace::Settings;

/// Carries out every operation on batches.
#[derive(Debug, Clone)]
pub struct Batches {
    home: BatchesHome,
    starter: Starter,
}

impl Batches {
    /// Those of an operator's settings.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        Self { home: BatchesHome::within(&settings.home), starter: Starter::of(settings) }
    }
}

// Every operation of the contract has its handler, or this does not compile.
const _: fn() = || {
    fn carries_out_all<T: batch_api::BatchOperations>() {}
    carries_out_all::<Batches>();
};
