//! One keeper process per workspace owns its machine.
//!
//! ```text
//! client A ──┐ socket                    ┌── agent stream ── guest
//! client B ──┼────────▶ keeper (hub) ────┤
//! creator  ──┘ stdin                     └── machine (monitor process)
//! ```
//!
//! * [`spawn`]: how a creator starts a keeper and hands it lock and request.
//! * [`process`]: the keeper's life; `serving`: the one loop that owns all state.
//! * [`hub`]: which client's stream is which stream of the guest; `flow`: what the
//!   guest may still send on one, and what of it is shown.
//! * [`client`]: the other end, used by the engine, and by parts of the keeper
//!   itself through [`inside`].
//! * [`concealment`]: what is hidden in everything that leaves.
//! * [`scribe`]: what happens is written down.
//! * `ports`: connections from the host; [`services`]: processes looked after.
//! * `idle`: when a workspace that nobody uses is put aside; `hibernating`: with its
//!   memory.
//! * [`asking`]: what is asked of a keeper besides carrying frames.
//!
//! On every stream but 0 clients speak the guest protocol; the keeper renames
//! streams and passes frames on, so it never holds more of a command's output
//! than the client has granted credit for. On stream 0 they speak [`protocol`].
//!
//! **Failure paths.** If the keeper dies, the kernel ends the monitor, releases
//! the lock and closes the sockets: clients fail with `machine_lost`, and the
//! next use of the product finds the free lock and tidies up (`recovery`). If
//! the monitor dies, the keeper tells all clients why and ends.

pub(crate) mod asking;
pub(crate) mod client;
mod clients;
mod compacting;
pub(crate) mod concealment;
mod custody;
mod flow;
mod hibernating;
mod hub;
mod idle;
pub(crate) mod inside;
pub(crate) mod jobs;
mod ports;
pub(crate) use hub::GuestFault;
pub(crate) use protocol::Lifetime;
pub(crate) mod process;
pub(crate) mod protocol;
mod resetting;
mod saving;
pub(crate) mod scribe;
pub(crate) mod services;
mod serving;
pub(crate) mod spawn;
