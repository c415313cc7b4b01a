//! Passes: who holds one calls the tools of one lane, until it is withdrawn.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use batch_api::AttemptId;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::lane::Lane;

/// How long a pass is: two random ids in hexadecimal, 244 bits that nobody can guess.
pub(super) const PASS_BYTES: usize = 64;

/// The passes that are valid. They are known by their digests, so that what is in
/// memory opens nothing, and how long a comparison takes tells nothing.
#[derive(Debug, Default)]
pub(super) struct Passes(Mutex<BTreeMap<[u8; 32], Arc<Lane>>>);

impl Passes {
    /// Makes a pass for a lane and writes it to a new file, with where to show it.
    pub(super) fn issue(&self, lane: Arc<Lane>, socket: &Path, file: &Path) -> io::Result<()> {
        let pass = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let mut written = OpenOptions::new().create_new(true).write(true).mode(0o600).open(file)?;
        written.write_all(pass.as_bytes())?;
        written.write_all(socket.as_os_str().as_bytes())?;
        self.all().insert(digest(pass.as_bytes()), lane);
        Ok(())
    }

    /// The lane that a pass is for.
    pub(super) fn lane(&self, pass: &[u8]) -> Option<Arc<Lane>> {
        self.all().get(&digest(pass)).cloned()
    }

    /// Makes the passes of an attempt worthless; the lanes that they were for.
    pub(super) fn withdraw(&self, attempt: &AttemptId) -> Vec<Arc<Lane>> {
        let is_its = |_: &[u8; 32], lane: &mut Arc<Lane>| lane.attempt() == attempt;
        self.all().extract_if(.., is_its).map(|(_, lane)| lane).collect()
    }

    fn all(&self) -> std::sync::MutexGuard<'_, BTreeMap<[u8; 32], Arc<Lane>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest(pass: &[u8]) -> [u8; 32] {
    Sha256::digest(pass).into()
}
