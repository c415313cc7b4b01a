//! The agent inside the guest: PID 1 of a disposable machine.
//!
//! ```text
//! main ── boot ──▶ serve ─┬─ port in ─▶ incoming ─▶ session ─┬─▶ command (one task each) ─▶ spawn, sys
//!                         │                                  ├─▶ machine (identity, drive, sync)
//!                         ├─ port out ◀─ outbox ◀────────────┘
//!                         └─ reaper (SIGCHLD)
//! ```
//!
//! Everything runs on one thread and nothing on it blocks for an unbounded
//! time, so state is shared through `Rc` and no lock exists. Two requests that
//! may take long (mounting, syncing) run on a helper thread.
//!
//! * [`boot`] turns an initramfs into the machine that commands see.
//! * [`port`] is the byte channel to the host, which may go away and come back.
//! * `incoming` finds epochs and frames in the bytes that arrive.
//! * `outbox` is the bounded queue of bytes that leave.
//! * `session` judges what the host may say when, and answers.
//! * `command` carries one command from its start to its last byte;
//!   `stream` is the part of it that the session may touch, `hearing` who hears
//!   it, `terminal` what it may have instead of pipes.
//! * [`containment`] puts each process tree where it can be killed as a whole.
//! * `reaper` collects the dead.
//! * [`machine`] is what only a real guest can do; tests put a fake there.
//! * `sys` holds all unsafe code.
//!
//! **The agent never ends.** A panic of PID 1 is a panic of the kernel, so host
//! input can refuse a request or silence an epoch, and nothing else.

pub mod boot;
pub mod containment;
pub mod machine;
pub mod port;

mod command;
mod hearing;
mod identity;
mod incoming;
mod input;
mod latch;
pub mod limits;
mod outbox;
mod output;
mod reaper;
mod serve;
mod session;
mod spawn;
mod stream;
mod sys;
mod terminal;

pub use reaper::Reaping;
pub use serve::{ServeError, Settings, serve};

use std::error::Error;

/// An error and all its causes on one line.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
