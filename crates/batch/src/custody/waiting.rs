//! Waits for what the kernel tells by readiness of descriptors.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Whether the process of a pidfd ended before the deadline.
pub(super) fn until_ended(pidfd: impl AsFd, deadline: Instant) -> io::Result<bool> {
    until(&mut [PollFd::new(&pidfd, PollFlags::IN)], deadline)
}

/// Whether a group got empty, as its `cgroup.events` tells, before the deadline.
pub(super) fn until_unpopulated(events: &Path, deadline: Instant) -> io::Result<bool> {
    let file = match fs::File::open(events) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    loop {
        // Reading takes note of the state; poll then tells of later changes.
        let mut text = [0; 128];
        let read = match rustix::io::pread(&file, &mut text, 0) {
            Ok(read) => read,
            Err(Errno::NODEV) => return Ok(true),
            Err(error) => return Err(error.into()),
        };
        let text = text.get(..read).unwrap_or_default();
        if text.split(|byte| *byte == b'\n').any(|line| line == b"populated 0") {
            return Ok(true);
        }
        if !until(&mut [PollFd::new(&file, PollFlags::PRI)], deadline)? {
            return Ok(false);
        }
    }
}

/// Whether any of the descriptors got ready before the deadline.
fn until(descriptors: &mut [PollFd<'_>], deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match poll(descriptors, Some(&timespec(left))) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn timespec(left: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(left.subsec_nanos()),
    }
}
