//! The tests that every storage of journals has to pass: the real one, and each
//! that stands in for it. They panic where a promise is broken.

use batch_api::{Actor, BatchId, Epoch, Sequence};

use super::chain::Chain;
use super::digest::Digest;
use super::record::{Draft, Line, Subject};
use super::storage::{AppendError, Journal, LINES_MAX, Traces};
use crate::time::Time;

/// Storage under test: one, and as many handles on it as are opened.
pub trait Rig {
    /// The kind of handle.
    type Journal: Journal + Traces;

    /// Opens one more handle, as another process would.
    fn open(&mut self) -> Self::Journal;
}

/// Checks every clause of the contract, each on fresh storage from `make`.
///
/// # Panics
///
/// If a clause is broken.
pub fn check<R: Rig>(mut make: impl FnMut() -> R) {
    an_empty_journal_has_no_lines_and_no_owner(make());
    lines_come_back_as_they_were(make());
    who_claims_is_the_only_one_who_appends(make());
    lines_follow_each_other_or_none_is_written(make());
    one_commit_has_its_limit(make());
    traces_are_kept_and_pruned_without_a_record_changing(make());
}

fn an_empty_journal_has_no_lines_and_no_owner<R: Rig>(mut rig: R) {
    let mut journal = rig.open();
    assert_eq!(journal.read(Sequence(0), 10).expect("read"), [], "nothing was written");
    let lines = lines(1);
    let refused = journal.append(Epoch(0), &lines);
    assert!(matches!(refused, Err(AppendError::Stale { .. })), "epoch 0 is nobody's: {refused:?}");
    let first = journal.claim().expect("claim");
    assert!(first.epoch > Epoch(0), "the first owner has an epoch");
    let second = rig.open().claim().expect("claim");
    assert!(second.epoch > first.epoch, "a later owner has a larger epoch");
}

fn lines_come_back_as_they_were<R: Rig>(mut rig: R) {
    let mut journal = rig.open();
    let claim = journal.claim().expect("claim");
    assert_eq!(claim.last, Sequence(0));
    let lines = lines(7);
    journal.append(claim.epoch, &lines[..3]).expect("append");
    journal.append(claim.epoch, &lines[3..]).expect("append");
    drop(journal);

    let mut other = rig.open();
    assert_eq!(other.read(Sequence(0), 100).expect("read"), lines, "all, in order");
    assert_eq!(other.read(Sequence(2), 3).expect("read"), lines[2..5], "a page of them");
    assert_eq!(other.read(Sequence(7), 3).expect("read"), [], "nothing after the last");
    assert_eq!(other.claim().expect("claim").last, Sequence(7), "a claim tells the last record");

    let mut chain = Chain::of(batch());
    for line in &other.read(Sequence(0), 100).expect("read") {
        chain.check::<String>(line).expect("the chain is whole");
    }
}

fn who_claims_is_the_only_one_who_appends<R: Rig>(mut rig: R) {
    let (mut old, mut new) = (rig.open(), rig.open());
    let lines = lines(4);
    let first = old.claim().expect("claim").epoch;
    old.append(first, &lines[..1]).expect("append");

    let second = new.claim().expect("claim").epoch;
    let stale = old.append(first, &lines[1..2]);
    assert!(matches!(stale, Err(AppendError::Stale { .. })), "taken over: {stale:?}");
    let early = new.append(second.next(), &lines[1..2]);
    assert!(matches!(early, Err(AppendError::Stale { .. })), "not yet anybody's: {early:?}");
    assert_eq!(rig.open().read(Sequence(0), 9).expect("read"), lines[..1], "nothing got in");

    new.append(second, &lines[1..3]).expect("append");
    let stale = old.append(first, &lines[3..]);
    assert!(matches!(stale, Err(AppendError::Stale { .. })), "still: {stale:?}");
    old.append(first, &[]).expect("nothing is nothing, whoever asks");
    assert_eq!(rig.open().read(Sequence(0), 9).expect("read"), lines[..3]);
}

fn lines_follow_each_other_or_none_is_written<R: Rig>(mut rig: R) {
    let mut journal = rig.open();
    let epoch = journal.claim().expect("claim").epoch;
    let lines = lines(5);
    journal.append(epoch, &lines[..2]).expect("append");
    for wrong in [&lines[3..], &lines[1..3], &lines[..2], &[lines[2].clone(), lines[4].clone()]] {
        let refused = journal.append(epoch, wrong);
        assert!(matches!(refused, Err(AppendError::Gap { .. })), "{refused:?}");
    }
    assert_eq!(journal.read(Sequence(0), 9).expect("read"), lines[..2], "all or none");
    journal.append(epoch, &lines[2..]).expect("refusals leave the journal usable");
}

fn one_commit_has_its_limit<R: Rig>(mut rig: R) {
    let mut journal = rig.open();
    let epoch = journal.claim().expect("claim").epoch;
    let lines = lines(LINES_MAX + 1);
    let refused = journal.append(epoch, &lines);
    assert!(matches!(refused, Err(AppendError::TooMany(_))), "{refused:?}");
    journal.append(epoch, &lines[..LINES_MAX]).expect("as many as one commit may have");
    let page = journal.read(Sequence(0), LINES_MAX + 1).expect("read");
    assert_eq!(page.len(), LINES_MAX);
}

fn traces_are_kept_and_pruned_without_a_record_changing<R: Rig>(mut rig: R) {
    let mut journal = rig.open();
    let epoch = journal.claim().expect("claim").epoch;
    let lines = lines(2);
    journal.append(epoch, &lines).expect("append");

    let content = b"what the agent said\0\xff".as_slice();
    let digest = journal.keep(content).expect("keep");
    assert_eq!(digest, Digest::of(content));
    assert_eq!(journal.keep(content).expect("keep"), digest, "twice is once");
    let mut other = rig.open();
    assert_eq!(other.trace(digest).expect("trace").as_deref(), Some(content));
    assert_eq!(other.trace(Digest::of(b"never")).expect("trace"), None);
    other.prune(digest).expect("prune");
    other.prune(digest).expect("what is gone is gone");
    assert_eq!(rig.open().trace(digest).expect("trace"), None);
    assert_eq!(rig.open().read(Sequence(0), 9).expect("read"), lines, "the chain is whole");
}

fn batch() -> BatchId {
    "bat_00000000000000000000000000000001".parse().expect("an id")
}

/// A chain of so many lines.
fn lines(count: usize) -> Vec<Line> {
    let mut chain = Chain::of(batch());
    let draft = |number: usize| Draft {
        actor: Actor::Engine,
        cause: None,
        subject: Subject::BATCH,
        fact: format!("fact {number}"),
    };
    let seal = |number| chain.seal(draft(number), Time(1), Epoch(1)).expect("short").1;
    (0..count).map(seal).collect()
}
