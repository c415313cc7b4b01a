//! Collects the dead.
//!
//! As PID 1 the agent inherits every orphan of the guest. The kernel may merge
//! several SIGCHLD into one, so each wakes a sweep. A command's leader is
//! registered before the thread yields, so no exit can be missed; and it is
//! marked as ended in the same step that frees its number, so nothing ever
//! signals a process that happens to get the number next.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

use rustix::process::{Pid, WaitOptions, WaitStatus, wait, waitpid};
use tokio::signal::unix::Signal;

use crate::latch::Latch;

/// Whose death is the agent's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaping {
    /// Every process that is left to it: PID 1 of a guest.
    Everyone,
    /// Only commands that it started: a test among others in one process.
    Commands,
}

/// How and when a process ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exit {
    pub(crate) status: WaitStatus,
    pub(crate) at: Instant,
}

/// Owned by the session.
#[derive(Debug)]
pub(crate) struct Reaper {
    reaping: Reaping,
    leaders: RefCell<BTreeMap<i32, Rc<Latch<Exit>>>>,
}

impl Reaper {
    pub(crate) fn new(reaping: Reaping) -> Self {
        Self { reaping, leaders: RefCell::default() }
    }

    /// To be called before the thread yields after the process was started.
    pub(crate) fn register(&self, leader: Pid, exit: &Rc<Latch<Exit>>) {
        self.leaders.borrow_mut().insert(leader.as_raw_pid(), Rc::clone(exit));
    }

    /// Sweeps at every SIGCHLD; `orphans` is called after some were collected.
    pub(crate) async fn run(&self, mut deaths: Signal, orphans: impl Fn()) {
        loop {
            deaths.recv().await;
            let met_orphans = match self.reaping {
                Reaping::Everyone => self.sweep(|| wait(WaitOptions::NOHANG).ok().flatten()),
                Reaping::Commands => {
                    let pids: Vec<i32> = self.leaders.borrow().keys().copied().collect();
                    let mut pids = pids.into_iter().filter_map(Pid::from_raw);
                    self.sweep(|| {
                        pids.find_map(|pid| waitpid(Some(pid), WaitOptions::NOHANG).ok().flatten())
                    })
                }
            };
            if met_orphans {
                orphans();
            }
        }
    }

    fn sweep(&self, mut next: impl FnMut() -> Option<(Pid, WaitStatus)>) -> bool {
        let mut met_orphans = false;
        while let Some((pid, status)) = next() {
            match self.leaders.borrow_mut().remove(&pid.as_raw_pid()) {
                Some(exit) => exit.set(Exit { status, at: Instant::now() }),
                None => met_orphans = true,
            }
        }
        met_orphans
    }
}
