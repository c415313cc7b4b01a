//! Writes down what happens in a workspace, on nobody's time.
//!
//! A thread of the keeper takes events from a bounded queue and appends all that
//! wait as one transaction, so a command never waits for the disk. Until then
//! they are in memory only: a keeper that is killed takes the events of its last
//! few milliseconds with it. Whoever reads the ledger has the queue written
//! first ([`Scribe::flush`]); a keeper that ends does so as well.
//!
//! An event that finds the queue full is counted instead, and the ledger says
//! how many are missing.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use workspace_api::id::WorkspaceId;
use workspace_api::ledger::LedgerEvent;

use super::concealment::Concealment;
use crate::home::Home;
use crate::store::{Store, StoreError};

/// How many events may wait.
const QUEUE: usize = 4096;

/// How many of them are written at once.
const BATCH_MAX: usize = 256;

/// How long a flush may take; the disk may be slow, but nobody waits for ever.
const FLUSH_DEADLINE: Duration = Duration::from_secs(10);

/// Takes events to be written down.
#[derive(Debug, Clone)]
pub(crate) struct Scribe {
    orders: mpsc::Sender<Order>,
    lost: Arc<AtomicU64>,
    touched: Arc<AtomicI64>,
    concealment: Concealment,
}

#[derive(Debug)]
enum Order {
    Note(Timestamp, LedgerEvent),
    /// Something was done that is no event of its own.
    Touch(Timestamp),
    /// Answered when everything that was noted before is written.
    Flush(oneshot::Sender<()>),
}

impl Scribe {
    /// Starts the thread. It opens the database at the first event.
    pub(crate) fn start(home: &Home, workspace: WorkspaceId, concealment: Concealment) -> Self {
        let (orders, received) = mpsc::channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let desk = Desk { home: home.clone(), workspace, store: None, lost: lost.clone() };
        thread::spawn(move || desk.work(received));
        Self { orders, lost, touched: Arc::default(), concealment }
    }

    /// Has an event written down, without the values of secrets in it.
    pub(crate) fn note(&self, event: LedgerEvent) {
        let event = self.concealment.data(event);
        if self.orders.try_send(Order::Note(Timestamp::now(), event)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Has it written down that somebody used the workspace just now. It is told to
    /// the second, so of many that come at once one is written.
    pub(crate) fn touch(&self) {
        let now = Timestamp::now();
        if self.touched.swap(now.as_second(), Ordering::Relaxed) != now.as_second() {
            // A full queue says as well that the workspace is used.
            let _ = self.orders.try_send(Order::Touch(now));
        }
    }

    /// Waits until everything that was noted so far is written.
    pub(crate) async fn flush(&self) {
        let (done, written) = oneshot::channel();
        let flushed = async {
            if self.orders.send(Order::Flush(done)).await.is_ok() {
                let _ = written.await;
            }
        };
        if timeout(FLUSH_DEADLINE, flushed).await.is_err() {
            tracing::warn!("the ledger was not written in time");
        }
    }
}

/// The thread's state.
struct Desk {
    home: Home,
    workspace: WorkspaceId,
    store: Option<Store>,
    lost: Arc<AtomicU64>,
}

impl Desk {
    fn work(mut self, mut orders: mpsc::Receiver<Order>) {
        while let Some(first) = orders.blocking_recv() {
            let (mut events, mut waiting, mut touched) = (Vec::new(), Vec::new(), None);
            let mut next = Some(first);
            while let Some(order) = next {
                match order {
                    Order::Note(at, event) => events.push((at, event)),
                    Order::Touch(at) => touched = Some(at),
                    Order::Flush(done) => waiting.push(done),
                }
                next = (events.len() < BATCH_MAX).then(|| orders.try_recv().ok()).flatten();
            }
            let noted = events.len() as u64;
            let lost = self.lost.swap(0, Ordering::Relaxed);
            if lost > 0 {
                events.push((Timestamp::now(), LedgerEvent::EventsLost { events: lost }));
            }
            if let Err(error) = self.write(&events) {
                tracing::error!(%error, noted, "the ledger could not be written");
                self.lost.fetch_add(noted + lost, Ordering::Relaxed);
            }
            if let Some(at) = touched
                && let Err(error) = self.touch(at)
            {
                tracing::error!(%error, "the last activity could not be written");
            }
            for done in waiting {
                let _ = done.send(());
            }
        }
    }

    fn write(&mut self, events: &[(Timestamp, LedgerEvent)]) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        let workspace = self.workspace;
        self.store()?.append_all(workspace, events)
    }

    fn touch(&mut self, at: Timestamp) -> Result<(), StoreError> {
        let workspace = self.workspace;
        self.store()?.touch(workspace, at)
    }

    fn store(&mut self) -> Result<&Store, StoreError> {
        let store = match self.store.take() {
            Some(store) => store,
            None => Store::open(&self.home)?,
        };
        Ok(self.store.insert(store))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{record, store};

    #[tokio::test]
    async fn what_was_noted_is_written_in_order() {
        let (_directory, home, store) = store();
        let record = record(None);
        store.insert(&record, None).unwrap();
        let scribe = Scribe::start(&home, record.id, Concealment::new(&home, record.id));
        for bytes in 0..1000 {
            scribe.note(LedgerEvent::FileWritten { path: "/a".into(), bytes });
        }
        scribe.flush().await;
        let written: Vec<_> = store.events(record.id, 1, 2000, &[]).unwrap();
        assert_eq!(written.len(), 1000);
        for (expected, entry) in (0..).zip(&written) {
            assert!(
                matches!(entry.event, LedgerEvent::FileWritten { bytes, .. } if bytes == expected)
            );
        }
        assert_eq!(store.verify(record.id).unwrap().broken_at, None);
    }

    #[tokio::test]
    async fn a_full_queue_is_on_record() {
        let (_directory, home, store) = store();
        let record = record(None);
        store.insert(&record, None).unwrap();
        let scribe = Scribe::start(&home, record.id, Concealment::new(&home, record.id));
        let blocker = rusqlite::Connection::open(home.database()).unwrap();
        blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
        let noted = 3 * u64::try_from(QUEUE).unwrap();
        for _ in 0..noted {
            scribe.note(LedgerEvent::Started {});
        }
        blocker.execute_batch("COMMIT").unwrap();
        scribe.flush().await;
        scribe.flush().await;
        let mut found = 0;
        for entry in store.events(record.id, 1, 100_000, &[]).unwrap() {
            found += match entry.event {
                LedgerEvent::EventsLost { events } => events,
                _ => 1,
            };
        }
        assert_eq!(found, noted);
    }
}
