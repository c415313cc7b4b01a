//! Appends that wait at the same time share one commit.
//!
//! ```text
//! append ─┐
//! append ─┼─▶ queue ──▶ thread: all that wait, one transaction, one sync ──▶ answers
//! append ─┘
//! ```
//!
//! While one commit is synced the next ones gather; so the more wait, the cheaper
//! each is, and one alone waits for nobody. The order is that of the calls.
//!
//! After a commit of which nobody knows whether it happened nothing more is
//! written: the thread ends, and every later append is refused.

use std::io;
use std::thread;

use batch_api::Epoch;
use batch_core::journal::{AppendError, LINES_MAX, Line, StorageError};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::SqliteJournal;
use super::store::Submission;

/// How many appends may wait.
const QUEUE_MAX: usize = 1024;

/// Appends for many at once.
#[derive(Debug, Clone)]
pub struct Committer {
    queue: mpsc::Sender<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    epoch: Epoch,
    lines: Vec<Line>,
    answer: oneshot::Sender<Result<(), AppendError>>,
}

impl Committer {
    /// Takes the handle, which claimed the journal, to a thread of its own. The
    /// thread ends, and the handle closes, with the last clone of this.
    ///
    /// # Errors
    ///
    /// If there can be no further thread.
    pub fn start(journal: SqliteJournal) -> io::Result<Self> {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        thread::Builder::new().name("journal".into()).spawn(move || serve(journal, waiting))?;
        Ok(Self { queue })
    }

    /// Appends lines as [`Journal::append`](batch_core::journal::Journal::append)
    /// does, in the order of the calls: they are on their way when this returns,
    /// and giving up on the answer does not take them back.
    ///
    /// # Errors
    ///
    /// As there; [`AppendError::Refused`] also if too many wait.
    pub fn append(
        &self,
        epoch: Epoch,
        lines: Vec<Line>,
    ) -> impl Future<Output = Result<(), AppendError>> + use<> {
        let (answer, answered) = oneshot::channel();
        let sent = if lines.is_empty() {
            // Nothing to append is nothing done.
            let _ = answer.send(Ok(()));
            Ok(())
        } else {
            self.queue.try_send(Waiting { epoch, lines, answer }).map_err(|refused| match refused {
                TrySendError::Full(_) => refuse("too many appends wait"),
                TrySendError::Closed(_) => refuse(OVER),
            })
        };
        async move {
            sent?;
            answered.await.unwrap_or_else(|_| Err(refuse(OVER)))
        }
    }
}

const OVER: &str = "an earlier commit failed, or the journal was closed";

fn refuse(why: &'static str) -> AppendError {
    AppendError::Refused(StorageError { step: "took them", source: why.into() })
}

fn serve(mut journal: SqliteJournal, mut queue: mpsc::Receiver<Waiting>) {
    let mut next = queue.blocking_recv();
    while let Some(first) = next.take() {
        let mut count = first.lines.len();
        let mut group = vec![first];
        while let Ok(more) = queue.try_recv() {
            if count + more.lines.len() > LINES_MAX {
                next = Some(more);
                break;
            }
            count += more.lines.len();
            group.push(more);
        }
        if commit(&mut journal, group) == After::Over {
            return;
        }
        if next.is_none() {
            next = queue.blocking_recv();
        }
    }
}

/// Whether anything may follow a commit.
#[derive(PartialEq, Eq)]
enum After {
    GoOn,
    Over,
}

fn commit(journal: &mut SqliteJournal, group: Vec<Waiting>) -> After {
    let submissions: Vec<Submission<'_>> = group
        .iter()
        .map(|waiting| Submission { epoch: waiting.epoch, lines: &waiting.lines })
        .collect();
    let verdicts = journal.append_group(&submissions);
    let unknown =
        |verdict: &Result<(), AppendError>| matches!(verdict, Err(AppendError::Unknown(_)));
    let after = if verdicts.iter().any(unknown) { After::Over } else { After::GoOn };
    for (waiting, verdict) in group.into_iter().zip(verdicts) {
        // Who gave up does not hear it.
        let _ = waiting.answer.send(verdict);
    }
    after
}
