//! Task packets as text. A packet is a folder that says what one agent is to do:
//!
//! ```text
//! tasks/TP-014-parser/
//!   PROMPT.md     what is to be done        written by people     [`prompt`]
//!   STATUS.md     how far it is             written by the agent  [`status`]
//!   .DONE         that it is done           written by the engine [`done`]
//!   .reviews/     what reviewers said       written by reviewers  [`review`]
//!   outbox/       what it says to others    written by the agent  [`letter`]
//! ```
//!
//! The files are Markdown, as Taskplane has it, and there is one parser: it takes
//! every form of heading and list that either of Taskplane's two parsers takes, and
//! what these two would read differently, or what could be read in two ways, is a
//! [`Problem`] that names the line, what was found and what was expected. Nothing is
//! guessed: a task of which no step can be read is no task.
//!
//! Everything here is somebody else's text: it is bounded ([`limits`]) before it is
//! looked at, headings and boxes in code and comments are not seen, and nothing that
//! is told again holds a control character. There is no I/O.

mod document;
pub mod done;
mod field;
pub mod letter;
pub mod limits;
mod place;
mod problem;
pub mod prompt;
pub mod review;
pub mod status;

pub use place::Located;
pub use problem::{Fault, Problem};
pub use prompt::Prompt;

/// The id of the task that a folder's name begins with: `TP-014-parser` is TP-014.
#[must_use]
pub fn folder_id(folder: &str) -> Option<batch_api::TaskId> {
    prompt::title::beginning(folder)
}
