//! Where batches lie.
//!
//! ```text
//! <home>/batches/<id>/     mode 0700, one batch each
//!   journal.sqlite …       its journal, see `journal`
//!   custody/               the registry of its processes, see `custody`
//!   setup.json             how it was made, see `control::setup`
//!   engine.sock            the door of its engine; engine.log what that says
//!   repository/            its store of commits, see `batch_git`
//!   status.json            how far it is, for other programs
//!   remembered.json        what its journal amounts to, see `control::remembered`
//! <home>/batches/.new-…    a batch that is being made
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use batch_api::BatchId;
use operation::{ErrorKind, OpError};

use crate::control::Place;

/// The registry of processes within a batch's directory.
const CUSTODY: &str = "custody";

/// The directory that holds all batches.
#[derive(Debug, Clone)]
pub(crate) struct BatchesHome(PathBuf);

impl BatchesHome {
    /// Within the directory that holds everything of Hotcell's.
    pub(crate) fn within(home: &Path) -> Self {
        Self(home.join("batches"))
    }

    /// The registry of a batch's processes.
    pub(crate) fn custody(&self, batch: BatchId) -> PathBuf {
        self.directory(batch).join(CUSTODY)
    }

    /// The directory that holds all of them.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A batch, whether it is there or not.
    pub(crate) fn place(&self, batch: BatchId) -> Place {
        Place::new(batch, self.directory(batch))
    }

    fn directory(&self, batch: BatchId) -> PathBuf {
        self.0.join(batch.to_string())
    }

    /// Every batch that there is, or the one that is meant.
    pub(crate) fn batches(&self, meant: Option<BatchId>) -> Result<Vec<BatchId>, OpError> {
        if let Some(batch) = meant {
            if self.directory(batch).is_dir() {
                return Ok(vec![batch]);
            }
            let message = format!("there is no batch `{batch}`");
            return Err(OpError::plain(ErrorKind::NotFound, message)
                .hinted("`hotcell batch processes` without an id shows those of every batch"));
        }
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                let during = format!("cannot list {}", self.0.display());
                return Err(OpError::new(ErrorKind::Internal, &error).during(&during));
            }
        };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut all: Vec<BatchId> = names.filter_map(|name| name.parse().ok()).collect();
        all.sort();
        Ok(all)
    }
}
