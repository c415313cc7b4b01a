//! The one way in which a monitor process starts: confined, and ours.
//!
//! ```text
//! caller                      launching stage                    monitor
//!   │ plan + descriptors ──▶    (this program again,               │
//!   │ (one packet on stdin)      one thread)                       │
//!   │                            close what was inherited          │
//!   │                            session, umask, limits            │
//!   │                            user, group, death signal         │
//!   │                            Landlock, seccomp                 │
//!   │                            execve ─────────────────────────▶ │
//! ```
//!
//! The caller opens every file of the machine itself and hands over
//! descriptors, never names: so the monitor reaches files below directories
//! that its own user may not enter, and nothing else. The packet with the plan
//! and the descriptors waits in a socket that becomes the stage's standard
//! input, so no descriptor of the caller is ever inheritable, not even for a
//! moment, and processes that other threads start get none of them. The stage
//! receives them under the numbers [`FIRST_DESCRIPTOR`] and following, which
//! the caller can therefore write into the monitor's arguments beforehand.
//!
//! **Owner.** The kernel kills the monitor when the thread that called
//! [`Launcher::start`] ends ([`run`] arms this after the change of user, which
//! would disarm it, and then checks that its parent is still the expected one).
//!
//! **Failure paths.** A stage that fails writes nothing itself: [`run`] returns
//! a [`LaunchError`] with the step, its caller prints that to standard error
//! (a pipe to us) and exits, and the closed control stream tells the driver.
//! Landlock is best effort by the kernel's ABI ([`abilities`] says which); all
//! other steps must succeed or the monitor does not start.
//!
//! **Known limit.** QEMU before 8.2 opens the file behind the guest's memory
//! for writing even if it maps it privately, so there the monitor of a copy
//! could write to its template's RAM file. Who shares such a file must notice
//! changes (by its change time) and drop the template.

mod calls;
mod files;
mod handover;
mod plan;
mod stage;

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::{Deserialize, Serialize};
use tokio::process::{Child, Command};

pub use handover::{Descriptors, FIRST_DESCRIPTOR, MAX_DESCRIPTORS};
pub use plan::{LaunchPlan, Limits, Reopen, UidPolicy, UidUse};
pub use stage::{LaunchError, run};

/// How to start the launching stage: a program that calls [`run`] first thing
/// when it is given these arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launcher {
    /// The program, usually the running one.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

impl Launcher {
    /// Starts the stage, which becomes the plan's program. Standard error is a
    /// pipe, standard output goes nowhere, and dropping the child kills it.
    ///
    /// Must be called from a thread that lives as long as the monitor shall.
    pub fn start(&self, plan: LaunchPlan, descriptors: Descriptors) -> io::Result<Child> {
        let packet: OwnedFd = handover::send(plan, descriptors)?;
        Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .stdin(Stdio::from(packet))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
    }
}

/// What this host offers for the confinement of monitors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abilities {
    /// Landlock's ABI, as far as the launcher makes use of it; `None` if the
    /// kernel has no Landlock or does not enable it.
    pub landlock_abi: Option<u32>,
    /// Whether monitors would start as root unless their user is changed.
    pub runs_as_root: bool,
    /// Whether the kernel filters system calls.
    pub seccomp: bool,
}

/// Finds out what this host offers for the confinement of monitors.
pub fn abilities() -> Abilities {
    Abilities {
        landlock_abi: files::landlock_abi(),
        runs_as_root: rustix::process::geteuid().is_root(),
        seccomp: Path::new("/proc/sys/kernel/seccomp/actions_avail").exists(),
    }
}
