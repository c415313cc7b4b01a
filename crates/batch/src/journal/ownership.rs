//! Who owns a journal, and whether it lives.
//!
//! ```text
//! nobody ──claim──▶ owner 1, alive ──dies──▶ owner 1, dead ──claim──▶ owner 2 …
//!                        └──────── take over ─────────────────────────▲
//! ```
//!
//! The epoch in the database says who owns it; the lock of the epoch's file says
//! whether that engine lives, because the kernel frees it with the process. The
//! lock is taken before the epoch counts: so an owner whose lock is free is dead,
//! never just beginning. A stopped engine lives; to take over from it is the
//! caller's decision, and it is refused everything from then on.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use batch_api::Epoch;
use batch_core::journal::Claim;
use rusqlite::TransactionBehavior;

use super::{JournalError, SqliteJournal, store};

/// Who owns a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// No engine ever claimed it.
    Nobody,
    /// The engine of this epoch, and it lives.
    Alive(Epoch),
    /// The engine of this epoch, and it is dead.
    Dead(Epoch),
}

/// The journal was not claimed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Its owner lives.
    #[error("the batch is owned by engine {}, which is alive", .0.0)]
    Owned(Epoch),
    /// Storage failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Whom a claim may replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replacing {
    OnlyTheDead,
    Anybody,
}

impl SqliteJournal {
    /// Who owns it at this moment.
    ///
    /// # Errors
    ///
    /// If the database or the lock cannot be read.
    pub fn owner(&self) -> Result<Owner, JournalError> {
        let path = self.path();
        let epoch = store::epoch(&self.connection).map_err(JournalError::during("read", &path))?;
        owner(&self.directory, epoch)
    }

    /// Claims the journal unless its owner lives.
    ///
    /// # Errors
    ///
    /// [`ClaimError::Owned`], or that storage failed.
    pub fn claim_unowned(&mut self) -> Result<Claim, ClaimError> {
        self.claim_as(Replacing::OnlyTheDead)
    }

    pub(super) fn take_over(&mut self) -> Result<Claim, JournalError> {
        match self.claim_as(Replacing::Anybody) {
            Ok(claim) => Ok(claim),
            Err(ClaimError::Journal(error)) => Err(error),
            Err(ClaimError::Owned(_)) => Err(JournalError::Busy { path: self.path() }),
        }
    }

    fn claim_as(&mut self, replacing: Replacing) -> Result<Claim, ClaimError> {
        let path = self.path();
        let failed = |source| JournalError::during("claim", &path)(source);
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed)?;
        let current = store::epoch(&transaction).map_err(failed)?;
        if let (Replacing::OnlyTheDead, Owner::Alive(owner)) =
            (replacing, owner(&self.directory, current)?)
        {
            return Err(ClaimError::Owned(owner));
        }
        let epoch = current.next();
        let last = store::last(&transaction).map_err(failed)?;
        let file = lock_file(&self.directory, epoch);
        let refused = |source| JournalError::File { action: "lock", path: file.clone(), source };
        let lock = File::create(&file).map_err(refused)?;
        // Only a claim holds it, and no other claim can be here now.
        lock.try_lock().map_err(|error| refused(error.into()))?;
        transaction
            .execute("UPDATE journal SET epoch = ?1", [epoch.0])
            .and_then(|_| transaction.commit())
            .map_err(failed)?;
        self.ownership = Some(lock);
        // A file that stays is in nobody's way: its epoch is over.
        if current != Epoch(0) && owner(&self.directory, current)? == Owner::Dead(current) {
            let _ = fs::remove_file(lock_file(&self.directory, current));
        }
        Ok(Claim { epoch, last })
    }
}

fn owner(directory: &Path, epoch: Epoch) -> Result<Owner, JournalError> {
    if epoch == Epoch(0) {
        return Ok(Owner::Nobody);
    }
    let path = lock_file(directory, epoch);
    match File::open(&path) {
        Ok(file) if file.try_lock_shared().is_err() => Ok(Owner::Alive(epoch)),
        Ok(_) => Ok(Owner::Dead(epoch)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Owner::Dead(epoch)),
        Err(source) => Err(JournalError::File { action: "open", path, source }),
    }
}

fn lock_file(directory: &Path, epoch: Epoch) -> PathBuf {
    directory.join(format!("owner-{}.lock", epoch.0))
}
