//! What the launching stage is told.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Everything the launching stage needs to become a confined monitor. The
/// descriptors travel beside it, see [`super::Descriptors`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchPlan {
    /// The monitor's executable.
    pub program: PathBuf,
    /// Its arguments, without the program's name.
    pub arguments: Vec<String>,
    /// As whom it runs.
    pub user: UidPolicy,
    /// Supplementary groups it keeps when its user is changed.
    pub groups: Vec<u32>,
    /// What it may use up.
    pub limits: Limits,
    /// Device nodes that it may open, such as `/dev/kvm`.
    pub devices: Vec<PathBuf>,
}

/// As whom a monitor runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "policy", rename_all = "kebab-case")]
pub enum UidPolicy {
    /// As the user who starts it.
    Keep,
    /// As another user; only root can start it.
    Drop {
        /// The user.
        uid: u32,
        /// The group. Machines that share files need the same group: files
        /// that a monitor opens itself are made accessible to it.
        gid: u32,
        /// Who else has this user.
        uid_use: UidUse,
    },
}

/// Whether a user id belongs to one machine only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UidUse {
    /// It does, so its processes can be counted against a limit.
    Dedicated,
    /// Other processes have it too.
    Shared,
}

/// What a monitor may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Open descriptors.
    pub descriptors: u64,
    /// Size of any file it writes, in bytes.
    pub file_bytes: u64,
    /// Address space in bytes.
    pub address_space_bytes: u64,
    /// Threads and processes; applied to a [`UidUse::Dedicated`] user only,
    /// because the kernel counts per user.
    pub threads: u64,
}

/// Whether the monitor opens a descriptor's file once more by itself, through
/// `/proc/self/fd`. Landlock lets it do so for exactly these files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reopen {
    /// It uses the descriptor as it is.
    Never,
    /// For reading.
    Read,
    /// For reading and writing.
    ReadWrite,
}
