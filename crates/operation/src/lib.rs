//! One definition per operation; every face is derived from it.
//!
//! An [`Operation`] is a request struct: its fields are the command's flags and
//! the JSON schema's properties, its doc comments are the help of all faces. A
//! [`Handler`] carries it out. [`operations!`] lists the operations of a
//! product in one table of [`OpSpec`] rows, and a face is a function over that
//! table:
//!
//! ```text
//! argv ──cli──┐
//!             ├──▶ request ──▶ Handler::handle ──▶ events …, output | OpError
//! Rust call ──┘      (the same struct)
//! ```
//!
//! This crate knows nothing of machines or workspaces, and does no I/O.

mod bounds;
mod call;
pub mod cli;
pub mod contract;
mod error;
mod ids;
mod present;
mod table;
mod text;
pub mod tool;
pub mod view;

pub use call::{BoxFuture, Call, Input, RawCall, Tell};
pub use error::{ErrorKind, OpError};
pub use ids::ids;
pub use present::{Present, Progress, ProgressState, Screen, Unit};
pub use table::{Answer, CarryOut, Effect, Example, Handler, NoEvents, OpSpec, Operation};
