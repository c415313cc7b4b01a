//! The mailbox as people reach it: `batch.send`, `broadcast`, `answer`, `inbox`, `replies`.
//!
//! Whatever is sent goes to the batch's engine, which is started if there is none, and is
//! answered once it is in the journal. Whatever is read is folded from the journal, and
//! needs no engine. Who sends is stamped by the engine's door, never by the request.
//!
//! * `sending`: what goes in; `reading`: what comes out; `telling`: in which words.

mod reading;
mod sending;
mod telling;
