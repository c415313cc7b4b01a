//! The journal: the one thing that has to survive. Everything else, the state of
//! the batch, its status, its files for people, is folded from it.
//!
//! ```text
//!   fact ──▶ Record ──seal──▶ Line (text, digest) ──append──▶ storage
//!              ▲                      │
//!              └───check── Chain ◀────┘ read
//! ```
//!
//! * A [`Record`] is one fact with what everybody asks of it: when (as given),
//!   under which [`Epoch`](batch_api::Epoch), by whom, because of which earlier
//!   record, about what. It names the digest of the record before it, so no
//!   record can be altered, dropped or slipped in unnoticed: a [`Chain`] seals
//!   records and checks lines that are read back.
//! * A [`Line`] is a record as it is stored: text in one canonical form and its
//!   digest. Storage never looks into the text, and never rewrites it.
//! * [`Journal`] is the storage: many lines in one commit, under the epoch of the
//!   engine that owns the batch. [`Journal::claim`] takes ownership; from then on
//!   whatever an earlier owner appends is refused, however long it was stopped.
//! * [`Traces`] keep what is too large or too private for a fact: transcripts and
//!   output, by digest. A fact refers to a trace and never needs it to be folded,
//!   so a trace can be pruned, and the chain stays whole.
//!
//! **After a failed append** nobody knows whether the lines are there, unless the
//! error says that they are not. The engine then ends, and its successor reads.
//!
//! **Versions.** A line names the version of its record. A reader takes every
//! version up to its own, turning older ones into newer while it decodes, never
//! on disk: the chain is over the text as it was written. A newer version is
//! refused as a whole ([`ChainError::Newer`]), for a fact that is not understood
//! may be the one that matters. An older engine never runs on a newer journal.
//!
//! | reads ↓ writes → | older | same | newer |
//! |---|---|---|---|
//! | engine | turns it into its own | as it is | refuses to start |

pub mod chain;
pub mod contract;
mod digest;
pub mod memory;
mod record;
mod storage;

pub use chain::{Chain, ChainError};
pub use digest::Digest;
pub use record::{Draft, Line, Record, Subject, VERSION};
pub use storage::{AppendError, Claim, Journal, LINES_MAX, StorageError, Traces};
