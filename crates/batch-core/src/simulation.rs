//! The engine in a simulated world, from a seed: the same seed is the same story
//! to the last byte.
//!
//! The loop is the one of production ([`crate::drive`]); storage, clock, agents,
//! git and lanes are stood in for by [`world`]. Engines die at every point of an
//! effect's life (before it is started, while it is at work, when it is done and
//! nobody has heard, and it is done after they are dead), or are stopped and wake
//! up when another one owns the batch. Appends are lost, unheard or refused. The
//! clock is set, also back.
//! Agents crash, hang, lie, repeat themselves, leave things running and try to
//! decide for themselves.
//!
//! What is checked, as it happens and at the end: no message is lost or comes
//! twice, no piece of work is lost, every task comes to the branch once and only
//! verified, a lane has one owner, nothing is alive at the end, whoever was
//! answered gets the same answer for ever, and the journal folds to the state.
//! What the journal must never say (one unit overtakes another, goes on without a
//! budget, beyond a ceiling, against a limit or a halt) is audited by its facts alone.
//! Once nothing goes wrong any more, every batch ends.
//!
//! `cargo xtask simulate` runs as many seeds as it is told; a seed that fails
//! prints how to run it again.

mod agents;
mod audit;
mod client;
mod coverage;
mod git;
mod plan;
mod random;
mod run;
mod storage;
mod tests;
mod world;
