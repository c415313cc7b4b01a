//! Carries the operations on workspaces out.
//!
//! ```text
//! Engine ── one handler per operation (engine/)
//!   ├─ host       what this host can execute guests with
//!   ├─ store      records, in SQLite
//!   ├─ template   warm machines: find, make
//!   ├─ seeds      images of trees
//!   ├─ crossing   trees between host and guest
//!   ├─ secrets    the sealed store, and what each workspace was given
//!   ├─ chat       chat hosts: their programs, and what we remember of connections
//!   ├─ keeper     a process per workspace that owns its machine
//!   └─ recovery   tidying up after killed processes
//! ```
//!
//! The [`Engine`] lives in whatever process uses the product: command line, MCP
//! server or a program with the SDK. It owns nothing that has to stay: machines
//! belong to keepers, facts to the files below the home. So any number of
//! processes use the same workspaces at once, and none of them has to live on.
//!
//! This crate never prints.

mod chat;
mod console;
mod crossing;
mod disks;
pub mod engine;
mod exec;
pub mod files;
mod framing;
pub mod governed;
mod guest_programs;
mod hex;
mod hibernation;
mod home;
mod host;
mod jobs;
mod keeper;
mod link;
mod machines;
pub mod network;
mod origin;
mod recovery;
mod saved;
mod scratch;
mod secrets;
mod seeds;
mod services;
pub mod settings;
pub mod socket;
mod store;
mod template;
mod trouble;

pub use engine::Engine;
pub use governed::{CopiedFile, Governed};
pub use keeper::process::run as run_keeper;
pub use machines::launch_monitor;
pub use settings::Settings;

/// The hidden subcommand of the `hotcell` program that keeps a workspace.
pub const KEEPER_SUBCOMMAND: &str = keeper::spawn::SUBCOMMAND;
/// The hidden subcommand of the `hotcell` program that starts a monitor.
pub const LAUNCHER_SUBCOMMAND: &str = machines::LAUNCHER_SUBCOMMAND;
