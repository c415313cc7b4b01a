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
//!
//! One that was stopped in the middle of a commit holds the database itself, so nobody
//! could refuse it anything. Its lock's file says which process it is, and whoever takes
//! over kills it: what it had half written never counts, and what it had committed does.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use batch_api::Epoch;
use batch_core::journal::Claim;
use rusqlite::TransactionBehavior;

use super::{BUSY_TIMEOUT, JournalError, SqliteJournal, store};
use crate::custody::ProcessMark;

/// How long whoever takes over waits for the database before it ends those who hold it.
const TAKEOVER_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a process that was killed may take to be gone.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the lock of an epoch that never began may stay taken.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// What the name of a lock's file has around the epoch.
const LOCK_PREFIX: &str = "owner-";
const LOCK_SUFFIX: &str = ".lock";

/// What of a lock's file is read at most, in bytes; a mark has less.
const MARK_BYTES_MAX: u64 = 256;

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
        // An owner that holds the database is not waited for.
        if let Owner::Alive(owner) = self.owner()? {
            return Err(ClaimError::Owned(owner));
        }
        self.claim_as(Replacing::OnlyTheDead)
    }

    pub(super) fn take_over(&mut self) -> Result<Claim, JournalError> {
        let path = self.path();
        let failed = |source| JournalError::during("claim", &path)(source);
        self.connection.busy_timeout(TAKEOVER_TIMEOUT).map_err(failed)?;
        let claimed = self.claim_as(Replacing::Anybody);
        self.connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        let claimed = match claimed {
            Err(ClaimError::Journal(JournalError::Busy { .. })) => {
                end_engines(&self.directory)?;
                self.claim_as(Replacing::Anybody)
            }
            claimed => claimed,
        };
        match claimed {
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
        let mut lock = File::create(&file).map_err(refused)?;
        // No other claim can be here now. One that was killed here may not be gone yet,
        // and whoever looks for engines to end tries it for a moment.
        take(&lock).map_err(refused)?;
        ProcessMark::own()
            .and_then(|mark| lock.write_all(&serde_json::to_vec(&mark)?))
            .map_err(refused)?;
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

/// Takes a lock that nobody keeps.
fn take(lock: &File) -> io::Result<()> {
    let deadline = Instant::now() + LOCK_TIMEOUT;
    loop {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(10));
            }
            taken => return Ok(taken?),
        }
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

/// Ends all engines of a journal that live but this process.
fn end_engines(directory: &Path) -> Result<(), JournalError> {
    let at = |action, path: &Path| {
        let path = path.to_owned();
        move |source| JournalError::File { action, path, source }
    };
    let own = ProcessMark::own().map_err(at("lock", directory))?;
    for entry in fs::read_dir(directory).map_err(at("list", directory))? {
        let path = entry.map_err(at("list", directory))?.path();
        let Some(file) = opened_lock(&path).map_err(at("open", &path))? else { continue };
        if file.try_lock_shared().is_ok() {
            continue;
        }
        let mut text = Vec::new();
        file.take(MARK_BYTES_MAX).read_to_end(&mut text).map_err(at("read", &path))?;
        // One that says nothing yet has not claimed anything.
        let Ok(mark) = serde_json::from_slice::<ProcessMark>(&text) else { continue };
        if mark != own {
            mark.kill(KILL_TIMEOUT).map_err(at("end the engine of", &path))?;
        }
    }
    Ok(())
}

/// Opens a file if it is the lock of an engine.
fn opened_lock(path: &Path) -> io::Result<Option<File>> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !(name.starts_with(LOCK_PREFIX) && name.ends_with(LOCK_SUFFIX)) {
        return Ok(None);
    }
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn lock_file(directory: &Path, epoch: Epoch) -> PathBuf {
    directory.join(format!("{LOCK_PREFIX}{}{LOCK_SUFFIX}", epoch.0))
}
