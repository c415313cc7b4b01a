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
//! * [`spec`]: what a batch is asked to be. [`unit`], [`mail`], [`effect`]: the
//!   lives of units, messages and effects, each with its diagram and one function
//!   that judges its steps.
//! * [`fact`] and [`apply`]: what happened, and how it is folded into a
//!   [`state::State`]. No policy in there.
//! * [`decide`]: all the policy. [`complete`]: the one predicate of completion.
//!   [`due`]: when something changes by itself.
//! * [`journal`]: what survives. [`drive`]: the loop around all this, the same in
//!   production and in the simulation.

pub mod apply;
pub mod complete;
pub mod decide;
mod defect;
pub mod drive;
pub mod due;
pub mod effect;
pub mod fact;
pub mod journal;
pub mod mail;
pub mod spec;
pub mod state;
pub mod time;
pub mod unit;

#[cfg(test)]
mod simulation;
