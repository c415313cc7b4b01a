use std::thread;

use workspace_api::state::Step;

use super::super::tests::{record, store};
use super::*;
use crate::keeper::Lifetime;

fn written(path: &str) -> LedgerEvent {
    LedgerEvent::FileWritten { path: path.to_owned(), bytes: 1 }
}

#[test]
fn a_hash_is_what_the_format_says() {
    let (_directory, _, store) = store();
    let record = record(None);
    store.insert(&record, None).unwrap();
    let at = Timestamp::from_millisecond(1_700_000_000_123).unwrap();
    store.append_all(record.id, &[(at, LedgerEvent::Started {})]).unwrap();
    let (previous, hash): (Hash, Hash) = store
        .connection()
        .query_row("SELECT previous, hash FROM events WHERE sequence = 2", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    // Written out by hand, so that a change of the format is seen.
    let mut bytes = b"hotcell ledger 1\0".to_vec();
    bytes.extend(previous);
    bytes.extend([0, 0, 0, 0, 0, 0, 0, 2]);
    bytes.extend(1_700_000_000_123_u64.to_be_bytes());
    bytes.extend([0, 0, 0, 35]);
    bytes.extend(record.id.to_string().bytes());
    bytes.extend(b"\0\0\0\x07started\0\0\0\x12{\"kind\":\"started\"}");
    assert_eq!(hash, Hash::from(Sha256::digest(&bytes)));
}

#[test]
fn every_kind_of_tampering_breaks_the_chain() {
    for (tampering, broken_at) in [
        ("UPDATE events SET data = replace(data, '/b', '/x') WHERE sequence = 3", 3),
        ("UPDATE events SET at = at + 1 WHERE sequence = 2", 2),
        ("UPDATE events SET kind = 'reset' WHERE sequence = 4", 4),
        ("DELETE FROM events WHERE sequence = 3", 4),
        ("UPDATE events SET sequence = sequence + 1 WHERE sequence = 4", 5),
        (
            "UPDATE events SET data = (SELECT data FROM events WHERE sequence = 2),
                               hash = (SELECT hash FROM events WHERE sequence = 2)
             WHERE sequence = 3",
            3,
        ),
    ] {
        let (_directory, _, store) = store();
        let record = record(None);
        store.insert(&record, None).unwrap();
        store.append(record.id, &[written("/a"), written("/b"), written("/c")]).unwrap();
        let before = store.verify(record.id).unwrap();
        assert_eq!((before.events, before.broken_at), (4, None));
        assert_eq!(store.connection().execute(tampering, []).unwrap(), 1, "{tampering}");
        let after = store.verify(record.id).unwrap();
        assert_eq!(after.broken_at, Some(broken_at), "{tampering}");
    }
}

#[test]
fn a_chain_belongs_to_its_workspace() {
    let (_directory, _, store) = store();
    let (one, other) = (record(None), record(None));
    store.insert(&one, None).unwrap();
    store.insert(&other, None).unwrap();
    store
        .connection()
        .execute_batch(&format!(
            "DELETE FROM events WHERE workspace = '{}';
             UPDATE events SET workspace = '{}' WHERE workspace = '{}'",
            other.id, other.id, one.id
        ))
        .unwrap();
    assert_eq!(store.verify(other.id).unwrap().broken_at, Some(1));
}

#[test]
fn several_processes_append_to_one_chain() {
    let (_directory, home, store) = store();
    let record = record(None);
    store.insert(&record, None).unwrap();
    thread::scope(|scope| {
        for writer in 0..4 {
            let (home, id) = (&home, record.id);
            scope.spawn(move || {
                let store = Store::open(home).unwrap();
                for number in 0..10 {
                    store.append(id, &[written(&format!("/{writer}/{number}"))]).unwrap();
                }
            });
        }
    });
    let verified = store.verify(record.id).unwrap();
    assert_eq!((verified.events, verified.broken_at), (41, None));
    let entries = store.events(record.id, 39, 10, &[]).unwrap();
    assert_eq!(entries.iter().map(|entry| entry.sequence).collect::<Vec<_>>(), [40, 41]);
}

#[test]
fn a_ledger_outlives_its_workspace_and_ends_there() {
    let (_directory, _, store) = store();
    let record = record(Some("demo"));
    store.insert(&record, None).unwrap();
    store.step(record.id, Step::Ready, None).unwrap();
    store.step(record.id, Step::Delete, Some("enough")).unwrap();
    let events = store.events(record.id, 0, 10, &[]).unwrap();
    let kinds: Vec<_> = events.iter().map(|entry| entry.event.kind()).collect();
    assert_eq!(kinds, ["created", "started", "deleted"]);
    let refused = store.append(record.id, &[written("/late")]);
    assert!(matches!(refused, Err(StoreError::NotFound(_))));
    assert_eq!(store.tombstones(None).unwrap()[0].id, record.id);
}

#[test]
fn a_machine_that_lives_with_its_creator_has_no_ledger() {
    let (_directory, _, store) = store();
    let record = super::super::Record { lifetime: Lifetime::WithCreator, ..record(None) };
    store.insert(&record, None).unwrap();
    store.append(record.id, &[written("/a")]).unwrap();
    store.step(record.id, Step::Ready, None).unwrap();
    store.step(record.id, Step::Delete, None).unwrap();
    assert_eq!(store.verify(record.id).unwrap().events, 0);
    assert!(store.tombstones(None).unwrap().is_empty());
}

#[test]
fn a_very_long_ledger_loses_its_oldest_events() {
    let (_directory, _, store) = store();
    let record = record(None);
    store.insert(&record, None).unwrap();
    let many = vec![LedgerEvent::Started {}; 50_000];
    store.append(record.id, &many).unwrap();
    store.append(record.id, &many).unwrap();
    let verified = store.verify(record.id).unwrap();
    assert_eq!((verified.events, verified.broken_at), (EVENTS_MAX - EVENTS_PRUNED + 1, None));
    assert_eq!(store.events(record.id, 0, 1, &[]).unwrap()[0].sequence, 10_001);
}

#[test]
fn what_a_user_does_moves_the_last_activity() {
    let (_directory, _, store) = store();
    let record = record(None);
    store.insert(&record, None).unwrap();
    let at = |ms| Timestamp::from_millisecond(ms).unwrap();
    let last = || store.list().unwrap()[0].last_activity_at;
    let later = record.created_at.as_millisecond() + 5000;
    store.append_all(record.id, &[(at(later), LedgerEvent::Started {})]).unwrap();
    assert_eq!(last().as_millisecond(), record.created_at.as_millisecond());
    store.append_all(record.id, &[(at(later), written("/a"))]).unwrap();
    assert_eq!(last(), at(later));
    // A clock that was set back moves nothing back.
    store.append_all(record.id, &[(at(later - 1000), written("/a"))]).unwrap();
    assert_eq!(last(), at(later));
}
