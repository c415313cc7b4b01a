//! What we remember of a connection: what was asked for, so that a change of it by
//! others is seen and mended, and the file as it was before, so that it can be that
//! again.
//!
//! One file per connection below the home, for nobody else's eyes: configuration
//! files may hold keys of other servers. It is written before the host's file is, so
//! a process that is killed in between leaves a memory of a connection that is not
//! there; the next `connect` writes another.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use operation::{ErrorKind, OpError};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use workspace_api::host::{ChatHost, HostScope, ServerName};

use crate::files::{FileError, create_private, replace_file, try_lock};
use crate::hex::hex;

/// How long another process may change connections before we give up.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);
/// How often we look.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// How many bytes of a digest tell directories apart.
const DIGEST_BYTES: usize = 8;

/// What is remembered of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Connected {
    /// The file that the entry stands in.
    pub(crate) file: PathBuf,
    /// What stands behind `mcp serve`.
    pub(crate) arguments: Vec<String>,
    /// The file before it had the entry.
    pub(crate) before: Before,
}

/// A file before it had our entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Before {
    /// There was none.
    Missing,
    /// It held this.
    Held(String),
    /// We do not know: the host wrote it, or the entry was there already.
    Unknown,
}

/// All memories of connections. While it lives, nobody else changes any.
#[derive(Debug)]
pub(crate) struct Records {
    directory: PathBuf,
    _lock: File,
}

impl Records {
    /// Opens them, once nobody else changes any.
    pub(crate) async fn open(directory: PathBuf) -> Result<Self, OpError> {
        create_private(&directory)?;
        let deadline = Instant::now() + LOCK_PATIENCE;
        loop {
            if let Some(lock) = try_lock(&directory.join("lock"))? {
                return Ok(Self { directory, _lock: lock });
            }
            if Instant::now() > deadline {
                let message = "another hotcell is changing connections of chat hosts";
                return Err(OpError::plain(ErrorKind::Conflict, message).hinted("try again later"));
            }
            tokio::time::sleep(LOCK_PAUSE).await;
        }
    }

    /// What is remembered; `None` also if it cannot be understood, for then it is
    /// worth nothing.
    pub(crate) fn find(&self, key: &Key) -> Result<Option<Connected>, OpError> {
        let path = self.path(key);
        match fs::read(&path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(FileError::at("read", &path)(error).into()),
        }
    }

    pub(crate) fn remember(&self, key: &Key, connected: &Connected) -> Result<(), OpError> {
        let bytes = serde_json::to_vec(connected).expect("a record is plain data");
        Ok(replace_file(&self.path(key), &bytes)?)
    }

    pub(crate) fn forget(&self, key: &Key) -> Result<(), OpError> {
        let path = self.path(key);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(FileError::at("remove", &path)(error).into())
            }
            _ => Ok(()),
        }
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.directory.join(format!("{}.json", key.0))
    }
}

/// What tells connections apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key(String);

impl Key {
    pub(crate) fn new(
        host: ChatHost,
        scope: HostScope,
        name: &ServerName,
        directory: &Path,
    ) -> Self {
        let digest = Sha256::digest(directory.as_os_str().as_encoded_bytes());
        Self(format!("{host}-{scope}-{name}-{}", hex(&digest[..DIGEST_BYTES])))
    }
}
