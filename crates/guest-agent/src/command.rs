//! One command, from its start to the death of its last descendant.
//!
//! ```text
//!          program runs            leader ended             output sent
//! start ────────────────▶ Talking ──────────────▶ Resting ──────────────▶ Exited
//!   │                        │                       │                       │
//!   ▼ Refused                └─── new epoch, or the host broke a rule ──┐    │
//!                                                                       ▼    ▼
//!                                             output is drained and dropped until
//!                                             its last holder has closed it
//! ```
//!
//! One task owns the pipes; the session reaches it through [`Stream`]. A
//! detached command keeps its time limit: nobody is left to stop it otherwise.
//! A kept one is parked by a new epoch instead: it waits wherever it is for
//! somebody to attach.
//!
//! The way to the program is kept short, because a guest may run emulated and
//! ten times slower than its host: the group was made before, nothing is
//! copied, and the next group is made after the answer is on its way.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use guest_protocol::frame::{Channel, StreamId};
use guest_protocol::message::{Exec, GuestMessage, Stdin, TerminalSize};
use rustix::fs::OFlags;
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::Interest;
use tokio::time::{Instant, sleep_until};

use crate::hearing::Hearing;
use crate::input::Input;
use crate::output::{Kind, Output};
use crate::reaper::Exit;
use crate::session::Shared;
use crate::spawn::{self, SpawnError};
use crate::stream::{KillReason, Parts, Stream};
use crate::sys::{self, Controlling, Watched};
use crate::terminal::Terminal;

/// The agent's ends of a command's pipes or terminal.
#[derive(Debug)]
struct Pipes {
    stdin: Option<Watched>,
    stdout: Option<Watched>,
    stderr: Option<Watched>,
    terminal: Option<Terminal>,
}

/// The command's ends; it has no others.
#[derive(Debug)]
struct ItsPipes {
    /// `None` is `/dev/null`.
    stdin: Option<OwnedFd>,
    stdout: OwnedFd,
    /// `None` if it is the same as standard output.
    stderr: Option<OwnedFd>,
}

enum Talk {
    Ended(Exit),
    Detached,
}

/// Starts a command and says so; its task does the rest.
pub(crate) fn start(
    shared: &Rc<Shared>,
    id: StreamId,
    exec: &Exec,
) -> Result<Rc<Stream>, SpawnError> {
    let program = spawn::program(exec)?;
    let (pipes, its) = match exec.terminal {
        None => open_pipes(exec.stdin)?,
        Some(size) => open_terminal(size)?,
    };
    let hearing = Rc::new(Hearing::on(id));
    let stdin = match pipes.stdin {
        Some(_) => Input::open(Rc::clone(&hearing)),
        None => Input::null(Rc::clone(&hearing)),
    };
    let its_stdin = its.stdin.as_ref().unwrap_or(match exec.terminal {
        Some(_) => &its.stdout,
        None => &shared.null,
    });
    let its_stderr = its.stderr.as_ref().unwrap_or(&its.stdout);
    let streams = [its_stdin.as_fd(), its.stdout.as_fd(), its_stderr.as_fd()];
    let controlling = match exec.terminal {
        Some(_) => Controlling::StandardInput,
        None => Controlling::Nothing,
    };

    let group = shared.containment.borrow_mut().take().map_err(SpawnError::Cgroup)?;
    let leader = match sys::start(&program, streams, controlling, group.birthplace()) {
        Ok(leader) => leader,
        Err(error) => {
            shared.containment.borrow_mut().give_back(group);
            return Err(SpawnError::started(error, exec));
        }
    };
    let parts = Parts {
        hearing,
        kept_as: exec.keep.clone(),
        leftovers: exec.leftovers,
        terminal: pipes.terminal.clone(),
        stdin,
    };
    let stream = Rc::new(Stream::new(parts, leader, group));
    shared.reaper.register(leader, &stream.exit);
    let pid = leader.as_raw_pid().unsigned_abs();
    shared.outbox.message(id, &GuestMessage::Started { pid });

    let limit = exec.timeout_ms.map(Duration::from_millis);
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    tokio::task::spawn_local(supervise(Rc::clone(shared), Rc::clone(&stream), pipes, deadline));
    Ok(stream)
}

async fn supervise(
    shared: Rc<Shared>,
    stream: Rc<Stream>,
    pipes: Pipes,
    deadline: Option<Instant>,
) {
    let outbox = &shared.outbox;
    let kind = if pipes.terminal.is_some() { Kind::Terminal } else { Kind::Pipe };
    let output = |channel, pipe| Output::new(Rc::clone(&stream.hearing), channel, kind, pipe);
    let mut stdout = output(Channel::Stdout, pipes.stdout);
    let mut stderr = output(Channel::Stderr, pipes.stderr);
    let mut life = std::pin::pin!(live(&stream, deadline));
    let talk = tokio::select! {
        biased;
        () = stream.detached.wait() => Talk::Detached,
        exit = &mut life => Talk::Ended(exit),
        () = async {
            tokio::join!(
                stdout.pump(&stream.stdout, outbox),
                stderr.pump(&stream.stderr, outbox),
                stream.stdin.pump(pipes.stdin, outbox),
            );
        } => Talk::Detached,
    };
    match talk {
        Talk::Ended(exit) => {
            tokio::select! {
                biased;
                () = stream.detached.wait() => {}
                id = async {
                    stream.buried().await;
                    stdout.rest(&stream.stdout, outbox).await;
                    stderr.rest(&stream.stderr, outbox).await;
                    stream.hearing.some().await
                } => {
                    let duration = exit.at.saturating_duration_since(stream.started);
                    let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
                    let end = stream.end(&exit);
                    outbox.message(id, &GuestMessage::Exited { end, duration_ms });
                    shared.close(id);
                    shared.forget(&stream);
                    // The answer leaves before the agent cleans up.
                    tokio::task::yield_now().await;
                }
            }
            give_back(&shared, &stream);
            tokio::join!(stdout.discard(), stderr.discard());
        }
        Talk::Detached => {
            tokio::join!(stdout.discard(), stderr.discard(), async {
                life.await;
                give_back(&shared, &stream);
            });
        }
    }
}

/// Waits for the command's end, and brings it about when its time is up or its
/// grace is over.
async fn live(stream: &Stream, deadline: Option<Instant>) -> Exit {
    let out_of_time = async {
        match deadline {
            Some(deadline) => sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    };
    let out_of_grace = async { sleep_until(stream.cancelled.wait().await.into()).await };
    tokio::select! {
        biased;
        exit = stream.exit.wait() => return exit,
        () = out_of_time => stream.kill(KillReason::Timeout),
        () = out_of_grace => stream.kill(KillReason::Host),
    }
    stream.exit.wait().await
}

fn give_back(shared: &Shared, stream: &Stream) {
    let mut containment = shared.containment.borrow_mut();
    if let Some(group) = stream.release() {
        containment.give_back(group);
    }
    containment.refill();
}

fn open_pipes(stdin: Stdin) -> Result<(Pipes, ItsPipes), SpawnError> {
    let (stdout, its_stdout) = reading_pipe()?;
    let (stderr, its_stderr) = reading_pipe()?;
    let (stdin, its_stdin) = match stdin {
        Stdin::Null => (None, None),
        Stdin::Stream => {
            let (ours, its) = writing_pipe()?;
            (Some(ours), Some(its))
        }
    };
    let pipes = Pipes { stdin, stdout: Some(stdout), stderr: Some(stderr), terminal: None };
    Ok((pipes, ItsPipes { stdin: its_stdin, stdout: its_stdout, stderr: Some(its_stderr) }))
}

fn open_terminal(size: TerminalSize) -> Result<(Pipes, ItsPipes), SpawnError> {
    let (terminal, its) = Terminal::open(size).map_err(SpawnError::Terminal)?;
    let end = |interest| {
        let descriptor = terminal.descriptor().map_err(SpawnError::Terminal)?;
        watched(descriptor, interest)
    };
    let pipes = Pipes {
        stdin: Some(end(Interest::WRITABLE)?),
        stdout: Some(end(Interest::READABLE)?),
        stderr: None,
        terminal: Some(terminal),
    };
    Ok((pipes, ItsPipes { stdin: None, stdout: its, stderr: None }))
}

fn reading_pipe() -> Result<(Watched, OwnedFd), SpawnError> {
    let (reader, writer) = pipe()?;
    Ok((watched(reader, Interest::READABLE)?, writer))
}

fn writing_pipe() -> Result<(Watched, OwnedFd), SpawnError> {
    let (reader, writer) = pipe()?;
    Ok((watched(writer, Interest::WRITABLE)?, reader))
}

fn pipe() -> Result<(OwnedFd, OwnedFd), SpawnError> {
    pipe_with(PipeFlags::CLOEXEC).map_err(|error| SpawnError::Pipe(error.into()))
}

/// Only the agent's end does not block; a program expects that its own does.
fn watched(end: OwnedFd, interest: Interest) -> Result<Watched, SpawnError> {
    rustix::fs::fcntl_setfl(&end, OFlags::NONBLOCK)
        .map_err(|error| SpawnError::Pipe(error.into()))?;
    sys::watch(Rc::new(end), interest).map_err(SpawnError::Pipe)
}
