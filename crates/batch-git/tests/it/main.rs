//! The git of batches, over real repositories and by real git.

mod incoming;
mod integrating;
mod kills;
mod merging;
mod poison;
mod scene;
mod stores;
