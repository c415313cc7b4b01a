//! The QEMU driver: KVM where there is one, emulation elsewhere.
//!
//! ```text
//! files ──▶ descriptors ──▶ command line ──▶ launcher ──▶ control ──▶ machine
//! ```
//!
//! Starting a machine opens its files, writes a command line that names them by
//! descriptor number only, and launches the confined monitor, which already
//! holds its ends of three socket pairs: control (QMP), agent and console. So
//! nothing is ever waited for at a path, and the agent's host end is connected
//! before the guest runs.
//!
//! | state    | enters by                                | leaves by |
//! |----------|------------------------------------------|-----------|
//! | starting | [`Driver::start`]                        | greeting answered; for a resume also state loaded and `cont` |
//! | running  | return of [`Driver::start`]              | save, pause, a disk's failure, guest's shutdown |
//! | halted   | save, pause, failed write                | [`Pausing::unpause`] (not after a save) |
//! | ended    | death of the monitor, for whatever reason | never |
//!
//! [`Pausing::unpause`]: crate::Pausing::unpause
//!
//! **Owner.** The machine that [`Driver::start`] returns owns the monitor;
//! dropping it kills the monitor, and so does the end of the thread that called
//! `start` (see [`crate::launcher`]).
//!
//! **Failure paths.** A monitor that ends while it starts is
//! [`MachineError::Ended`] with its last words; a state that it cannot load is
//! [`MachineError::State`]. A monitor that breaks the control protocol is taken
//! for compromised: it is killed, and the machine has ended.

mod command_line;
mod control;
mod drives;
mod files;
mod machine;
mod materialise;
mod messages;
mod monitor;
mod orders;
mod output;
mod process;
mod snapshot;
mod stream;

use std::cell::OnceCell;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixStream;

use crate::launcher::{Descriptors, LaunchPlan, Launcher, Limits, Reopen, UidPolicy};
use crate::{
    Accelerator, Driver, Machine, MachineError, MachineFuture, MachineSpec, Materialising,
    MonitorInfo, RamSharing, Start,
};
use command_line::Numbers;
use control::Control;
use drives::Drive;
use files::RamAccess;
use machine::QemuMachine;
use messages::MigrationStatus;
use monitor::Version;
use orders::{Memory, Order};
use process::{Process, is_hang_up};

/// Counts changes of the machine that a saved state depends on: devices, their
/// order, processor model. A state can be loaded by the same revision only.
pub const MACHINE_REVISION: u32 = 2;

/// Bytes of a MiB.
const MIB: u64 = 1024 * 1024;

/// Descriptors that a monitor may have open, those for later snapshots included.
const DESCRIPTOR_LIMIT: u64 = 1024;

/// Room in files beyond the largest drive or the memory: for metadata of
/// images and for a saved state. Images of large drives get an eighth more.
const FILE_HEADROOM_BYTES: u64 = 1024 * MIB;

/// How many times the guest's memory a snapshot's stream can hold: up to one and
/// a half before a guest that does not converge is halted, what it writes until
/// that is noticed, and all of it once more.
const STREAM_MEMORIES: u64 = 4;

/// Address space beyond the guest's memory. Mostly reserved and never touched:
/// up to 64 disk threads take a 64 MiB arena and an 8 MiB stack each, the
/// translation buffer, libraries and images of the kernel 0.5 GiB.
const ADDRESS_SPACE_HEADROOM_BYTES: u64 = 8 * 1024 * MIB;

/// Threads besides the virtual processors: up to 64 for disks, and the few
/// that every monitor has.
const THREAD_HEADROOM: u64 = 96;

/// How long a monitor may take to be up, in milliseconds. It takes about 25;
/// the limit is for a busy host and for KVM inside an emulated machine.
const START_LIMIT_MS: u64 = 60_000;

/// How long loading a state may take, in milliseconds. Without memory in it,
/// it takes about 4.
const LOAD_LIMIT_MS: u64 = 60_000;

/// Starts QEMU machines.
#[derive(Debug)]
pub struct Qemu {
    launcher: Launcher,
    user: UidPolicy,
    search_path: OsString,
    monitor: OnceCell<MonitorInfo>,
}

impl Qemu {
    /// A driver that looks for QEMU in the directories of `search_path` (as in
    /// `PATH`) and starts it through `launcher` as `user`.
    pub fn new(launcher: Launcher, user: UidPolicy, search_path: OsString) -> Self {
        Self { launcher, user, search_path, monitor: OnceCell::new() }
    }

    /// Saves the driver the search: the caller knows what [`Driver::monitor`]
    /// found earlier and that it is still true. Asking QEMU for its version
    /// takes about as long as starting a machine.
    #[must_use]
    pub fn with_monitor(self, monitor: MonitorInfo) -> Self {
        Self { monitor: OnceCell::from(monitor), ..self }
    }

    fn known_monitor(&self) -> Result<&MonitorInfo, MachineError> {
        if let Some(known) = self.monitor.get() {
            return Ok(known);
        }
        let found = monitor::find(&self.search_path)?;
        Ok(self.monitor.get_or_init(|| found))
    }

    async fn start_machine(&self, spec: &MachineSpec) -> Result<QemuMachine, MachineError> {
        let monitor = self.known_monitor()?;
        let mut machine = self.launch(spec, monitor)?;
        match machine.bring_up(&spec.start).await {
            Ok(()) => Ok(machine),
            Err(error) => Err(machine.explain_start(error, &spec.start).await),
        }
    }

    /// Starts the monitor; the guest may run already or wait for its state.
    fn launch(
        &self,
        spec: &MachineSpec,
        monitor: &MonitorInfo,
    ) -> Result<QemuMachine, MachineError> {
        let spawn = |source| MachineError::Spawn { program: monitor.program.clone(), source };
        let ram_access = match spec.ram.sharing {
            RamSharing::CopyOnWrite if Version::of(monitor).maps_read_only_files() => {
                RamAccess::Read
            }
            RamSharing::CopyOnWrite | RamSharing::Shared => RamAccess::ReadWrite,
        };
        let mut descriptors = Descriptors::new();
        let (control, control_number) = channel(&mut descriptors).map_err(spawn)?;
        let (agent, agent_number) = channel(&mut descriptors).map_err(spawn)?;
        let (console, console_number) = channel(&mut descriptors).map_err(spawn)?;
        let console_file = files::open_console(&spec.console)?;
        let opened = files::open(spec, self.user, ram_access, &mut descriptors)?;
        let disks = spec.disks.iter().zip(&opened.numbers.disks).enumerate();
        let drives: Vec<Drive> =
            disks.map(|(index, (disk, files))| Drive::at_start(index, disk, files)).collect();
        let numbers = Numbers {
            control: control_number,
            agent: agent_number,
            console: console_number,
            files: opened.numbers,
        };
        let arguments = command_line::arguments(spec, ram_access, &numbers, &drives);
        let (groups, devices) = match spec.accelerator {
            Accelerator::Kvm => kvm_access(Path::new("/dev/kvm"), self.user)?,
            Accelerator::Tcg => (Vec::new(), Vec::new()),
        };
        let plan = LaunchPlan {
            program: monitor.program.clone(),
            arguments,
            user: self.user,
            groups,
            limits: limits(spec, opened.largest_drive_bytes),
            devices,
        };
        let child = self.launcher.start(plan, descriptors).map_err(|source| {
            MachineError::Spawn { program: self.launcher.program.clone(), source }
        })?;
        let process = Process::new(child, Control::new(control));
        output::copy_console(console, console_file);
        let (accelerator, sharing) = (spec.accelerator, spec.ram.sharing);
        let bytes = memory_bytes(spec);
        Ok(QemuMachine::new(process, agent, accelerator, sharing, bytes, drives))
    }
}

impl Driver for Qemu {
    fn monitor(&self) -> Result<MonitorInfo, MachineError> {
        monitor::find(&self.search_path)
    }

    fn start<'a>(
        &'a self,
        spec: &'a MachineSpec,
    ) -> MachineFuture<'a, Result<Box<dyn Machine>, MachineError>> {
        Box::pin(async move {
            let machine = self.start_machine(spec).await?;
            Ok(Box::new(machine) as Box<dyn Machine>)
        })
    }

    fn materialising(&self) -> Option<&dyn Materialising> {
        Some(self)
    }
}

impl QemuMachine {
    /// Waits for the monitor and, for a resume, loads the state and lets the
    /// guest run. A booted guest runs as soon as the monitor is up.
    async fn bring_up(&mut self, start: &Start) -> Result<(), MachineError> {
        let control = &mut self.process.control;
        control.greet(START_LIMIT_MS).await?;
        let Start::Resume { state } = start else {
            return Ok(());
        };
        let file = std::fs::File::open(state)
            .map_err(|source| MachineError::File { path: state.clone(), source })?;
        control.execute(Order::MigrateSetCapabilities(Memory::InFile)).await?;
        control.execute_with(Order::Getfd, file).await?;
        control.execute(Order::MigrateIncoming).await?;
        match control.migrated(Order::MigrateIncoming, LOAD_LIMIT_MS).await? {
            MigrationStatus::Completed => control.execute(Order::Cont).await.map(drop),
            _ => Err(load_failed(state.clone(), "it gave no reason".to_owned())),
        }
    }

    /// Gives an error its reason: a monitor that fails to start or to load
    /// ends, and what it says then is better than that its stream ended.
    async fn explain_start(mut self, error: MachineError, start: &Start) -> MachineError {
        let loading = Order::MigrateIncoming.name();
        match (error, start) {
            (MachineError::State { action, path, .. }, _) => {
                let reason = self.process.see_off().await.to_string();
                MachineError::State { action, path, reason }
            }
            (MachineError::Control { order, source }, _) if !is_hang_up(&source) => {
                MachineError::Control { order, source }
            }
            (MachineError::Control { order, .. }, Start::Resume { state }) if order == loading => {
                load_failed(state.clone(), self.process.see_off().await.to_string())
            }
            (MachineError::Control { .. }, _) => MachineError::Ended(self.process.see_off().await),
            (other, _) => other,
        }
    }
}

fn load_failed(path: PathBuf, reason: String) -> MachineError {
    MachineError::State { action: "load", path, reason }
}

/// A stream to the monitor: our end, and the number of its end.
fn channel(descriptors: &mut Descriptors) -> io::Result<(UnixStream, u32)> {
    let (ours, theirs) = StdUnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let number = descriptors.add(OwnedFd::from(theirs), Reopen::Never);
    Ok((UnixStream::from_std(ours)?, number))
}

/// The groups that a monitor needs for the device, and the device. QEMU opens
/// it by its name, so as another user it depends on the device's permissions;
/// they are the host's business and left as they are.
fn kvm_access(device: &Path, user: UidPolicy) -> Result<(Vec<u32>, Vec<PathBuf>), MachineError> {
    let devices = vec![device.to_owned()];
    let UidPolicy::Drop { .. } = user else {
        return Ok((Vec::new(), devices));
    };
    let found = std::fs::metadata(device).map_err(files::at(device))?;
    let (everyone_can, group_can) = (found.mode() & 0o6 == 0o6, found.mode() & 0o60 == 0o60);
    if everyone_can {
        Ok((Vec::new(), devices))
    } else if group_can && found.gid() != 0 {
        Ok((vec![found.gid()], devices))
    } else {
        // Root's own group would open far more than the device.
        let what = "its permissions let no user but root open it";
        let source = io::Error::new(io::ErrorKind::PermissionDenied, what);
        Err(files::at(device)(source))
    }
}

fn memory_bytes(spec: &MachineSpec) -> u64 {
    u64::from(spec.shape.memory_mib).saturating_mul(MIB)
}

fn limits(spec: &MachineSpec, largest_drive_bytes: u64) -> Limits {
    let memory = memory_bytes(spec);
    let limits = drive_limits(largest_drive_bytes);
    let stream = memory.saturating_mul(STREAM_MEMORIES).saturating_add(FILE_HEADROOM_BYTES);
    Limits {
        file_bytes: limits.file_bytes.max(stream),
        address_space_bytes: memory.saturating_add(limits.address_space_bytes),
        threads: u64::from(spec.shape.cpus).saturating_add(limits.threads),
        ..limits
    }
}

/// What a monitor may use up that has drives and no guest.
fn drive_limits(largest_drive_bytes: u64) -> Limits {
    let drive = largest_drive_bytes.saturating_add(largest_drive_bytes / 8);
    Limits {
        descriptors: DESCRIPTOR_LIMIT,
        file_bytes: drive.saturating_add(FILE_HEADROOM_BYTES),
        address_space_bytes: ADDRESS_SPACE_HEADROOM_BYTES,
        threads: THREAD_HEADROOM,
    }
}
