//! Kills all processes of an entry and proves that none is left.
//!
//! ```text
//! struck ──▶ warden dead ──▶ group removed ──▶ empty
//!    └────────────┴──── deadline ──▶ stuck: told, kept in the registry
//! ```
//!
//! The warden goes first: a door that it had just started then finds its parent
//! gone and does not open, and what entered the group before that is in it when
//! the group is emptied. The first process of a PID namespace is reported dead by
//! the kernel only after all others in it are.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Signal, pidfd_send_signal};

use super::cgroup::{Cgroup, Removal};
use super::mark::ProcessMark;
use super::survey;
use super::waiting;

/// How long the kernel may take to end what was killed. It takes milliseconds
/// unless a process waits inside the kernel, for a dead network disk say.
const KILL_DEADLINE: Duration = Duration::from_secs(10);

/// What came of an attempt to end an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    /// Nothing is left. These were alive, as far as anybody looked.
    Empty(Vec<i32>),
    /// These live on.
    Stuck(Vec<i32>),
}

/// Processes that were killed and are not proved gone yet.
#[derive(Debug)]
pub(super) struct Struck {
    wardens: Vec<(ProcessMark, OwnedFd)>,
    cgroup: Option<Cgroup>,
    killed: Vec<i32>,
}

/// Kills and waits; blocks up to [`KILL_DEADLINE`].
pub(super) fn end(wardens: &[ProcessMark], cgroup: Option<&Cgroup>) -> io::Result<Ending> {
    strike(wardens, cgroup)?.confirm(Instant::now() + KILL_DEADLINE)
}

/// Kills everything and does not wait, so that many can be killed at once.
pub(super) fn strike(wardens: &[ProcessMark], cgroup: Option<&Cgroup>) -> io::Result<Struck> {
    let mut struck = Struck { wardens: Vec::new(), cgroup: cgroup.cloned(), killed: Vec::new() };
    if let Some(cgroup) = cgroup {
        struck.killed.extend(cgroup.members()?);
    }
    for mark in wardens {
        // Whoever else has the number by now is not opened.
        let Some(descriptor) = mark.open()? else { continue };
        struck.killed.extend(survey::namespace_of(*mark)?);
        struck.killed.extend(mark.is_alive()?.then_some(mark.pid));
        struck.wardens.push((*mark, descriptor));
    }
    for (_, descriptor) in &struck.wardens {
        match pidfd_send_signal(descriptor, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if let Some(cgroup) = cgroup {
        cgroup.kill()?;
    }
    struck.killed.sort_unstable();
    struck.killed.dedup();
    Ok(struck)
}

impl Struck {
    /// Waits until nothing is left.
    pub(super) fn confirm(self, deadline: Instant) -> io::Result<Ending> {
        let mut left = Vec::new();
        for (mark, descriptor) in &self.wardens {
            if !waiting::until_ended(descriptor, deadline)? {
                left.push(mark.pid);
                left.extend(survey::namespace_of(*mark)?);
            }
        }
        if let Some(cgroup) = &self.cgroup
            && let Removal::StillThere(members) = cgroup.remove(deadline)?
        {
            left.extend(members);
        }
        Ok(if left.is_empty() { Ending::Empty(self.killed) } else { Ending::Stuck(left) })
    }
}
