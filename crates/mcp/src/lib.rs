//! The face for models: a profile of the table, served over the Model Context
//! Protocol.
//!
//! ```text
//! chat host ──stdio──▶ rmcp ──▶ Server ──▶ Catalog::request ──▶ OpSpec::call
//!           ◀────────       ◀── Answer ◀── events …, output | OpError
//! ```
//!
//! It knows no operation by name. Who carries operations out is opened when a
//! tool is called for the first time, so that the first message is answered at
//! once whatever state the host is in, and an error reaches the model as the
//! answer of a tool.
//!
//! * Calls run beside each other; each has its own cancellation, which the
//!   client's `notifications/cancelled` and the end of the connection trigger.
//! * An answer has at most [`TEXT_MAX_CHARS`] characters of text, its middle
//!   left out; see [`answer`].
//! * An operation's failure is a tool's answer with `isError`, whose text is
//!   what the command line prints: step, causes, hints. Only a tool that does
//!   not exist is a protocol error.
//! * Both eras of the protocol are served: `initialize` and the stateless one; on
//!   standard input and output, or to clients of this host through a [`Door`].
//!
//! [`Client`] is the other side, for whoever wants to see what hosts see.

pub mod answer;
mod client;
mod http;
mod server;

pub use answer::TEXT_MAX_CHARS;
pub use client::{Client, ClientError, Outcome, ToolAnswer};
pub use http::{BearerToken, Door, DoorError, PATH, TokenError};
pub use server::{Copied, Host, Outbox, Prompt, ServeError, Server};
