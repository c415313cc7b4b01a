//! Agents of all kinds, as one: how each is launched, spoken to and understood.
//!
//! ```text
//!             Launch (words, variables, files)
//! Adapter ──┤
//!             Dialogue ── open, say, interrupt ──▶ lines for the process
//!                │
//!                ◀── lines of the process ── hear ──▶ Events, and lines in reply
//! ```
//!
//! There is no I/O here and no clock: whoever owns the process moves the lines, so
//! a dialogue can be replayed from what was said. What an agent says is untrusted:
//! a line that is not understood is an event like others and never more than that,
//! and whatever is kept of a line has a limit.
//!
//! What differs between agents is declared ([`Capabilities`]), never guessed from
//! their names, and shown by tests with the agents' own programs.
//!
//! | adapter | message to an agent at work | proof that it was taken | the same message twice |
//! |---|---|---|---|
//! | Claude Code | folded into the next result of a tool | `command_lifecycle started` with its key | taken once |
//! | Codex | folded in after the tool that runs | `item/started` with its key | taken twice; the transcript can be searched |
//! | pi | folded in after the tool that runs | none with a key; the text comes back | taken twice; the transcript can be searched |
//! | ACP | differs by agent | none | nobody can tell |
//! | a command | it hears nothing | – | – |

mod capability;
pub mod claude;
pub mod codex;
pub mod command;
mod dialogue;
mod event;
mod json;
mod launch;

pub use capability::{Capabilities, Isolation, Receipts, Spending, Steering, Surviving};
pub use dialogue::{Dialogue, Heard, Key, LINE_BYTES_MAX, NotNow, Said};
pub use event::{End, Event, Failure, TEXT_CHARACTERS_MAX, Usage};
pub use launch::{File, Gateway, Launch, Task};
