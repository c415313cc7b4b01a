//! The engine of batches as a pure function: what is decided, never how it is
//! done. No I/O, no clock, no randomness: time and every answer of the world are
//! given.
//!
//! ```text
//!  commands, outcomes, observations, time
//!        │
//!        ▼
//!     decide ──▶ facts ──▶ journal, one commit ──▶ orders ──▶ the world
//!        ▲        │
//!        │        ▼ apply
//!        └────── state ──▶ due: when to be woken
//! ```
//!
//! * [`mod@spec`]: what a batch is asked to be. [`mod@unit`], [`mod@mail`], [`mod@effect`]: the
//!   lives of units, messages and effects, each with its diagram and one function
//!   that judges its steps.
//! * [`mod@integration`] and [`mod@trace`]: where work is brought to, and what is kept of
//!   what was said.
//! * [`mod@fact`] and [`mod@apply`]: what happened, and how it is folded into a
//!   [`state::State`]. No policy in there.
//! * [`mod@decide`]: all the policy. [`mod@complete`]: the one predicate of completion.
//!   [`mod@due`]: when something changes by itself.
//! * [`mod@journal`]: what survives. [`mod@drive`]: the loop around all this, the same in
//!   production and in the simulation.

pub mod apply;
pub mod complete;
pub mod decide;
mod defect;
pub mod drive;
pub mod due;
pub mod effect;
pub mod fact;
pub mod integration;
pub mod journal;
pub mod mail;
pub mod plan;
pub mod spec;
pub mod state;
mod tell;
pub mod time;
pub mod trace;
pub mod unit;

#[cfg(test)]
mod simulation;
