//! The product as a user has it: the `hotcell` program, real microVMs.
//!
//! All tests share one home, so that environment, kernel and templates are made
//! once ([`support::home`]). Each makes its own machines and checks that nothing
//! of them is left.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test itself would")]

mod attaching;
mod background;
mod bad_input;
mod batches;
mod chat_hosts;
mod commands;
mod concurrency;
mod conformance;
mod contract;
mod crossing;
mod diff;
mod documentation;
mod egress;
mod failures;
mod files;
mod forks;
mod hibernation;
mod history;
mod hostile;
mod identity;
mod idle;
mod mcp;
mod naming;
mod network;
mod packages;
mod ports;
mod power;
mod reset;
mod secrets;
mod seeding;
mod services;
mod shells;
mod smoke;
mod snapshot_crashes;
mod snapshots;
mod support;
mod users;
