//! Which jobs run, and which ran when the machine was saved and are not heard yet.
//!
//! ```text
//! absent ──expected──▶ coming ──guest answers──▶ here
//!   ▲                    │                        │
//!   └────────────────────┴──── ended, let go ─────┘
//! ```
//!
//! A machine that was resumed, for a wake, a reset or a fork, holds processes that its
//! keeper has to attach to first. Whoever asks for one meanwhile waits until that is
//! settled, so nobody is told that something has ended which runs. A guest that never
//! settles it costs each of them [`ARRIVAL_PATIENCE`].

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use operation::{ErrorKind, OpError};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::following::LiveJob;
use crate::jobs::{JobId, JobKind};

/// How long somebody waits for a job that is coming.
const ARRIVAL_PATIENCE: Duration = Duration::from_secs(30);

/// All jobs that run, as far as is known.
#[derive(Debug, Default)]
pub(super) struct Roster {
    jobs: RefCell<BTreeMap<JobId, Presence>>,
    settled: Notify,
}

/// How present a job is.
#[derive(Debug)]
enum Presence {
    /// The guest has its process, and a task attaches to it.
    Coming { kind: JobKind, task: AbortHandle },
    /// It is heard.
    Here(Rc<LiveJob>),
}

impl Roster {
    /// A job ran when the machine was saved, and `task` attaches to it.
    pub(super) fn expect(&self, id: JobId, kind: JobKind, task: AbortHandle) {
        self.jobs.borrow_mut().insert(id, Presence::Coming { kind, task });
    }

    /// A job is heard.
    pub(super) fn arrived(&self, id: JobId, job: LiveJob) {
        self.jobs.borrow_mut().insert(id, Presence::Here(Rc::new(job)));
        self.settled.notify_waiters();
    }

    /// A job has ended, or never comes.
    pub(super) fn strike(&self, id: &JobId) {
        self.jobs.borrow_mut().remove(id);
        self.settled.notify_waiters();
    }

    /// Ends what follows or attaches to jobs, and returns which they were.
    pub(super) fn let_go(&self) -> Vec<JobId> {
        let jobs = std::mem::take(&mut *self.jobs.borrow_mut());
        self.settled.notify_waiters();
        for presence in jobs.values() {
            match presence {
                Presence::Coming { task, .. } => task.abort(),
                Presence::Here(job) => job.task.abort(),
            }
        }
        jobs.into_keys().collect()
    }

    /// How many jobs run of those that are wanted.
    pub(super) fn count(&self, is_wanted: impl Fn(&JobKind) -> bool) -> usize {
        let jobs = self.jobs.borrow();
        let kinds = jobs.values().map(|presence| match presence {
            Presence::Coming { kind, .. } => kind,
            Presence::Here(job) => &job.kind,
        });
        kinds.filter(|kind| is_wanted(kind)).count()
    }

    /// Which jobs run.
    pub(super) fn ids(&self) -> Vec<JobId> {
        self.jobs.borrow().keys().cloned().collect()
    }

    /// A job once it is known how present it is: none has ended, or never was.
    pub(super) async fn settled(&self, id: &JobId) -> Option<Rc<LiveJob>> {
        loop {
            // From now on nothing is missed.
            let settled = self.settled.notified();
            match self.jobs.borrow().get(id) {
                None => return None,
                Some(Presence::Here(job)) => return Some(Rc::clone(job)),
                Some(Presence::Coming { .. }) => {}
            }
            settled.await;
        }
    }

    /// The same, for somebody who does not wait for ever.
    pub(super) async fn find(&self, id: &JobId) -> Result<Option<Rc<LiveJob>>, OpError> {
        timeout(ARRIVAL_PATIENCE, self.settled(id)).await.map_err(|_| {
            let message = format!("the guest does not say whether `{}` still runs", id.0);
            OpError::plain(ErrorKind::TimedOut, message)
        })
    }
}

impl Drop for Roster {
    fn drop(&mut self) {
        self.let_go();
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::LocalSet;

    use super::*;

    fn local<F: Future>(work: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        LocalSet::new().block_on(&runtime, work)
    }

    /// A roster that expects one job, whose task never ends by itself.
    fn expecting() -> (Rc<Roster>, JobId) {
        let (roster, id) = (Rc::new(Roster::default()), JobId("cmd_1".to_owned()));
        let task = tokio::task::spawn_local(std::future::pending::<()>());
        roster.expect(id.clone(), JobKind::Command, task.abort_handle());
        (roster, id)
    }

    #[test]
    fn whoever_asks_for_a_job_that_is_coming_waits_until_that_is_settled() {
        local(async {
            let (roster, id) = expecting();
            assert_eq!(roster.count(|kind| matches!(kind, JobKind::Command)), 1);
            assert!(roster.find(&JobId("cmd_2".to_owned())).await.unwrap().is_none());
            let (asked, theirs) = (Rc::clone(&roster), id.clone());
            let asker = tokio::task::spawn_local(async move { asked.find(&theirs).await });
            tokio::task::yield_now().await;
            assert!(!asker.is_finished(), "it is not known yet");
            roster.strike(&id);
            assert!(asker.await.unwrap().unwrap().is_none(), "the guest does not know it");
        });
    }

    #[test]
    fn nobody_waits_for_ever_for_a_guest_that_says_nothing() {
        local(async {
            let (roster, id) = expecting();
            assert_eq!(roster.find(&id).await.unwrap_err().kind, ErrorKind::TimedOut);
        });
    }

    #[test]
    fn who_lets_go_ends_what_attaches() {
        local(async {
            let roster = Roster::default();
            let id = JobId("cmd_1".to_owned());
            let task = tokio::task::spawn_local(std::future::pending::<()>());
            roster.expect(id.clone(), JobKind::Command, task.abort_handle());
            assert_eq!(roster.let_go(), [id]);
            assert!(task.await.unwrap_err().is_cancelled());
        });
    }
}
