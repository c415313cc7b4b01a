//! Machine drivers behind small traits; QEMU is the first.
//!
//! A [`Driver`] turns a [`MachineSpec`] into a running [`Machine`]: a monitor
//! process of ours, confined by the [`launcher`], whose guest we reach through
//! one byte stream. What not every driver can do is asked for
//! ([`Machine::saving`], [`Machine::snapshots`], [`Driver::materialising`]) and
//! never stubbed.
//!
//! ```text
//! keeper ──spawns──▶ launcher ──confines itself, then exec──▶ monitor
//!    │                                                          ▲
//!    └──── control socket, agent socket, saved state ───────────┘
//!                      (descriptors, never names)
//! ```
//!
//! **Owner.** Whoever started the machine owns the monitor: the kernel kills
//! the monitor when its owner's thread ends, so a machine never outlives it.
//! Drivers must therefore be used from a thread that lives as long as the
//! machine does (the keeper's main thread).
//!
//! **Failure paths.** A monitor that cannot start, refuses an order or ends
//! unexpectedly is a [`MachineError`] that carries the last lines it wrote.
//!
//! This is the only host crate with `unsafe`, and only in [`kvm`] and in `counter`,
//! which reads the processor's time stamp.

mod counter;
pub mod kvm;
pub mod launcher;
pub mod qemu;
mod snapshots;
mod types;

pub use snapshots::{
    Adoption, Convergence, LayersInUse, Materialisation, Materialising, Merge, RunBeside, Snapshot,
    SnapshotFailed, SnapshotPlan, Snapshots,
};

pub use types::{
    Accelerator, Disk, DiskImage, Driver, Exit, Machine, MachineError, MachineFuture, MachineSpec,
    MonitorInfo, Notice, Pausing, RamFile, RamSharing, Saving, Shape, Start,
};
