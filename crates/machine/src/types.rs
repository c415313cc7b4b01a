//! The words that all drivers share.

use std::fmt;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;

use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;
use uuid::Uuid;

use crate::{Materialising, Snapshots};

/// What executes the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accelerator {
    /// The processor itself, through `/dev/kvm`.
    Kvm,
    /// QEMU's own emulation; works everywhere, five to twelve times slower.
    Tcg,
}

impl fmt::Display for Accelerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        })
    }
}

/// How large a machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Shape {
    /// Virtual processors.
    pub cpus: u8,
    /// Memory in MiB.
    pub memory_mib: u32,
}

/// Everything that a driver needs to start one machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineSpec {
    /// What executes the guest.
    pub accelerator: Accelerator,
    /// Processor model, in the monitor's words; `None` is the driver's default
    /// for the accelerator.
    pub cpu_model: Option<String>,
    /// How large it is.
    pub shape: Shape,
    /// Kernel image: an uncompressed ELF with a PVH entry.
    pub kernel: PathBuf,
    /// Initial RAM file system; holds the guest agent as `/init`.
    pub initrd: PathBuf,
    /// Kernel command line, without what the driver itself needs.
    pub command_line: String,
    /// The file behind the guest's memory.
    pub ram: RamFile,
    /// Drives in the order in which the guest sees them (`vda`, `vdb`, …).
    pub disks: Vec<Disk>,
    /// Where the guest's console goes; created if missing, appended to.
    pub console: PathBuf,
    /// Identity of this incarnation of the machine; a new one per start lets
    /// the guest's random generator notice that it was copied.
    pub generation_id: Uuid,
    /// Boot, or go on from a saved state.
    pub start: Start,
}

/// The file behind the guest's memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RamFile {
    /// Path; exactly as large as the machine's memory.
    pub path: PathBuf,
    /// Whether the machine's writes reach the file.
    pub sharing: RamSharing,
}

/// Whether a machine's writes to its memory reach the file behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RamSharing {
    /// They do: this machine is going to be saved as a template.
    Shared,
    /// They do not: many machines share one file.
    CopyOnWrite,
}

/// A drive: a writable qcow2 layer over images that are never written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Short name, unique within the machine.
    pub name: String,
    /// The writable layer, qcow2. What its header says of a backing file is
    /// ignored; `backing` counts.
    pub layer: PathBuf,
    /// What lies below, nearest first.
    pub backing: Vec<DiskImage>,
}

/// An image below a drive's writable layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "format", rename_all = "kebab-case")]
pub enum DiskImage {
    /// Bytes as the guest sees them.
    Raw {
        /// The file.
        path: PathBuf,
    },
    /// A frozen qcow2 layer.
    Qcow2 {
        /// The file.
        path: PathBuf,
    },
}

/// How a machine comes to life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "kebab-case")]
pub enum Start {
    /// From the kernel on.
    Boot,
    /// From a state that [`Saving::save`] wrote for the same RAM file.
    Resume {
        /// The saved device state.
        state: PathBuf,
    },
}

/// What a monitor on this host is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonitorInfo {
    /// The executable that was found.
    pub program: PathBuf,
    /// Its version, e.g. `7.2.22`.
    pub version: String,
}

/// A future that a driver returns. Not `Send`: machines stay on one thread.
pub type MachineFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Starts machines of one kind.
pub trait Driver: fmt::Debug {
    /// Which monitor this host has.
    fn monitor(&self) -> Result<MonitorInfo, MachineError>;

    /// Starts a machine. The guest runs when this returns; with
    /// [`Start::Resume`] it goes on where it was saved.
    fn start<'a>(
        &'a self,
        spec: &'a MachineSpec,
    ) -> MachineFuture<'a, Result<Box<dyn Machine>, MachineError>>;

    /// The power to make resumable copies of snapshots, if the driver has it.
    fn materialising(&self) -> Option<&dyn Materialising> {
        None
    }
}

/// A running machine. Dropping it kills it.
pub trait Machine: fmt::Debug {
    /// The stream to the guest's agent; `None` once it was taken.
    fn take_agent(&mut self) -> Option<UnixStream>;

    /// Process id of the monitor.
    fn monitor_pid(&self) -> u32;

    /// The next thing that happens to the machine by itself. Cancel safe.
    fn notice(&mut self) -> MachineFuture<'_, Notice>;

    /// Ends the machine at once and waits until its monitor is gone.
    fn stop(&mut self) -> MachineFuture<'_, Exit>;

    /// The power to write the machine's state to a file, if the driver has it.
    fn saving(&mut self) -> Option<&mut dyn Saving>;

    /// The power to halt the guest and let it go on, if the driver has it.
    fn pausing(&mut self) -> Option<&mut dyn Pausing> {
        None
    }

    /// The power to snapshot the machine while it runs, if the driver has it.
    fn snapshots(&mut self) -> Option<&mut dyn Snapshots> {
        None
    }
}

/// The power to halt a guest and let it go on.
pub trait Pausing {
    /// Halts the guest's processors.
    fn pause(&mut self) -> MachineFuture<'_, Result<(), MachineError>>;

    /// Lets the guest go on; what failed for want of storage is tried again.
    fn unpause(&mut self) -> MachineFuture<'_, Result<(), MachineError>>;
}

/// The power to write a machine's device state to a file.
pub trait Saving {
    /// Stops the guest and writes its device state to `state`. Memory stays in
    /// the machine's RAM file, which must be [`RamSharing::Shared`]. The
    /// machine does not run afterwards; stop it.
    fn save<'a>(&'a mut self, state: PathBuf) -> MachineFuture<'a, Result<(), MachineError>>;
}

/// Something that happened to a machine by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The monitor ended; nothing else will happen.
    Ended(Exit),
    /// The guest was paused because the host could not store what it wrote.
    HostStorageFull {
        /// Name of the drive.
        disk: String,
    },
    /// An image could not be read or written. The guest was told of a failed
    /// read; before a failed write it was paused.
    DiskFailed {
        /// Name of the drive.
        disk: String,
        /// The monitor's reason.
        reason: String,
    },
    /// The guest switched itself off or asked for a reset.
    GuestShutDown,
}

/// How a monitor ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Its exit code, if it exited.
    pub code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// The last lines it wrote to its standard error.
    pub last_words: String,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (_, Some(signal)) => write!(f, "ended by signal {signal}")?,
            (Some(code), None) => write!(f, "ended with exit code {code}")?,
            (None, None) => write!(f, "ended")?,
        }
        if !self.last_words.is_empty() {
            write!(f, ": {}", self.last_words)?;
        }
        Ok(())
    }
}

/// A step that failed.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// No monitor is installed.
    #[error("no `{program}` is installed")]
    MonitorMissing {
        /// The executable that was looked for.
        program: String,
    },
    /// The monitor's version could not be learnt.
    #[error("cannot learn the version of {}", program.display())]
    MonitorVersion {
        /// The executable.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The launcher or the monitor could not be started.
    #[error("cannot start {}", program.display())]
    Spawn {
        /// The executable.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of the machine could not be opened or prepared.
    #[error("cannot prepare {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The monitor ended before the machine ran.
    #[error("the monitor {0}")]
    Ended(Exit),
    /// The monitor refused an order.
    #[error("the monitor refused `{order}`: {reason}")]
    Refused {
        /// The order.
        order: String,
        /// The monitor's words.
        reason: String,
    },
    /// The control stream broke or held something unexpected.
    #[error("the monitor's control stream failed at `{order}`")]
    Control {
        /// The order under way.
        order: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The monitor did not answer in time.
    #[error("the monitor did not answer `{order}` within {limit_ms} ms")]
    TimedOut {
        /// The order.
        order: String,
        /// The limit in milliseconds.
        limit_ms: u64,
    },
    /// The saved state could not be written or read.
    #[error("the monitor could not {action} {}: {reason}", path.display())]
    State {
        /// `save` or `load`.
        action: &'static str,
        /// The state file.
        path: PathBuf,
        /// The monitor's words.
        reason: String,
    },
}
