//! What only a real guest can do: become somebody, mount its drive, sync.

use std::fmt::Debug;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use guest_protocol::message::Begin;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{MountFlags, mount};
use rustix::time::{ClockId, Timespec, clock_settime};

use crate::identity;
use crate::sys;

const GENERATOR: &str = "/dev/urandom";
const DRIVE: &str = "/dev/vdb";
const WORKSPACE: &str = "/workspace";
/// The images are sparse and made with untouched inode tables. The kernel would
/// zero these in the background, which costs time and disk space of each copy.
pub(crate) const EXT4_OPTIONS: &str = "noinit_itable";
/// Where in memory the files lie that say who the machine is.
pub(crate) const IDENTITY: &str = "/run/hotcell";

/// The machine that the agent runs on, or a stand-in.
pub trait Machine: Debug + Send + Sync {
    /// Takes on the identity that the host gives it, all of it or an error.
    ///
    /// # Errors
    ///
    /// Naming the step that failed.
    fn begin(&self, begin: &Begin) -> Result<(), MachineError>;

    /// Mounts the workspace drive. May take long.
    ///
    /// # Errors
    ///
    /// Naming the step that failed.
    fn mount_workspace(&self) -> Result<(), MachineError>;

    /// Writes everything to the disks. May take long.
    ///
    /// # Errors
    ///
    /// If the machine cannot tell that everything was written.
    fn sync(&self) -> Result<(), MachineError>;
}

/// A step that failed.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The host name is none.
    #[error("`{0}` is no host name")]
    HostName(String),
    /// The machine id is none.
    #[error("`{0}` is no machine id")]
    MachineId(String),
    /// The clock was not set.
    #[error("cannot set the clock to {unix_time_ns} ns")]
    Clock {
        /// What it should show.
        unix_time_ns: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The kernel did not take the host name.
    #[error("cannot set the host name")]
    SetHostName(#[source] io::Error),
    /// A file that carries the identity was not written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The random generator did not take the host's bytes.
    #[error("cannot add entropy through {GENERATOR}")]
    Entropy(#[source] io::Error),
    /// The drive cannot be opened.
    #[error("cannot open the drive {DRIVE}")]
    OpenDrive(#[source] io::Error),
    /// The kernel still caches what the drive held before.
    #[error("cannot drop what is cached of {DRIVE}")]
    FlushDrive(#[source] io::Error),
    /// The drive holds no file system that can be mounted.
    #[error("cannot mount {DRIVE} on {WORKSPACE}")]
    MountDrive(#[source] io::Error),
}

/// The machine that this process is PID 1 of.
#[derive(Debug, Clone, Copy, Default)]
pub struct Guest;

impl Machine for Guest {
    fn begin(&self, begin: &Begin) -> Result<(), MachineError> {
        identity::check(begin)?;
        add_entropy(begin)?;
        set_clock(begin.unix_time_ns)?;
        rustix::system::sethostname(begin.host_name.as_bytes())
            .map_err(|error| MachineError::SetHostName(error.into()))?;
        identity::write(Path::new(IDENTITY), begin)
    }

    fn mount_workspace(&self) -> Result<(), MachineError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let drive = rustix::fs::openat(CWD, DRIVE, flags, Mode::empty())
            .map_err(|error| MachineError::OpenDrive(error.into()))?;
        // The machine may have looked at the drive before it was saved, and
        // been resumed with another one in its place.
        sys::flush_buffers(drive.as_fd()).map_err(MachineError::FlushDrive)?;
        let options = std::ffi::CString::new(EXT4_OPTIONS).unwrap_or_default();
        mount(DRIVE, WORKSPACE, "ext4", MountFlags::NOATIME, options.as_c_str())
            .map_err(|error| MachineError::MountDrive(error.into()))?;
        // What the file system keeps for its own repair is no part of the tree.
        let _ = std::fs::remove_dir(Path::new(WORKSPACE).join("lost+found"));
        Ok(())
    }

    fn sync(&self) -> Result<(), MachineError> {
        rustix::fs::sync();
        Ok(())
    }
}

fn add_entropy(begin: &Begin) -> Result<(), MachineError> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let generator = rustix::fs::openat(CWD, GENERATOR, flags, Mode::empty())
        .map_err(|error| MachineError::Entropy(error.into()))?;
    sys::add_entropy(generator.as_fd(), begin.entropy).map_err(MachineError::Entropy)
}

fn set_clock(unix_time_ns: u64) -> Result<(), MachineError> {
    const SECOND: u64 = 1_000_000_000;
    let refused = |source| MachineError::Clock { unix_time_ns, source };
    let tv_sec = i64::try_from(unix_time_ns / SECOND)
        .map_err(|_| refused(io::ErrorKind::InvalidInput.into()))?;
    let tv_nsec = i64::try_from(unix_time_ns % SECOND)
        .map_err(|_| refused(io::ErrorKind::InvalidInput.into()))?;
    clock_settime(ClockId::Realtime, Timespec { tv_sec, tv_nsec })
        .map_err(|error| refused(error.into()))
}
