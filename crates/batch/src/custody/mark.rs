//! What tells a process from a later one with the same number.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use super::waiting;

/// A process, named beyond doubt within one boot of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessMark {
    /// Its number, as the host sees it.
    pub pid: i32,
    /// When it started, in clock ticks since the system booted (field 22 of `/proc/PID/stat`).
    pub start_ticks: u64,
}

/// What `/proc/PID/stat` says, as far as anybody here asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) state: char,
    pub(super) parent: i32,
    pub(super) start_ticks: u64,
}

/// Where the fields of interest are after the name, which may contain anything.
const STATE: usize = 0;
const PARENT: usize = 1;
const START: usize = 19;

impl ProcessMark {
    /// The mark of the process that has this number now; `None` if none has.
    pub(super) fn of(pid: i32) -> io::Result<Option<Self>> {
        Ok(stat(pid)?.map(|stat| Self { pid, start_ticks: stat.start_ticks }))
    }

    /// The mark of the process that asks.
    pub(crate) fn own() -> io::Result<Self> {
        let gone = || io::Error::new(io::ErrorKind::NotFound, "the kernel does not know us");
        Self::of(getpid().as_raw_nonzero().get())?.ok_or_else(gone)
    }

    /// Kills this very process, also a stopped one, and tells whether it was gone
    /// before its time was up.
    pub(crate) fn kill(self, patience: Duration) -> io::Result<bool> {
        let Some(descriptor) = self.open()? else { return Ok(true) };
        match pidfd_send_signal(&descriptor, Signal::KILL) {
            Ok(()) => waiting::until_ended(&descriptor, Instant::now() + patience),
            Err(Errno::SRCH) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether this very process lives, and does not just wait to be reaped.
    pub(super) fn is_alive(self) -> io::Result<bool> {
        let found = stat(self.pid)?;
        Ok(found.is_some_and(|stat| self.start_ticks == stat.start_ticks && stat.state != 'Z'))
    }

    /// A descriptor of this very process; `None` if it is gone, whoever has its
    /// number by now. The start time is compared after the descriptor is there,
    /// so nothing can come in between.
    pub(super) fn open(self) -> io::Result<Option<OwnedFd>> {
        let Some(descriptor) = open_pid(self.pid)? else { return Ok(None) };
        let same = stat(self.pid)?.is_some_and(|stat| stat.start_ticks == self.start_ticks);
        Ok(same.then_some(descriptor))
    }
}

/// A descriptor of whichever process has this number.
pub(super) fn open_pid(pid: i32) -> io::Result<Option<OwnedFd>> {
    let Some(pid) = Pid::from_raw(pid) else { return Ok(None) };
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(descriptor) => Ok(Some(descriptor)),
        Err(Errno::SRCH) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn stat(pid: i32) -> io::Result<Option<Stat>> {
    match fs::read(format!("/proc/{pid}/stat")) {
        // Its name may be any bytes, or a character cut in two.
        Ok(text) => parse(&String::from_utf8_lossy(&text)).map(Some).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "the kernel describes a process oddly")
        }),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a file below `/proc` is missing because its process is.
pub(super) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
}

fn parse(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    Some(Stat {
        state: fields.get(STATE)?.chars().next()?,
        parent: fields.get(PARENT)?.parse().ok()?,
        start_ticks: fields.get(START)?.parse().ok()?,
    })
}

/// Names this boot of the system; no process lives on in another one.
pub(super) fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_brackets_does_not_shift_the_fields() {
        let text = "7 (a) S 1 (b)) R 3 7 7 0 -1 4 1 0 0 0 1 2 3 4 20 0 1 0 4711 99 5";
        let expected = Stat { state: 'R', parent: 3, start_ticks: 4711 };
        assert_eq!(parse(text), Some(expected));
        assert_eq!(parse("7 (cut) R 3"), None);
    }

    #[test]
    fn a_name_that_is_no_text_is_read_over() {
        let named = std::thread::spawn(|| {
            fs::write("/proc/thread-self/comm", b"h\xff) R 1").unwrap();
            let own = rustix::thread::gettid().as_raw_nonzero().get();
            ProcessMark::of(own).unwrap()
        });
        assert!(named.join().unwrap().is_some());
    }

    #[test]
    fn a_number_that_somebody_else_has_by_now_is_not_opened() {
        let me = i32::try_from(std::process::id()).unwrap();
        let mark = ProcessMark::of(me).unwrap().unwrap();
        assert!(mark.open().unwrap().is_some() && mark.is_alive().unwrap());
        let earlier = ProcessMark { start_ticks: mark.start_ticks - 1, ..mark };
        assert!(earlier.open().unwrap().is_none() && !earlier.is_alive().unwrap());
    }
}
