//! The journal in SQLite, as it should be.

use std::fs::File;
use std::thread;
use std::time::Duration;

use batch::journal::{ClaimError, Committer, JournalError, Owner, SqliteJournal};
use batch_api::{Actor, BatchId, Epoch, Sequence};
use batch_core::journal::contract::{self, Rig};
use batch_core::journal::{AppendError, Chain, Draft, Journal, Line, Subject};
use batch_core::time::Time;
use futures_util::future::join_all;
use tempfile::TempDir;

/// The batch that the contract's suite seals for.
pub(crate) fn batch() -> BatchId {
    "bat_00000000000000000000000000000001".parse().unwrap()
}

pub(crate) fn lines(chain: &mut Chain, count: usize) -> Vec<Line> {
    let seal = |number| {
        let draft = Draft {
            actor: Actor::Engine,
            cause: None,
            subject: Subject::BATCH,
            fact: format!("fact {number} {}", "x".repeat(number * 7 % 300)),
        };
        chain.seal(draft, Time(1), Epoch(1)).unwrap().1
    };
    (0..count).map(seal).collect()
}

struct OnDisk(TempDir);

impl Rig for OnDisk {
    type Journal = SqliteJournal;

    fn open(&mut self) -> SqliteJournal {
        SqliteJournal::create(self.0.path(), batch()).unwrap()
    }
}

#[test]
fn the_journal_in_sqlite_keeps_the_contract() {
    contract::check(|| OnDisk(tempfile::tempdir().unwrap()));
}

#[test]
fn a_living_owner_is_replaced_only_by_who_means_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = SqliteJournal::create(directory.path(), batch()).unwrap();
    assert_eq!(first.owner().unwrap(), Owner::Nobody);
    let epoch = first.claim_unowned().unwrap().epoch;
    let mut second = SqliteJournal::open(directory.path(), batch()).unwrap();
    assert_eq!(second.owner().unwrap(), Owner::Alive(epoch));
    let refused = second.claim_unowned();
    assert!(matches!(refused, Err(ClaimError::Owned(owner)) if owner == epoch), "{refused:?}");
    assert_eq!(second.owner().unwrap(), Owner::Alive(epoch), "nothing changed");

    drop(first);
    assert_eq!(second.owner().unwrap(), Owner::Dead(epoch));
    let next = second.claim_unowned().unwrap().epoch;
    assert_eq!(next, epoch.next());
    let mut third = SqliteJournal::open(directory.path(), batch()).unwrap();
    assert_eq!(third.claim().unwrap().epoch, next.next(), "meant");
    assert_eq!(second.owner().unwrap(), Owner::Alive(next.next()));
}

#[test]
fn a_claim_that_was_killed_and_is_not_gone_yet_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let mut journal = SqliteJournal::create(directory.path(), batch()).unwrap();
    // What it leaves: the lock of an epoch that never began. The database was freed first.
    let dying = File::create(directory.path().join("owner-1.lock")).unwrap();
    dying.lock().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(200));
            drop(dying);
        });
        assert_eq!(journal.claim_unowned().unwrap().epoch, Epoch(1));
    });
    assert_eq!(journal.owner().unwrap(), Owner::Alive(Epoch(1)));
}

#[tokio::test]
async fn appends_that_wait_together_share_a_commit_and_each_is_judged() {
    /// What one commit writes to the log at least: a frame for a page of lines,
    /// and its head (sqlite.org/walformat.html).
    const COMMIT_BYTES: u64 = 4096 + 24;
    const COUNT: usize = 200;
    let directory = tempfile::tempdir().unwrap();
    let mut journal = SqliteJournal::create(directory.path(), batch()).unwrap();
    let epoch = journal.claim().unwrap().epoch;
    let log = directory.path().join("journal.sqlite-wal");
    let before = std::fs::metadata(&log).unwrap().len();
    let committer = Committer::start(journal).unwrap();
    let all = lines(&mut Chain::of(batch()), COUNT);
    let stale = Epoch(epoch.0 + 1);
    let appends = all.iter().enumerate().map(|(number, line)| {
        let own = committer.append(epoch, vec![line.clone()]);
        // A foreign one in between disturbs nobody.
        let foreign = if number % 50 == 0 { vec![line.clone()] } else { Vec::new() };
        let foreign = committer.append(stale, foreign);
        async { (own.await, foreign.await) }
    });
    for (number, (own, foreign)) in join_all(appends).await.into_iter().enumerate() {
        own.unwrap();
        let refused = matches!(foreign, Err(AppendError::Stale { .. }));
        assert_eq!(refused, number % 50 == 0, "{foreign:?}");
    }
    let again = committer.append(epoch, vec![all[0].clone()]).await;
    assert!(matches!(again, Err(AppendError::Gap { .. })), "{again:?}");
    let grown = std::fs::metadata(&log).unwrap().len() - before;
    assert!(grown < COUNT as u64 / 2 * COMMIT_BYTES, "{grown} bytes are too many commits");

    // Another handle folds while this one is open.
    let mut reader = SqliteJournal::open(directory.path(), batch()).unwrap();
    assert_eq!(reader.read(Sequence(0), COUNT + 1).unwrap(), all);
    assert_eq!(reader.verify().unwrap().last, Sequence(COUNT as u64));
}

#[test]
fn a_journal_that_is_not_ours_to_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let missing = SqliteJournal::open(directory.path(), batch());
    assert!(matches!(missing, Err(JournalError::Missing { .. })), "{missing:?}");
    assert!(!directory.path().join("journal.sqlite").exists(), "looking makes nothing");
    drop(SqliteJournal::create(directory.path(), batch()).unwrap());
    let other: BatchId = "bat_00000000000000000000000000000002".parse().unwrap();
    let refused = SqliteJournal::open(directory.path(), other);
    assert!(matches!(refused, Err(JournalError::OtherBatch { .. })), "{refused:?}");
    let plain = rusqlite::Connection::open(directory.path().join("journal.sqlite")).unwrap();
    plain.pragma_update(None, "user_version", 9).unwrap();
    let newer = SqliteJournal::open(directory.path(), batch());
    assert!(matches!(&newer, Err(JournalError::Newer { found: 9, .. })), "{newer:?}");
    assert!(newer.unwrap_err().remedy().is_some());
}
