//! Half-done work, and how it is recognised when its owner has died.
//!
//! ```text
//! created ──▶ owned (lock held) ──▶ removed by its owner
//!                  │ the owner dies
//!                  └──▶ stale (lock free) ──▶ swept by anybody
//! ```
//!
//! The lock is a `flock` on `<entry>/lock`. The tools that work in the entry
//! hold it too, as their standard input, so an entry is not swept while an
//! orphan still writes into it. Creating and sweeping exclude each other
//! through one library-wide lock, so no entry is seen before it is locked.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::cancel::Cancel;
use crate::confinement::Confinement;
use crate::durable;
use crate::error::EnvironmentError;

/// How often a waiting process looks again.
const LOCK_INTERVAL: Duration = Duration::from_millis(50);

/// How often removal is tried: killed tools may take a moment to be gone.
const REMOVE_ATTEMPTS: u32 = 20;

/// Holds a lock until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock(File);

fn open_lock(path: &Path) -> Result<File, EnvironmentError> {
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(EnvironmentError::io("open", path))
}

fn try_lock(file: &File, path: &Path) -> Result<LockState, EnvironmentError> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(LockState::Ours),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(LockState::Theirs),
        Err(error) => Err(EnvironmentError::io("lock", path)(error.into())),
    }
}

enum LockState {
    Ours,
    Theirs,
}

impl Lock {
    /// Takes a lock. `waiting` is called once if somebody else holds it.
    pub(crate) fn take(
        path: &Path,
        cancel: &Cancel,
        waiting: &mut dyn FnMut(),
    ) -> Result<Self, EnvironmentError> {
        let file = open_lock(path)?;
        let mut told = false;
        loop {
            if let LockState::Ours = try_lock(&file, path)? {
                return Ok(Self(file));
            }
            if !told {
                waiting();
                told = true;
            }
            if cancel.is_cancelled() {
                return Err(EnvironmentError::Cancelled);
            }
            thread::sleep(LOCK_INTERVAL);
        }
    }
}

/// A directory for half-done work, removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Staging {
    entry: PathBuf,
    lock: Lock,
}

impl Staging {
    /// Creates an entry below `parent`; `guard` is the library-wide lock.
    pub(crate) fn create(
        parent: &Path,
        guard: &Path,
        cancel: &Cancel,
    ) -> Result<Self, EnvironmentError> {
        let _guard = Lock::take(guard, cancel, &mut || {})?;
        let entry = parent.join(uuid::Uuid::new_v4().to_string());
        durable::create_directory(&entry)?;
        let lock = Lock::take(&entry.join("lock"), cancel, &mut || {});
        let staging = Self { entry, lock: lock? };
        durable::create_directory(&staging.work())?;
        Ok(staging)
    }

    /// Where the work is done.
    pub(crate) fn work(&self) -> PathBuf {
        self.entry.join("work")
    }

    /// The lock, for a tool to hold as its standard input.
    pub(crate) fn lock(&self) -> Result<File, EnvironmentError> {
        self.lock.0.try_clone().map_err(EnvironmentError::io("share the lock of", &self.entry))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now is stale from now on and will be swept.
        let _left_for_the_sweep = remove(&self.entry);
    }
}

/// Removes every stale entry. Returns the bytes that were freed.
pub(crate) fn sweep(parent: &Path, guard: &Path, cancel: &Cancel) -> Result<u64, EnvironmentError> {
    let mut stale = Vec::new();
    {
        let _guard = Lock::take(guard, cancel, &mut || {})?;
        let entries = fs::read_dir(parent).map_err(EnvironmentError::io("list", parent))?;
        for entry in entries {
            let path = entry.map_err(EnvironmentError::io("list", parent))?.path();
            let lock_path = path.join("lock");
            match File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&lock_path)
            {
                Ok(file) => {
                    if let LockState::Ours = try_lock(&file, &lock_path)? {
                        stale.push((path, Lock(file)));
                    }
                }
                // Its owner has removed it between listing and looking.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(EnvironmentError::io("open", &lock_path)(error)),
            }
        }
    }
    let mut freed: u64 = 0;
    for (path, _lock) in stale {
        freed = freed.saturating_add(durable::disk_bytes(&path));
        remove(&path)?;
    }
    Ok(freed)
}

/// Removes a directory, whoever owns what is in it.
pub(crate) fn remove(path: &Path) -> Result<(), EnvironmentError> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        match fs::remove_dir_all(path) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !path.exists() => {
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                // Files of subordinate ids belong to this user only inside a
                // namespace that maps them.
                let confinement = Confinement::detect(path)?;
                let invocation = confinement.invocation("rm", "coreutils", path)?;
                invocation
                    .args(&["-rf", "--one-file-system", "--"])
                    .arg(path)
                    .run(&Cancel::new())?;
                return Ok(());
            }
            Err(error) if attempt == REMOVE_ATTEMPTS => {
                return Err(EnvironmentError::io("remove", path)(error));
            }
            Err(_) => thread::sleep(LOCK_INTERVAL),
        }
    }
}
