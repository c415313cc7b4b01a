//! What was reached, and what was refused.

use std::collections::VecDeque;
use std::time::Instant;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use workspace_api::network::operations::{NetworkEntry, NetworkVerdict};

/// How many entries are remembered.
const ENTRIES_MAX: usize = 1000;

/// How many entries are on a page, so that they fit into a frame.
const PAGE_MAX: usize = 120;

/// The entries, of which those that are open go on changing.
#[derive(Debug, Default)]
pub(super) struct Journal {
    entries: VecDeque<(u64, Instant, NetworkEntry)>,
    last: u64,
}

/// Some entries, oldest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct JournalPage {
    pub(crate) entries: Vec<NetworkEntry>,
    /// The number of the last of them; nothing if these are the newest.
    pub(crate) next: Option<u64>,
}

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct EntryId(u64);

impl Journal {
    pub(super) fn add(&mut self, target: String, verdict: NetworkVerdict) -> EntryId {
        if self.entries.len() >= ENTRIES_MAX {
            self.entries.pop_front();
        }
        self.last += 1;
        let entry = NetworkEntry {
            at: Timestamp::from_second(Timestamp::now().as_second())
                .unwrap_or_default()
                .to_string(),
            target,
            verdict,
            reason: None,
            remedy: None,
            address: None,
            sent_bytes: 0,
            received_bytes: 0,
            duration_ms: 0,
        };
        self.entries.push_back((self.last, Instant::now(), entry));
        EntryId(self.last)
    }

    /// Changes an entry that is still remembered.
    pub(super) fn change(&mut self, id: EntryId, change: impl FnOnce(&mut NetworkEntry)) {
        // The open ones are mostly among the newest.
        if let Some((_, begun, entry)) =
            self.entries.iter_mut().rev().find(|(own, ..)| *own == id.0)
        {
            change(entry);
            entry.duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        }
    }

    /// The entries that came after the one of this number.
    pub(super) fn page(&self, after: u64) -> JournalPage {
        let begin = self.entries.partition_point(|(id, ..)| *id <= after);
        let told = self.entries.range(begin..).take(PAGE_MAX);
        let last = told.clone().next_back().map(|(id, ..)| *id);
        let entries = told.map(|(_, begun, entry)| {
            let mut entry = entry.clone();
            if entry.verdict == NetworkVerdict::Open {
                entry.duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            }
            entry
        });
        JournalPage { entries: entries.collect(), next: last.filter(|id| *id < self.last) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten_and_changing_them_is_harmless() {
        let mut journal = Journal::default();
        let first = journal.add("a".into(), NetworkVerdict::Open);
        let mut last = first;
        for _ in 0..ENTRIES_MAX {
            last = journal.add("b".into(), NetworkVerdict::Open);
        }
        journal.change(first, |entry| entry.sent_bytes = 1);
        journal.change(last, |entry| entry.sent_bytes = 2);
        let mut told = Vec::new();
        let mut next = Some(0);
        while let Some(after) = next {
            let page = journal.page(after);
            assert!(page.entries.len() <= PAGE_MAX);
            told.extend(page.entries);
            next = page.next;
        }
        assert_eq!(told.len(), ENTRIES_MAX);
        assert_eq!(told.last().map(|entry| entry.sent_bytes), Some(2));
        assert!(told.iter().all(|entry| entry.target == "b"));
    }
}
