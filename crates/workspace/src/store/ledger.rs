//! The ledger: what happened in each workspace, as a chain of hashes.
//!
//! Row *n* of a workspace holds its event and two hashes: that of row *n*−1 and
//! its own. The hash of a row is SHA-256 over
//!
//! ```text
//! "hotcell ledger 1\0" · previous hash (32 bytes; zeros before the first row)
//! · sequence (u64) · moment (i64, milliseconds since 1970)
//! · workspace's id · kind · data
//! ```
//!
//! with numbers in big-endian order and each text as its length in bytes (u32)
//! and its UTF-8 bytes. `data` is the event's JSON exactly as it is stored, so
//! there is no second encoding that both sides would have to agree on. The
//! chain of a workspace begins with sequence 1.
//!
//! A row that is changed, removed, moved or put in between breaks the chain.
//! What the chain cannot show is that somebody with access to the database cut
//! off its end, or wrote all of it anew: whoever wants to notice keeps the hash
//! of the last row ([`Verified::head`]) elsewhere.
//!
//! Rows are appended by several processes, each time in one transaction. A
//! machine that lives with its creator has no ledger. A workspace's ledger is
//! bounded: when it exceeds [`EVENTS_MAX`] its oldest rows go, and the chain
//! then begins at a later sequence. The ledger of a deleted workspace ends with
//! `deleted` and stays as long as its tombstone.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use sha2::{Digest as _, Sha256};
use workspace_api::id::WorkspaceId;
use workspace_api::ledger::LedgerEvent;

use super::row::{json, time};
use super::{Store, StoreError};

/// How many events of one workspace are kept.
const EVENTS_MAX: u64 = 100_000;

/// How many of the oldest go at once when there are too many.
const EVENTS_PRUNED: u64 = 10_000;

/// Keeps these hashes apart from all others.
const DOMAIN: &[u8] = b"hotcell ledger 1\0";

/// The hash of a row.
type Hash = [u8; 32];

/// A row of the ledger.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) sequence: u64,
    pub(crate) at: Timestamp,
    pub(crate) event: LedgerEvent,
}

/// What a check of a chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verified {
    /// How many events there are.
    pub(crate) events: u64,
    /// Hash of the last one.
    pub(crate) head: Option<Hash>,
    /// The first row that does not follow from the one before.
    pub(crate) broken_at: Option<u64>,
}

impl Store {
    /// Writes down what happened in a workspace just now, in this order. For a
    /// machine that lives with its creator nothing is written.
    pub(crate) fn append(&self, id: WorkspaceId, events: &[LedgerEvent]) -> Result<(), StoreError> {
        let now = Timestamp::now();
        let events: Vec<_> = events.iter().map(|event| (now, event.clone())).collect();
        self.append_all(id, &events)
    }

    /// The same with the moments at which it happened.
    pub(crate) fn append_all(
        &self,
        id: WorkspaceId,
        events: &[(Timestamp, LedgerEvent)],
    ) -> Result<(), StoreError> {
        const ACTION: &str = "write the ledger";
        let failed = |source| StoreError::Record { action: ACTION, source };
        self.change(ACTION, |transaction| {
            let lifetime: Option<String> = transaction
                .prepare_cached("SELECT lifetime FROM workspaces WHERE id = ?1")
                .and_then(|mut query| {
                    query.query_row([id.to_string()], |row| row.get(0)).optional()
                })
                .map_err(failed)?;
            match lifetime.as_deref() {
                None => Err(StoreError::NotFound(id.into())),
                Some("with_creator") => Ok(()),
                Some(_) => append(transaction, id, events).map_err(failed),
            }
        })
    }

    /// Up to `limit` events of a workspace after a sequence number, the oldest
    /// first; only of these kinds if any are given.
    pub(crate) fn events(
        &self,
        id: WorkspaceId,
        after: u64,
        limit: u32,
        kinds: &[&str],
    ) -> Result<Vec<Entry>, StoreError> {
        self.query(
            "SELECT sequence, at, data FROM events
                    WHERE workspace = ?1 AND sequence > ?2
                      AND (?4 = '[]' OR kind IN (SELECT value FROM json_each(?4)))
                    ORDER BY sequence LIMIT ?3",
            id,
            after,
            limit,
            kinds,
        )
    }

    /// The last events of a workspace, the oldest first; see [`Store::events`].
    pub(crate) fn last_events(
        &self,
        id: WorkspaceId,
        limit: u32,
        kinds: &[&str],
    ) -> Result<Vec<Entry>, StoreError> {
        let newest_first = "SELECT sequence, at, data FROM events
                    WHERE workspace = ?1 AND sequence > ?2
                      AND (?4 = '[]' OR kind IN (SELECT value FROM json_each(?4)))
                    ORDER BY sequence DESC LIMIT ?3";
        let mut entries = self.query(newest_first, id, 0, limit, kinds)?;
        entries.reverse();
        Ok(entries)
    }

    fn query(
        &self,
        query: &str,
        id: WorkspaceId,
        after: u64,
        limit: u32,
        kinds: &[&str],
    ) -> Result<Vec<Entry>, StoreError> {
        let kinds = serde_json::to_string(kinds).expect("words are plain data");
        let failed = |source| StoreError::Record { action: "read the ledger", source };
        let connection = self.connection();
        let mut statement = connection.prepare_cached(query).map_err(failed)?;
        statement
            .query_map(params![id.to_string(), after, limit, kinds], |row| {
                Ok(Entry { sequence: row.get(0)?, at: time(row, 1)?, event: json(row, 2)? })
            })
            .and_then(Iterator::collect)
            .map_err(failed)
    }

    /// Checks a workspace's chain from its first row to its last.
    pub(crate) fn verify(&self, id: WorkspaceId) -> Result<Verified, StoreError> {
        let failed = |source| StoreError::Record { action: "check the ledger", source };
        let connection = self.connection();
        let mut statement = connection
            .prepare_cached(
                "SELECT sequence, at, kind, data, previous, hash FROM events
                 WHERE workspace = ?1 ORDER BY sequence",
            )
            .map_err(failed)?;
        let mut rows = statement.query([id.to_string()]).map_err(failed)?;
        let mut verified = Verified { events: 0, head: None, broken_at: None };
        let mut last: Option<(u64, Hash)> = None;
        while let Some(row) = rows.next().map_err(failed)? {
            let (sequence, link) = read_link(row).map_err(failed)?;
            let follows = match last {
                Some((before, hash)) => sequence == before + 1 && link.previous == hash,
                None => sequence > 1 || link.previous == Hash::default(),
            };
            let computed = link.hash(id, sequence);
            if verified.broken_at.is_none() && !(follows && computed == link.stored) {
                verified.broken_at = Some(sequence);
            }
            verified.events += 1;
            last = Some((sequence, link.stored));
        }
        verified.head = last.map(|(_, hash)| hash);
        Ok(verified)
    }
}

/// What a row's hash is made of.
struct Link {
    at: i64,
    kind: String,
    data: String,
    previous: Hash,
    stored: Hash,
}

fn read_link(row: &Row<'_>) -> rusqlite::Result<(u64, Link)> {
    let link = Link {
        at: row.get(1)?,
        kind: row.get(2)?,
        data: row.get(3)?,
        previous: row.get(4)?,
        stored: row.get(5)?,
    };
    Ok((row.get(0)?, link))
}

impl Link {
    fn hash(&self, id: WorkspaceId, sequence: u64) -> Hash {
        let mut hasher = Sha256::new();
        hasher.update(DOMAIN);
        hasher.update(self.previous);
        hasher.update(sequence.to_be_bytes());
        hasher.update(self.at.to_be_bytes());
        for text in [&id.to_string(), &self.kind, &self.data] {
            let length = u32::try_from(text.len()).expect("events are bounded");
            hasher.update(length.to_be_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.finalize().into()
    }
}

/// Adds events to a workspace's chain, and moves its last activity on.
pub(super) fn append(
    transaction: &Transaction<'_>,
    id: WorkspaceId,
    events: &[(Timestamp, LedgerEvent)],
) -> rusqlite::Result<()> {
    let last = transaction
        .prepare_cached(
            "SELECT sequence, hash FROM events WHERE workspace = ?1
             ORDER BY sequence DESC LIMIT 1",
        )?
        .query_row([id.to_string()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (mut sequence, mut previous): (u64, Hash) = last.unwrap_or_default();
    let mut insert =
        transaction.prepare_cached("INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    for (at, event) in events {
        sequence += 1;
        let event = event.clone().bounded();
        let mut link = Link {
            at: at.as_millisecond(),
            kind: event.kind(),
            data: serde_json::to_string(&event).expect("events are plain data"),
            previous,
            stored: Hash::default(),
        };
        link.stored = link.hash(id, sequence);
        previous = link.stored;
        insert.execute(params![
            id.to_string(),
            sequence,
            link.at,
            link.kind,
            link.data,
            link.previous,
            link.stored
        ])?;
    }
    if let Some((at, _)) = events.iter().rev().find(|(_, event)| event.is_activity()) {
        super::records::touch(transaction, id, *at)?;
    }
    prune(transaction, id, sequence)
}

fn prune(transaction: &Transaction<'_>, id: WorkspaceId, last: u64) -> rusqlite::Result<()> {
    let first: u64 = transaction
        .prepare_cached("SELECT IFNULL(MIN(sequence), 1) FROM events WHERE workspace = ?1")?
        .query_row([id.to_string()], |row| row.get(0))?;
    if last - first >= EVENTS_MAX {
        transaction.execute(
            "DELETE FROM events WHERE workspace = ?1 AND sequence < ?2",
            params![id.to_string(), last - EVENTS_MAX + EVENTS_PRUNED],
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
