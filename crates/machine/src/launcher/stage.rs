//! The launching stage: confines itself and becomes the monitor.
//!
//! The order of the steps matters. What was inherited is closed before the
//! plan's descriptors arrive, so that they get the expected numbers. The user
//! is changed before the death signal is armed, because the change disarms it.
//! Landlock comes after everything that opens files, the call filter last.

use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use rustix::fs::Mode;
use rustix::io::FdFlags;
use rustix::process::{Resource, Rlimit, Signal};
use rustix::thread::{Gid, Uid};

use super::handover::{self, FIRST_DESCRIPTOR, Packet};
use super::plan::{Limits, Reopen, UidPolicy, UidUse};
use super::{calls, files};

/// A step of the launching stage that failed.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// Confinement is per thread, so there must be one only.
    #[error("the launching stage has {threads} threads instead of one")]
    Threads {
        /// How many there are.
        threads: usize,
    },
    /// Inherited descriptors could not be closed.
    #[error("cannot close inherited descriptors")]
    Close(#[source] io::Error),
    /// The plan did not arrive whole.
    #[error("cannot read the launch plan from standard input")]
    Plan(#[source] io::Error),
    /// The calling process is gone.
    #[error("process {expected} started this stage, but {found:?} is its parent now")]
    Orphaned {
        /// The parent named in the plan.
        expected: u32,
        /// The parent found.
        found: Option<i32>,
    },
    /// A property of the process could not be set.
    #[error("cannot set the {what}")]
    Property {
        /// Which one.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// File access could not be confined.
    #[error("cannot confine file access")]
    Files(#[source] landlock::RulesetError),
    /// System calls could not be confined.
    #[error("cannot confine system calls")]
    Calls(#[source] seccompiler::Error),
    /// The monitor could not be executed.
    #[error("cannot execute {}", program.display())]
    Execute {
        /// The monitor.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Becomes the monitor that the plan on standard input describes; returns only
/// if that fails. The process must be fresh: one thread, and no descriptor
/// open that it still needs, since all from [`FIRST_DESCRIPTOR`] on are closed.
pub fn run() -> Result<Infallible, LaunchError> {
    let threads = count_entries("/proc/self/task").map_err(LaunchError::Close)?;
    if threads != 1 {
        return Err(LaunchError::Threads { threads });
    }
    close_inherited().map_err(LaunchError::Close)?;
    let (Packet { plan, parent, reopen }, received) =
        handover::receive(rustix::stdio::stdin()).map_err(LaunchError::Plan)?;
    let descriptors: Vec<(OwnedFd, Reopen)> = received.into_iter().zip(reopen).collect();

    let null = std::fs::File::open("/dev/null").map_err(property("standard input"))?;
    rustix::stdio::dup2_stdin(&null).map_err(property("standard input"))?;
    drop(null);
    // A key press in the caller's terminal must not reach the monitor.
    rustix::process::setsid().map_err(property("session"))?;
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    limit(plan.limits, plan.user)?;
    change_user(plan.user, &plan.groups)?;

    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(property("death signal"))?;
    let found = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    if found.and_then(|pid| u32::try_from(pid).ok()) != Some(parent) {
        return Err(LaunchError::Orphaned { expected: parent, found });
    }

    rustix::thread::set_no_new_privs(true).map_err(property("ban on new privileges"))?;
    for (descriptor, _) in &descriptors {
        rustix::io::fcntl_setfd(descriptor, FdFlags::empty())
            .map_err(property("inheritance of descriptors"))?;
    }
    files::confine(&plan.program, &plan.devices, &descriptors).map_err(LaunchError::Files)?;
    calls::confine().map_err(LaunchError::Calls)?;
    let source = Command::new(&plan.program).args(&plan.arguments).env_clear().exec();
    Err(LaunchError::Execute { program: plan.program, source })
}

/// Closes every descriptor but the three standard ones.
fn close_inherited() -> io::Result<()> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    let first = i32::try_from(FIRST_DESCRIPTOR).unwrap_or(i32::MAX);
    for number in numbers.into_iter().filter(|number| *number >= first) {
        match nix::unistd::close(number) {
            // The listing held its own descriptor, which is closed already.
            Ok(()) | Err(nix::Error::EBADF) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

fn limit(limits: Limits, user: UidPolicy) -> Result<(), LaunchError> {
    let mut set = vec![
        (Resource::Core, 0, "limit of core dumps"),
        (Resource::Nofile, limits.descriptors, "limit of descriptors"),
        (Resource::Fsize, limits.file_bytes, "limit of file sizes"),
        (Resource::As, limits.address_space_bytes, "limit of address space"),
    ];
    if let UidPolicy::Drop { uid_use: UidUse::Dedicated, .. } = user {
        set.push((Resource::Nproc, limits.threads, "limit of threads"));
    }
    for (resource, value, what) in set {
        // An ordinary user cannot raise a limit that is lower already.
        let ceiling = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let value = Some(value.min(ceiling));
        rustix::process::setrlimit(resource, Rlimit { current: value, maximum: value })
            .map_err(property(what))?;
    }
    Ok(())
}

/// Leaves root for good: real, effective and saved ids change together, and
/// with the user id go all capabilities.
fn change_user(user: UidPolicy, groups: &[u32]) -> Result<(), LaunchError> {
    let UidPolicy::Drop { uid, gid, .. } = user else {
        return Ok(());
    };
    let groups: Vec<Gid> = groups.iter().copied().map(Gid::from_raw).collect();
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    rustix::thread::set_thread_groups(&groups).map_err(property("groups"))?;
    rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(property("group"))?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(property("user"))?;
    Ok(())
}

fn count_entries(directory: &str) -> io::Result<usize> {
    std::fs::read_dir(directory)?.try_fold(0, |count, entry| entry.map(|_| count + 1))
}

fn property<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> LaunchError {
    move |source| LaunchError::Property { what, source: source.into() }
}
