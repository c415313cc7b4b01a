//! What the processes of one entry may use up together.

use serde::{Deserialize, Serialize};

/// What is asked for. Only cgroups can hold it, and only with the controllers
/// that the host lends; see [`Limit`] for what is in force.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u32>,
    /// Share of the processor against other groups, 1 to 10,000; the usual is 100.
    pub cpu_weight: Option<u16>,
}

/// A limit that the kernel holds for an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// The memory of all its processes.
    Memory,
    /// The number of its processes and threads.
    Processes,
    /// Its share of the processor.
    CpuWeight,
}
