//! Packets, read whole.

mod forms;
mod prompts;
mod refusals;
