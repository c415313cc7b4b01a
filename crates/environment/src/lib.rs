//! Makes what a machine boots from, and knows nothing of machines.
//!
//! Everything lives below one directory that the caller names (mode 0700):
//!
//! ```text
//! environments/<digest>/{manifest.json, root.ext4}   immutable
//! environments/names/<encoded name>.json             name -> digest
//! kernels/<digest>/{manifest.json, vmlinux, modules/*.ko}
//! initrds/<digest>.img                               kernel + agent + module set
//! staging/<id>/{lock, work/…}                        half-done work
//! locks/…                                            who builds, who publishes
//! ```
//!
//! **A thing is there whole or not at all.** It is made in a staging entry,
//! synced, renamed to its digest, and only then named. A process that dies at
//! any moment leaves at most a staging entry; the lock of that entry dies with
//! the process, so the next build or prune recognises it and sweeps it.
//!
//! **Who owns what.** [`Library`] owns the directory; a staging entry belongs
//! to the process that holds its lock; published things belong to nobody and
//! never change. A name is the only mutable thing and is replaced by a rename.
//!
//! **Cancellation.** Calls block. Every one that may take long takes a
//! [`Cancel`] and kills the whole process group of its tool when that is set.
//! A tool also dies when the thread that started it does.
//!
//! This crate never prints. It reads no environment variables of its own; the
//! tools that it starts inherit those that say how the network is reached.

mod bootstrap;
mod build;
mod cancel;
mod catalog;
mod command;
mod confinement;
mod cpio;
mod dpkg;
mod durable;
mod error;
mod ext4;
mod initrd;
mod kernel;
mod library;
mod manifest;
mod module;
mod name;
mod progress;
mod prune;
mod staging;
mod tools;
pub mod tree;
mod vmlinuz;

pub use build::{BuildOptions, BuildOutcome, Built};
pub use cancel::Cancel;
pub use catalog::{CuratedEnvironment, catalog};
pub use dpkg::{Package, StatusError};
pub use error::EnvironmentError;
pub use ext4::IMAGE_VIRTUAL_BYTES;
pub use initrd::{GuestPrograms, ModuleSet};
pub use library::{EnvironmentRecord, Library, Selector};
pub use manifest::{EnvironmentManifest, KernelRecord, ModuleGroup, ModuleRecord, Recipe};
pub use module::ModuleError;
pub use name::{Digest, EnvironmentName, InvalidDigest, InvalidName};
pub use progress::{Phase, Progress, Rebuild};
pub use prune::{InUse, Pruned};
pub use tools::{Presence, ToolCheck, tools};
pub use vmlinuz::KernelImageError;
