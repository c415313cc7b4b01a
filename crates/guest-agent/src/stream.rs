//! A running command as the session sees it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use guest_protocol::message::{End, Leftovers, TerminalSize};
use rustix::process::Pid;
use tokio::time::sleep;

use crate::containment::Group;
use crate::hearing::Hearing;
use crate::input::Input;
use crate::latch::Latch;
use crate::output::Credit;
use crate::reaper::Exit;
use crate::sys;
use crate::terminal::Terminal;

/// Why the agent killed a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KillReason {
    /// Its time was up.
    Timeout,
    /// The host said so, or broke the rules of the stream.
    Host,
}

/// How long a killed tree may take to die. Processes that cannot be killed,
/// because they wait for a device, shall not hold the answer for ever.
const BURIAL: Duration = Duration::from_secs(5);

/// The longest grace of a command that was cancelled.
const GRACE_MAX: Duration = Duration::from_secs(3600);

/// How often a killed tree is looked at.
const BURIAL_POLL: Duration = Duration::from_millis(5);

/// Shared by the session and the command's own task.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) hearing: Rc<Hearing>,
    /// The name under which it is kept across epochs.
    pub(crate) kept_as: Option<String>,
    leftovers: Leftovers,
    pub(crate) terminal: Option<Terminal>,
    pub(crate) leader: Pid,
    pub(crate) started: Instant,
    pub(crate) stdin: Input,
    pub(crate) stdout: Credit,
    pub(crate) stderr: Credit,
    /// Set by the reaper.
    pub(crate) exit: Rc<Latch<Exit>>,
    /// Set when the host no longer listens to this stream.
    pub(crate) detached: Latch<()>,
    /// Set when the host wants it to end: the moment at which it is killed.
    pub(crate) cancelled: Latch<Instant>,
    killed: Cell<Option<KillReason>>,
    group: RefCell<Option<Group>>,
}

/// What a command has before it runs.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) hearing: Rc<Hearing>,
    pub(crate) kept_as: Option<String>,
    pub(crate) leftovers: Leftovers,
    pub(crate) terminal: Option<Terminal>,
    pub(crate) stdin: Input,
}

impl Stream {
    pub(crate) fn new(parts: Parts, leader: Pid, group: Group) -> Self {
        let Parts { hearing, kept_as, leftovers, terminal, stdin } = parts;
        Self {
            hearing,
            kept_as,
            leftovers,
            terminal,
            leader,
            started: Instant::now(),
            stdin,
            stdout: Credit::new(),
            stderr: Credit::new(),
            exit: Rc::new(Latch::new()),
            detached: Latch::new(),
            cancelled: Latch::new(),
            killed: Cell::new(None),
            group: RefCell::new(Some(group)),
        }
    }

    /// Kills the whole tree. The first reason counts; a command that has ended
    /// by itself only loses its leftovers.
    pub(crate) fn kill(&self, reason: KillReason) {
        if self.exit.get().is_none() && self.killed.get().is_none() {
            self.killed.set(Some(reason));
        }
        if let Some(group) = &*self.group.borrow() {
            group.kill(self.leader);
        }
    }

    /// Asks the command to end. Its own task kills what is left afterwards.
    pub(crate) fn cancel(&self, grace: Duration, signal: i32) {
        self.signal(signal);
        self.cancelled.set(Instant::now() + grace.min(GRACE_MAX));
    }

    /// Waits until what was killed is dead: a large tree takes a while to die,
    /// and whoever had it killed counts on its being gone.
    pub(crate) async fn buried(&self) {
        if self.cancelled.get().is_some() || self.leftovers == Leftovers::Killed {
            self.kill(KillReason::Host);
        } else if self.killed.get().is_none() {
            return;
        }
        let deadline = Instant::now() + BURIAL;
        let is_empty = || self.group.borrow().as_ref().is_none_or(Group::is_empty);
        while !is_empty() && Instant::now() < deadline {
            sleep(BURIAL_POLL).await;
        }
    }

    /// Signals the process group, or the foreground job of the terminal, unless
    /// the command has ended: its number may belong to somebody else by now.
    pub(crate) fn signal(&self, number: i32) {
        if self.exit.get().is_none() {
            let foreground = self.terminal.as_ref().and_then(Terminal::foreground);
            sys::signal_group(foreground.unwrap_or(self.leader), number);
        }
    }

    /// Tells its terminal another size; without one there is nothing to tell.
    pub(crate) fn resize(&self, size: TerminalSize) {
        if let Some(terminal) = &self.terminal {
            // A terminal that is gone needs no size.
            let _ = terminal.resize(size);
        }
    }

    /// Nobody hears it any more until somebody attaches.
    pub(crate) fn park(&self) {
        self.hearing.end();
        self.stdout.withdraw();
        self.stderr.withdraw();
    }

    /// The group, once the command has ended and nobody kills it any more.
    pub(crate) fn release(&self) -> Option<Group> {
        self.group.borrow_mut().take()
    }

    /// How the command ended, in the host's terms.
    pub(crate) fn end(&self, exit: &Exit) -> End {
        match (exit.status.terminating_signal(), self.killed.get()) {
            (Some(libc::SIGKILL), Some(KillReason::Timeout)) => End::TimedOut,
            (Some(libc::SIGKILL), Some(KillReason::Host)) => End::Killed,
            (Some(number), _) => End::Signal { number },
            (None, _) => {
                let code = exit.status.exit_status().and_then(|code| u8::try_from(code).ok());
                End::Code { code: code.unwrap_or(u8::MAX) }
            }
        }
    }
}
