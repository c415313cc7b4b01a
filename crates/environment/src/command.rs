//! Runs a program of the host: bounded, observed, and never left behind.
//!
//! ```text
//! started ──▶ streaming ──▶ drained ──▶ reaped
//!    │            │ cancelled, or the consumer failed
//!    │            └──▶ the whole process group is killed ──▶ reaped
//!    └ the thread that started it dies ──▶ the kernel kills it
//! ```
//!
//! One thread serves output, error stream and cancellation through `poll`; the
//! consumer of the output pulls from [`Read`] and so never blocks the others.
//! Of the error stream only a bounded tail is kept.

use std::collections::VecDeque;
use std::env::var_os;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::cancel::Cancel;
use crate::error::{EnvironmentError, is_storage_full};

/// Where programs are looked for. System directories only: what a user has put
/// before them shall not decide what an image holds.
const PROGRAM_DIRECTORIES: &[&str] = &["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// What programs inherit of the caller's variables: how the network is reached.
const INHERITED: &[&str] = &[
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// The `PATH` of every program, for what it starts in turn.
const PROGRAM_PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// How long a request to stop may go unnoticed, in nanoseconds.
const POLL_NANOSECONDS: i64 = 50_000_000;

/// How many lines of the error stream are kept.
const TAIL_LINES: usize = 30;

/// How many bytes of one line are kept.
const LINE_BYTES: usize = 1024;

/// How many bytes are read from the error stream at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// Below this many free bytes a failure is put down to the storage being full.
const FULL_BYTES: u64 = 4 * 1024 * 1024;

/// What tools write when storage is full: the C library's texts for `ENOSPC`
/// and `EDQUOT`, and the package manager's own check in advance.
const FULL_TEXTS: &[&str] =
    &["No space left on device", "Disk quota exceeded", "enough free space in"];

/// Looks a program up in the system's directories.
pub(crate) fn find_program(program: &str) -> Option<PathBuf> {
    PROGRAM_DIRECTORIES
        .iter()
        .map(|directory| Path::new(directory).join(program))
        .find(|path| rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok())
}

/// A program that will be run.
#[derive(Debug)]
pub(crate) struct Invocation {
    program: &'static str,
    command: Command,
    storage: PathBuf,
}

/// What a program does, while it does it.
#[derive(Debug)]
pub(crate) enum Observed<'a> {
    /// It wrote a line to its error stream.
    Line(&'a str),
    /// It has written so many bytes to its output.
    Output(u64),
}

/// How a program ended when it did not end well.
#[derive(Debug)]
pub(crate) struct Exit {
    pub(crate) program: &'static str,
    pub(crate) status: ExitStatus,
    pub(crate) tail: String,
}

/// Why a run has no result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The program said so; the caller may know better what that means.
    Exit(Exit),
    /// Everything that means the same for every program.
    Other(EnvironmentError),
}

impl From<Failure> for EnvironmentError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Exit(Exit { program, status, tail }) => {
                Self::ToolFailed { program, status, tail }
            }
            Failure::Other(error) => error,
        }
    }
}

impl Invocation {
    /// Prepares to run `program`, whose `package` is named when it is missing.
    /// `storage` is where it writes: that is what is full when it says so.
    pub(crate) fn new(
        program: &'static str,
        package: &'static str,
        storage: &Path,
    ) -> Result<Self, EnvironmentError> {
        Self::wrapped(&[], program, package, storage)
    }

    /// Like [`Self::new`], behind other programs that become it.
    pub(crate) fn wrapped(
        wrapper: &[&OsStr],
        program: &'static str,
        package: &'static str,
        storage: &Path,
    ) -> Result<Self, EnvironmentError> {
        let path =
            find_program(program).ok_or(EnvironmentError::ToolMissing { program, package })?;
        let guard = find_program("setpriv")
            .ok_or(EnvironmentError::ToolMissing { program: "setpriv", package: "util-linux" })?;
        // The program must not outlive this process, not even when that is
        // killed: half a build would go on writing into a swept directory.
        let mut command = Command::new(guard);
        command.args(["--pdeathsig", "KILL", "--"]).args(wrapper).arg(path);
        // Whatever else is set where the caller runs shall not shape what is
        // built: a library path or an option of a tool has broken builds.
        command.env_clear().envs(INHERITED.iter().filter_map(|&key| Some((key, var_os(key)?))));
        command.env("LC_ALL", "C.UTF-8").env("PATH", PROGRAM_PATH).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(Self { program, command, storage: storage.to_owned() })
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    pub(crate) fn args(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    pub(crate) fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Gives the program a file to read from. With the lock of a staging entry
    /// that entry stays locked while any descendant of the program lives.
    pub(crate) fn stdin(mut self, file: File) -> Self {
        self.command.stdin(file);
        self
    }

    /// Runs the program, whose output nobody needs.
    pub(crate) fn run(self, cancel: &Cancel) -> Result<(), Failure> {
        self.stream(cancel, &mut |_| {}, |output| io::copy(output, &mut io::sink()).map(drop))
    }

    /// Runs the program; `consume` takes its output.
    pub(crate) fn stream<T>(
        mut self,
        cancel: &Cancel,
        observe: &mut dyn FnMut(Observed<'_>),
        consume: impl FnOnce(&mut dyn Read) -> io::Result<T>,
    ) -> Result<T, Failure> {
        let Self { program, storage, .. } = self;
        if cancel.is_cancelled() {
            return Err(Failure::Other(EnvironmentError::Cancelled));
        }
        let start = |source| Failure::Other(EnvironmentError::ToolStart { program, source });
        let mut child = self.command.spawn().map_err(start)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        if let Some(stderr) = &stderr {
            rustix::io::ioctl_fionbio(stderr, true).map_err(|error| start(error.into()))?;
        }
        let mut running = Running {
            child: Reaper(child),
            stdout,
            stderr,
            cancel,
            observe,
            tail: Tail::default(),
            output: 0,
        };
        let consumed = consume(&mut running);
        if let Err(source) = &consumed {
            running.child.kill();
            let full = is_storage_full(source) || running.tail.full;
            if cancel.is_cancelled() {
                return Err(Failure::Other(EnvironmentError::Cancelled));
            }
            if full {
                return Err(Failure::Other(EnvironmentError::HostStorageFull { path: storage }));
            }
        }
        let status = running.finish().map_err(|source| {
            Failure::Other(if cancel.is_cancelled() {
                EnvironmentError::Cancelled
            } else {
                EnvironmentError::ToolStart { program, source }
            })
        })?;
        match consumed {
            Ok(value) if status.success() => Ok(value),
            Ok(_) => {
                let tail = running.tail;
                if tail.full || is_nearly_full(&storage) {
                    return Err(Failure::Other(EnvironmentError::HostStorageFull {
                        path: storage,
                    }));
                }
                Err(Failure::Exit(Exit { program, status, tail: tail.text() }))
            }
            Err(source) => {
                Err(Failure::Other(EnvironmentError::io("take in output for", &storage)(source)))
            }
        }
    }
}

/// Whether hardly anything can be written at a place.
fn is_nearly_full(path: &Path) -> bool {
    rustix::fs::statvfs(path)
        .is_ok_and(|stat| stat.f_bavail.saturating_mul(stat.f_frsize) < FULL_BYTES)
}

/// Kills and reaps a child that is dropped before it has ended.
#[derive(Debug)]
struct Reaper(Child);

impl Reaper {
    fn kill(&mut self) {
        if let Some(group) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            // The group is gone when every member has ended, which is the aim.
            let _gone = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            self.kill();
            // Nothing else can be done about a child that cannot be reaped.
            let _status = self.0.wait();
        }
    }
}

struct Running<'a> {
    child: Reaper,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    cancel: &'a Cancel,
    observe: &'a mut dyn FnMut(Observed<'_>),
    tail: Tail,
    output: u64,
}

impl Running<'_> {
    /// Waits a little for output or lines. Tells whether output is there.
    fn turn(&mut self) -> io::Result<bool> {
        if self.cancel.is_cancelled() {
            self.child.kill();
            return Err(io::Error::other("cancelled"));
        }
        let timeout = Timespec { tv_sec: 0, tv_nsec: POLL_NANOSECONDS };
        let mut fds = Vec::with_capacity(2);
        if let Some(stderr) = &self.stderr {
            fds.push(PollFd::from_borrowed_fd(stderr.as_fd(), PollFlags::IN));
        }
        if let Some(stdout) = &self.stdout {
            fds.push(PollFd::from_borrowed_fd(stdout.as_fd(), PollFlags::IN));
        }
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = self.stdout.is_some() && fds.last().is_some_and(|fd| !fd.revents().is_empty());
        drop(fds);
        self.drain_stderr()?;
        Ok(ready)
    }

    fn drain_stderr(&mut self) -> io::Result<()> {
        let Some(stderr) = &mut self.stderr else { return Ok(()) };
        let mut chunk = vec![0; CHUNK_BYTES];
        match stderr.read(&mut chunk) {
            Ok(0) => self.stderr = None,
            Ok(count) => {
                let read = chunk.get(..count).unwrap_or_default();
                self.tail.feed(read, &mut |line| (self.observe)(Observed::Line(line)));
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Waits for the end. A daemon that the program left behind may keep the
    /// error stream open, so the program's own end decides, not the stream's.
    fn finish(&mut self) -> io::Result<ExitStatus> {
        self.stdout = None;
        loop {
            if let Some(status) = self.child.0.try_wait()? {
                self.drain_stderr()?;
                self.tail.end();
                return Ok(status);
            }
            self.turn()?;
        }
    }
}

impl Read for Running<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.turn()? {
                let Some(stdout) = &mut self.stdout else { return Ok(0) };
                let count = stdout.read(buffer)?;
                self.output = self.output.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
                if count > 0 {
                    (self.observe)(Observed::Output(self.output));
                }
                return Ok(count);
            }
        }
    }
}

/// The last lines of an error stream.
#[derive(Debug, Default)]
struct Tail {
    lines: VecDeque<String>,
    partial: Vec<u8>,
    full: bool,
}

impl Tail {
    fn feed(&mut self, bytes: &[u8], on_line: &mut dyn FnMut(&str)) {
        for &byte in bytes {
            match byte {
                b'\n' | b'\r' => {
                    if let Some(line) = self.end() {
                        on_line(&line);
                    }
                }
                _ if self.partial.len() < LINE_BYTES => self.partial.push(byte),
                _ => {}
            }
        }
    }

    fn end(&mut self) -> Option<String> {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.partial)).into_owned();
        if line.is_empty() {
            return None;
        }
        self.full |= FULL_TEXTS.iter().any(|text| line.contains(text));
        if self.lines.len() == TAIL_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line.clone());
        Some(line)
    }

    fn text(&self) -> String {
        Vec::from(self.lines.clone()).join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Invocation {
        let directory = std::env::temp_dir();
        Invocation::new("sh", "dash", &directory).unwrap().args(&["-c", script])
    }

    #[test]
    fn the_tail_of_a_failure_is_told() {
        let failure = shell("seq 100 >&2; exit 3").run(&Cancel::new()).unwrap_err();
        let Failure::Exit(exit) = failure else { panic!("{failure:?}") };
        assert_eq!(exit.status.code(), Some(3));
        assert_eq!(exit.tail.lines().count(), TAIL_LINES);
        assert!(exit.tail.ends_with("100"));
    }

    #[test]
    fn a_tool_that_reports_a_full_disk_is_believed() {
        let error = shell("echo 'x: No space left on device' >&2; exit 1").run(&Cancel::new());
        assert!(matches!(error, Err(Failure::Other(EnvironmentError::HostStorageFull { .. }))));
    }

    #[test]
    fn cancelling_kills_the_whole_group() {
        let cancel = Cancel::new();
        let asked = cancel.clone();
        let started = std::time::Instant::now();
        let mut observe = |observed: Observed<'_>| {
            if matches!(observed, Observed::Line("go")) {
                asked.cancel();
            }
        };
        let result =
            shell("sleep 60 & echo go >&2; wait")
                .stream(&cancel, &mut observe, |output| io::copy(output, &mut io::sink()));
        assert!(matches!(result, Err(Failure::Other(EnvironmentError::Cancelled))));
        assert!(started.elapsed().as_secs() < 10);
    }

    #[test]
    fn a_daemon_that_keeps_the_error_stream_does_not_hold_the_run_up() {
        let started = std::time::Instant::now();
        shell("sleep 5 >/dev/null & exit 0").run(&Cancel::new()).unwrap();
        assert!(started.elapsed().as_secs() < 4);
    }
}
