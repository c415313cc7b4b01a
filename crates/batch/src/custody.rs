//! The processes of agents and tools: none runs unknown, none outlives its engine.
//!
//! ```text
//! engine ──starts──▶ warden ──starts──▶ door ═══becomes═══ agent ──▶ tools …
//!    │ holds             │ ends all                  └──── one group ────┘
//!    ▼                   │ if the engine goes
//! registry               ▼
//! (directories)     cgroup or PID namespace
//! ```
//!
//! * An entry in the [`registry`] comes before its process can run, names it by
//!   number and start time, and goes after the kernel has proved that nothing of
//!   it is left.
//! * A process and all its descendants are held by a cgroup or by a PID namespace
//!   ([`Holding`]), so that killing leaves nothing, however they fork.
//! * Agents end with their engine: at once, by their [`warden`], and in any case
//!   before the next engine goes on. No agent is adopted;
//!   `docs/decisions/0016-agents-end-with-their-engine.md` says why.
//! * An engine that was replaced can start nothing more, even if it was stopped
//!   for a while in between ([`registry`]).
//!
//! **Owner.** A [`Custodian`] per engine and epoch; a [`Held`] per process.
//! **Failure paths.** A process that does not end within a deadline is told as
//! stuck and stays in the registry. **SIGKILL** of the engine at each step is
//! explained in [`custodian`], of warden and agent in [`warden`].
//!
//! [`registry`]: self
//! [`warden`]: run_warden
//! [`custodian`]: Custodian

mod cgroup;
mod custodian;
mod ending;
mod entry;
mod environment;
mod held;
mod holding;
mod limits;
mod lines;
mod mark;
mod order;
mod registry;
mod settling;
mod stderr;
mod survey;
mod waiting;
mod warden;
mod wire;

pub use custodian::{BeginError, Custodian, StartError};
pub use entry::{Key, Label, NotAKey, NotALabel};
pub use environment::{Environment, NotAVariable};
pub use held::{EndError, Held, Outcome};
pub use holding::{Holding, NoHolding};
pub use limits::{Limit, Limits};
pub use lines::{LINE_BYTES_MAX, Line, Lines};
pub use mark::ProcessMark;
pub use order::Order;
pub use registry::RegistryError;
pub use settling::{Listed, SettleError, Settled, SettledEnd, end_orphans, list};
pub use stderr::STDERR_BYTES_MAX;
pub use survey::Abandonment;
pub use warden::{DOOR_SUBCOMMAND, WARDEN_SUBCOMMAND, run_door, run_warden};
pub use wire::Status;
