//! The words of snapshots: taken of a machine while it runs.
//!
//! ```text
//!            Snapshots::snapshot                 Materialising::materialise
//! running ───────────────────────▶ stream       ───────────────────────────▶ RAM file, state
//! machine                          + frozen                                     │
//!    │                               layers                                     ▼
//!    └─▶ goes on in fresh layers      ▲                            Start::Resume, any number
//!                                     │                            of copies (copy-on-write)
//!         Layering::adopt ◀── Materialising::merge: one layer instead of many
//! ```
//!
//! **What a SIGKILL leaves.** A stream, a RAM file, a state or a merged layer
//! that is not complete; only who was told that a step succeeded may use what
//! it wrote. Disks: who writes down the new chain *before* the snapshot is right
//! whenever the kill comes. A fresh layer that was not reached yet is empty, so
//! a chain that begins with it reads the same; and nothing is written to the
//! layer below any more once the monitor is dead.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{DiskImage, MachineError, MachineFuture};

/// The power to snapshot a machine that runs and goes on running.
pub trait Snapshots {
    /// Writes the machine's memory and devices, as they are at one moment, to
    /// the plan's stream. From that same moment on its drives write to the
    /// plan's fresh layers, and what was their top is frozen for good. So the
    /// stream and the frozen layers agree.
    ///
    /// The guest runs beside this but for a short pause, if the driver can tell
    /// what it changes meanwhile; otherwise it stands still. The stream has to be
    /// [materialised](Materialising::materialise) before it can be resumed from.
    /// It is not synced to the host's disk.
    ///
    /// Not cancel safe: a machine whose snapshot was given up can only be
    /// stopped. The same is true after an error other than
    /// [`MachineError::State`], [`MachineError::File`] and
    /// [`MachineError::Refused`].
    ///
    /// # Errors
    ///
    /// See [`SnapshotFailed`]: the machine runs on, but perhaps in the fresh
    /// layers already. Those that it does not use hold nothing and can be
    /// deleted, as can the stream.
    fn snapshot<'a>(
        &'a mut self,
        plan: &'a SnapshotPlan,
    ) -> MachineFuture<'a, Result<Snapshot, SnapshotFailed>>;

    /// Puts one image in the place of several frozen ones of a drive, while the
    /// machine runs. What the guest reads must be the same.
    ///
    /// # Errors
    ///
    /// If the monitor refuses; the drive keeps its images then.
    fn adopt<'a>(
        &'a mut self,
        adoption: &'a Adoption,
    ) -> MachineFuture<'a, Result<(), MachineError>>;
}

/// Where a snapshot goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotPlan {
    /// File for memory and devices; created.
    pub stream: PathBuf,
    /// One empty qcow2 file for each drive, in their order, as large as the
    /// drive. What their headers say of backing files is ignored.
    pub layers: Vec<PathBuf>,
    /// How long the guest may run beside the writing of its memory.
    pub beside: RunBeside,
}

/// What a guest may take up that runs beside its snapshot; beyond either it is
/// halted, and what is left of its memory is written while it stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunBeside {
    /// How long it may run, in milliseconds. Most snapshots take a few hundred.
    pub limit_ms: u64,
    /// How large the stream may become meanwhile, in percent of the guest's
    /// memory: pages that it writes again are written again.
    pub limit_percent: u64,
}

impl RunBeside {
    /// The guest is halted as soon as its memory is being written.
    pub const NOT: Self = Self { limit_ms: 0, limit_percent: 0 };
}

impl Default for RunBeside {
    /// Ten seconds, and one and a half times the guest's memory.
    fn default() -> Self {
        Self { limit_ms: 10_000, limit_percent: 150 }
    }
}

/// A snapshot that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// How long the guest stood still, in microseconds, by the monitor's own
    /// time stamps.
    pub pause_us: u64,
    /// Whether the guest could run until its last pages were written.
    pub convergence: Convergence,
    /// Size of the stream in bytes.
    pub stream_bytes: u64,
}

/// Whether a guest could run while its memory was copied, until the copy had
/// caught up with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Convergence {
    /// It did.
    Converged,
    /// The guest was halted before, because it changed its memory faster than it
    /// could be copied, or because the driver cannot tell what it changes.
    Paused,
}

/// A snapshot that was not taken.
#[derive(Debug, thiserror::Error)]
#[error("the machine could not be snapshotted")]
pub struct SnapshotFailed {
    /// Where the machine's drives write to now.
    pub layers: LayersInUse,
    /// Why it was not taken.
    #[source]
    pub source: MachineError,
}

/// Which layers a machine's drives write to after a snapshot that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayersInUse {
    /// Those from before.
    Old,
    /// The plan's fresh ones.
    Fresh,
}

/// A frozen part of a drive's chain, and the image that takes its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adoption {
    /// Which drive, counted from 0.
    pub drive: usize,
    /// The first image that is replaced: 0 is the writable layer, which cannot
    /// be; 1 is the first below it.
    pub first: usize,
    /// How many images are replaced. At least one must remain below them.
    pub count: usize,
    /// A qcow2 layer that [`Materialising::merge`] made of them.
    pub merged: PathBuf,
}

/// The power of a driver to work on what snapshots leave, without running a guest.
pub trait Materialising {
    /// Turns a stream into a RAM file and a state that any number of machines
    /// can be resumed from.
    ///
    /// Neither file is synced to the host's disk.
    fn materialise<'a>(
        &'a self,
        plan: &'a Materialisation<'a>,
    ) -> MachineFuture<'a, Result<(), MachineError>>;

    /// Copies what several layers of a drive hold into one layer.
    ///
    /// The layer is not synced to the host's disk.
    fn merge<'a>(&'a self, plan: &'a Merge) -> MachineFuture<'a, Result<(), MachineError>>;
}

/// A stream, and what it becomes.
#[derive(Debug, Clone, Copy)]
pub struct Materialisation<'a> {
    /// Memory of the machine that was snapshotted, in MiB.
    pub memory_mib: u32,
    /// What [`Snapshots::snapshot`] wrote.
    pub stream: &'a Path,
    /// The RAM file to make.
    pub ram: &'a Path,
    /// The state file to make.
    pub state: &'a Path,
}

/// Layers, and the one that they become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merge {
    /// Where the merged content goes: an empty qcow2 file as large as the drive.
    pub into: PathBuf,
    /// The qcow2 layers to merge, the uppermost first.
    pub layers: Vec<PathBuf>,
    /// What lies below them, nearest first; not copied. At least one image.
    pub below: Vec<DiskImage>,
}
