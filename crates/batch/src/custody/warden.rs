//! The two small programs between an engine and an agent.
//!
//! A **warden** is the parent of one agent. It runs nothing before it is given
//! the plan, it tells how the agent ended, and as soon as the engine is gone or
//! the agent has ended it empties the group. In a PID namespace it is the first
//! process, so its own end is enough. It adopts and buries orphans, so that no
//! system without a proper first process fills up with them.
//!
//! The **door** is what the warden starts: it enters the cgroup, asks the kernel
//! to be killed with the warden, and becomes the agent. So an agent's first
//! instruction is inside the group already.
//!
//! | killed | what ends the agent | what ends its descendants |
//! |---|---|---|
//! | engine | the warden | the warden |
//! | warden | the kernel | the kernel in a namespace; else the engine, or the next one |
//! | both at once | the kernel | the same |

use std::convert::Infallible;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, FdFlags};
use rustix::pipe::PipeFlags;
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, WaitOptions, WaitStatus, pidfd_open,
    pidfd_send_signal,
};

use super::cgroup::Cgroup;
use super::wire::{self, FromWarden, Plan, Status, Streams, ToWarden};

/// The hidden subcommand that is a warden. What follows tells whoever looks at the
/// process list whose it is: the registry's root, the entry, the cgroup or
/// `NO_CGROUP`.
pub const WARDEN_SUBCOMMAND: &str = "custody-warden";

/// The hidden subcommand that is a door.
pub const DOOR_SUBCOMMAND: &str = "custody-door";

/// Stands for the cgroup where there is none.
pub(super) const NO_CGROUP: &str = "-";

/// The argument that names the cgroup.
pub(super) fn group_argument(cgroup: Option<&Cgroup>) -> &Path {
    cgroup.map_or_else(|| Path::new(NO_CGROUP), Cgroup::path)
}

/// How much of the door's complaint is read, in bytes.
const COMPLAINT_BYTES_MAX: u64 = 2048;

/// Runs a warden, whose engine is at the other end of standard input.
#[must_use]
pub fn run_warden() -> ExitCode {
    match keep() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the warden failed");
            ExitCode::FAILURE
        }
    }
}

/// Runs a door; returns only if it could not become the agent.
#[must_use]
pub fn run_door() -> ExitCode {
    // The warden has been told why.
    match pass() {
        Ok(never) => match never {},
        Err(_) => ExitCode::FAILURE,
    }
}

fn keep() -> io::Result<()> {
    // The argument after the root and the entry, counted from the end so that
    // any launcher may come before.
    let cgroup = std::env::args_os().next_back().filter(|last| last != NO_CGROUP);
    let cgroup = cgroup.map(|path| Cgroup::at(PathBuf::from(path)));
    // A key press in the engine's terminal is for the engine; a failure only
    // means that this leads a session already.
    let _ = rustix::process::setsid();
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let engine = io::stdin().as_fd().try_clone_to_owned()?;
    wire::send(&engine, &FromWarden::Ready)?;
    // Whatever comes of it, nothing of the entry is left behind.
    let kept = keep_with(&engine, cgroup.as_ref());
    if let Some(cgroup) = &cgroup {
        cgroup.kill()?;
    }
    kept
}

fn keep_with(engine: &OwnedFd, cgroup: Option<&Cgroup>) -> io::Result<()> {
    let Some(received) = wire::receive::<ToWarden>(engine)? else { return Ok(()) };
    let (plan, streams) = received.into_plan()?;
    let leader = match start(&plan, streams, cgroup) {
        Ok(leader) => leader,
        Err(error) => return wire::send(engine, &FromWarden::refused(&error)),
    };
    let descriptor = pidfd_open(leader, PidfdFlags::empty())?;
    wire::send(engine, &FromWarden::Started)?;
    let (buried, news) = bury(leader)?;
    loop {
        let mut ready = [PollFd::new(&news, PollFlags::IN), PollFd::new(engine, PollFlags::IN)];
        match poll(&mut ready, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        if !ready[0].revents().is_empty() {
            let status = buried.recv().map_err(io::Error::other)?;
            return wire::send(engine, &FromWarden::Ended(status));
        }
        if !ready[1].revents().is_empty() {
            match wire::receive::<ToWarden>(engine)? {
                // If it has ended meanwhile the other news comes next.
                Some(_) => match pidfd_send_signal(&descriptor, Signal::TERM) {
                    Ok(()) | Err(Errno::SRCH) => {}
                    Err(error) => return Err(error.into()),
                },
                None => return Ok(()),
            }
        }
    }
}

/// Starts the door and waits until it has become the agent.
fn start(plan: &Plan, streams: Streams, cgroup: Option<&Cgroup>) -> io::Result<Pid> {
    let (door, arguments) = plan
        .door
        .split_first()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "there is no door"))?;
    let (complaint, complains) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    // Nothing else is started here that could inherit it.
    rustix::io::fcntl_setfd(&complains, FdFlags::empty())?;
    let child = Command::new(door)
        .args(arguments)
        .arg(rustix::process::getpid().as_raw_nonzero().get().to_string())
        .arg(complains.as_raw_fd().to_string())
        .arg(group_argument(cgroup))
        .arg(&plan.program)
        .args(&plan.arguments)
        .env_clear()
        .envs(plan.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&plan.directory)
        .stdin(Stdio::from(streams.stdin))
        .stdout(Stdio::from(streams.stdout))
        .stderr(Stdio::from(streams.stderr))
        .spawn()
        .map_err(|error| {
            let directory = plan.directory.display();
            io::Error::new(error.kind(), format!("cannot start it in {directory}: {error}"))
        })?;
    drop(complains);
    let mut said = String::new();
    // Its end without a word means that the descriptor was closed by `execve`.
    File::from(complaint).take(COMPLAINT_BYTES_MAX).read_to_string(&mut said)?;
    if !said.is_empty() {
        return Err(io::Error::other(said));
    }
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| io::Error::other("the kernel gave it no number"))
}

/// Waits for every child, own and adopted, on a thread of its own. The leader's
/// end is told, and made known by the pipe's end.
fn bury(leader: Pid) -> io::Result<(mpsc::Receiver<Status>, OwnedFd)> {
    let (news, tells) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    let (sender, receiver) = mpsc::channel();
    let work = move || {
        let mut tells = Some(tells);
        loop {
            match rustix::process::wait(WaitOptions::empty()) {
                Ok(Some((pid, status))) if pid == leader => {
                    // Nobody hears it any more if the engine went away first.
                    let _ = sender.send(judge(status));
                    drop(tells.take());
                }
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    };
    thread::Builder::new().name("bury".into()).spawn(work)?;
    Ok((receiver, news))
}

fn judge(status: WaitStatus) -> Status {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Status::Exited(code),
        (None, signal) => Status::Signalled(signal.unwrap_or_default()),
    }
}

fn pass() -> io::Result<Infallible> {
    let mut arguments = std::env::args_os().skip(2);
    let mut next = || arguments.next().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput));
    let number = |text: std::ffi::OsString| text.to_str().and_then(|text| text.parse::<i32>().ok());
    let warden = number(next()?).ok_or(io::ErrorKind::InvalidInput)?;
    let inherited = number(next()?).ok_or(io::ErrorKind::InvalidInput)?;
    let cgroup = next()?;
    let program = next()?;
    // Opened once more, it closes itself when the agent takes over.
    let mut complains =
        OpenOptions::new().write(true).open(format!("/proc/self/fd/{inherited}"))?;
    nix::unistd::close(inherited).map_err(io::Error::from)?;

    let prepared = prepare(warden, (cgroup != NO_CGROUP).then_some(Path::new(&cgroup)));
    let error = match prepared {
        Ok(()) => {
            let source = Command::new(&program).args(arguments).exec();
            format!("cannot execute {}: {source}", Path::new(&program).display())
        }
        Err(error) => error.to_string(),
    };
    complains.write_all(error.as_bytes())?;
    Err(io::Error::other(error))
}

/// The order matters: what is killed together with the warden must be inside the
/// group by then, or a warden's death in between would leave it outside.
fn prepare(warden: i32, cgroup: Option<&Path>) -> io::Result<()> {
    if let Some(cgroup) = cgroup {
        fs::write(cgroup.join("cgroup.procs"), "0").map_err(|error| {
            io::Error::new(error.kind(), format!("cannot enter {}: {error}", cgroup.display()))
        })?;
    }
    rustix::process::setsid()?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get()) != Some(warden) {
        return Err(io::Error::other("the warden is gone"));
    }
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(Resource::Core, none)?;
    Ok(())
}
