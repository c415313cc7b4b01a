//! The engine of a batch as a process of its own, and everybody who talks to it.
//!
//! ```text
//! start ── setup.json ──▶ batches/<id>/ ◀── journal ── reading: status, list
//!   │                          ▲
//!   └─spawns─▶ engine ─────────┤ owns it: the epoch and its lock
//!                │   engine.sock
//!                └──────◀────── requests: pause, abort, retry, …
//! ```
//!
//! * [`setup`]: what is written down before an engine begins.
//! * [`place`]: a batch on disk; `choosing`: which one is meant; `remembered`: what its
//!   journal amounts to, for readers.
//! * `host`: what an agent on the host needs, and who knows its credentials.
//! * [`process`]: how an engine is started, and its life; [`socket`]: its door.
//! * [`requests`]: asking an engine, starting one if there is none.
//! * `start`, `changes`, `status`, `events`, `integrate`, `doctor`: the operations;
//!   `telling`: the state in their words.
//!
//! **One engine.** The journal's owner lock is what makes it one: an engine claims the
//! journal unless its owner lives, so of several that begin at once one goes on, and the
//! others say who it is. Only `resume --take-over` replaces an engine that lives; that
//! one is refused everything from then on, by the journal and by the store.
//!
//! **SIGKILL at each step of a start.**
//!
//! | it happened | what is left |
//! |---|---|
//! | while the setup is written | a directory that no batch is called after; a later start removes it |
//! | after the directory got its name | a batch that is `new`; `resume` starts its engine |
//! | after the engine was spawned | the engine goes on, it is nobody's child |
//! | the engine, before it planned | a batch that is `new` and has a journal; the next engine plans |
//! | the engine, later | a batch whose engine is `gone`; the next engine goes on |

mod changes;
mod choosing;
mod doctor;
mod events;
mod files;
mod following;
mod host;
mod integrate;
mod place;
mod process;
mod remembered;
pub(crate) mod requests;
mod setup;
mod socket;
mod start;
mod status;
mod telling;
mod traces;

use operation::{ErrorKind, OpError};

pub use process::{SUBCOMMAND as ENGINE_SUBCOMMAND, run as run_engine};

pub(crate) use changes::meant;
pub(crate) use choosing::choose;
pub(crate) use files::read as read_file;
pub(crate) use place::Place;
pub(crate) use process::Starter;
pub(crate) use telling::moment;

/// Does what waits for disks and other processes, on a thread that may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, OpError> + Send + 'static,
) -> Result<T, OpError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| OpError::new(ErrorKind::Internal, &error).during("it ended early"))?
}
