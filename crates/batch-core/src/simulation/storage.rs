//! A journal whose storage fails: what is appended may be written although it
//! seems to have failed, may not be written, or may be refused by a full disk.

use std::cell::RefCell;
use std::rc::Rc;

use batch_api::{Epoch, Sequence};

use crate::journal::memory::MemoryJournal;
use crate::journal::{AppendError, Claim, Digest, Journal, Line, StorageError, Traces};

/// What happens to an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is lost, and nobody knows.
    Lost,
    /// It is written, and nobody knows.
    Unheard,
    /// It is refused: the disk is full.
    Full,
}

/// A handle on a journal; all handles share one next fault.
#[derive(Debug, Clone, Default)]
pub(super) struct Storage {
    pub(super) journal: MemoryJournal,
    pub(super) next: Rc<RefCell<Option<Fault>>>,
}

fn trouble() -> StorageError {
    StorageError { step: "wrote", source: "input/output error".into() }
}

impl Journal for Storage {
    fn claim(&mut self) -> Result<Claim, StorageError> {
        self.journal.claim()
    }

    fn append(&mut self, epoch: Epoch, lines: &[Line]) -> Result<(), AppendError> {
        if lines.is_empty() {
            return Ok(());
        }
        match self.next.take() {
            None => self.journal.append(epoch, lines),
            Some(Fault::Lost) => Err(AppendError::Unknown(trouble())),
            Some(Fault::Full) => Err(AppendError::Refused(trouble())),
            Some(Fault::Unheard) => {
                self.journal.append(epoch, lines)?;
                Err(AppendError::Unknown(trouble()))
            }
        }
    }

    fn read(&mut self, after: Sequence, count_max: usize) -> Result<Vec<Line>, StorageError> {
        self.journal.read(after, count_max)
    }
}

impl Traces for Storage {
    fn keep(&mut self, content: &[u8]) -> Result<Digest, StorageError> {
        self.journal.keep(content)
    }

    fn trace(&mut self, digest: Digest) -> Result<Option<Vec<u8>>, StorageError> {
        self.journal.trace(digest)
    }

    fn prune(&mut self, digest: Digest) -> Result<(), StorageError> {
        self.journal.prune(digest)
    }
}

mod tests {
    use super::*;
    use crate::journal::contract::{self, Rig};

    impl Rig for Storage {
        type Journal = Self;

        fn open(&mut self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn the_simulated_journal_keeps_the_contract() {
        contract::check(Storage::default);
    }
}
