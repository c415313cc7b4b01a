//! A journal in memory, for tests and simulations: shared by all its handles as
//! a file is by processes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use batch_api::{Epoch, Sequence};

use super::digest::Digest;
use super::record::Line;
use super::storage::{AppendError, Claim, Journal, StorageError, Traces};

#[derive(Debug, Default)]
struct Stored {
    epoch: Epoch,
    lines: Vec<Line>,
    traces: BTreeMap<Digest, Vec<u8>>,
}

/// A handle on a journal in memory; a clone is another handle on the same one.
#[derive(Debug, Clone, Default)]
pub struct MemoryJournal {
    stored: Rc<RefCell<Stored>>,
}

impl Journal for MemoryJournal {
    fn claim(&mut self) -> Result<Claim, StorageError> {
        let mut stored = self.stored.borrow_mut();
        stored.epoch = stored.epoch.next();
        Ok(Claim { epoch: stored.epoch, last: last(&stored.lines) })
    }

    fn append(&mut self, epoch: Epoch, lines: &[Line]) -> Result<(), AppendError> {
        if lines.is_empty() {
            return Ok(());
        }
        let mut stored = self.stored.borrow_mut();
        AppendError::judge(epoch, stored.epoch, last(&stored.lines), lines)?;
        stored.lines.extend_from_slice(lines);
        Ok(())
    }

    fn read(&mut self, after: Sequence, count_max: usize) -> Result<Vec<Line>, StorageError> {
        let stored = self.stored.borrow();
        let follows = |line: &&Line| line.sequence > after;
        Ok(stored.lines.iter().filter(follows).take(count_max).cloned().collect())
    }
}

impl Traces for MemoryJournal {
    fn keep(&mut self, content: &[u8]) -> Result<Digest, StorageError> {
        let digest = Digest::of(content);
        self.stored.borrow_mut().traces.insert(digest, content.to_vec());
        Ok(digest)
    }

    fn trace(&mut self, digest: Digest) -> Result<Option<Vec<u8>>, StorageError> {
        Ok(self.stored.borrow().traces.get(&digest).cloned())
    }

    fn prune(&mut self, digest: Digest) -> Result<(), StorageError> {
        self.stored.borrow_mut().traces.remove(&digest);
        Ok(())
    }
}

fn last(lines: &[Line]) -> Sequence {
    lines.last().map(|line| line.sequence).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::contract::{self, Rig};

    impl Rig for MemoryJournal {
        type Journal = Self;

        fn open(&mut self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn a_journal_in_memory_keeps_the_contract() {
        contract::check(MemoryJournal::default);
    }
}
