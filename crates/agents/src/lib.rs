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
//! | OpenCode | folded in after the tool that runs | the answer to its prompt, at the end of the turn | taken twice; the conversation can be searched |
//! | pi | folded in after the tool that runs | the text comes back, with the key in it | taken twice; the transcript can be searched |
//! | ACP | waits until the turn is over: agents differ | as for OpenCode | nobody can tell |
//! | a command | it hears nothing | – | – |

pub mod acp;
mod adapter;
mod capability;
pub mod claude;
pub mod codex;
pub mod command;
mod dialogue;
mod event;
mod json;
mod lane;
mod launch;
mod mark;
pub mod opencode;
pub mod patch;
pub mod pi;
mod proof;

pub use adapter::{Adapter, Record, UnknownAdapter};
pub use capability::{
    Capabilities, Habits, Isolation, Receipts, Resuming, Spending, Steering, Surviving, Trait,
    Waiting,
};
pub use dialogue::{Dialogue, Heard, Key, LINE_BYTES_MAX, NotNow, Said};
pub use event::{End, Event, Failure, TEXT_CHARACTERS_MAX, Usage};
pub use lane::Lane;
pub use launch::{File, Gateway, Hands, Launch, Provider, Task};
pub use proof::{PROVED, Proved, Unproved, proof};
