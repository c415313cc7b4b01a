//! The agent over a socket, with real processes and without a machine.

mod client;
mod commands;
mod epochs;
mod kept;
mod rules;
mod terminals;
