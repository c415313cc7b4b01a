//! A batch on disk.

use std::path::{Path, PathBuf};

use batch_api::BatchId;
use batch_core::drive::Failure;
use batch_core::state::State;
use operation::{ErrorKind, OpError};

use super::files;
use super::remembered;
use super::setup::{self, SetupFile};
use crate::journal::{JournalError, Owner, SqliteJournal};

/// A batch on disk.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(super) batch: BatchId,
    pub(super) directory: PathBuf,
}

impl Place {
    pub(crate) fn new(batch: BatchId, directory: PathBuf) -> Self {
        Self { batch, directory }
    }

    /// Which it is.
    pub(crate) const fn batch(&self) -> BatchId {
        self.batch
    }

    /// What was written down of it when it was made.
    pub(super) fn setup(&self) -> Result<SetupFile, OpError> {
        let path = self.directory.join(setup::FILE);
        let Some(text) = files::read(&path, setup::BYTES_MAX)? else {
            let message = format!("the batch {} has no setup", self.batch);
            return Err(OpError::plain(ErrorKind::Internal, message));
        };
        let mut file = SetupFile::parse(&text)?;
        if file.setup.batch != self.batch {
            let message = format!("{} is the setup of {}", path.display(), file.setup.batch);
            return Err(OpError::plain(ErrorKind::Internal, message));
        }
        file.setup.directory.clone_from(&self.directory);
        Ok(file)
    }

    /// The commit that it began with.
    pub(crate) fn base(&self) -> Result<String, OpError> {
        Ok(self.setup()?.setup.base)
    }

    /// Its journal; none before the first engine.
    pub(super) fn journal(&self) -> Result<Option<SqliteJournal>, OpError> {
        match SqliteJournal::open(&self.directory, self.batch) {
            Ok(journal) => Ok(Some(journal)),
            Err(JournalError::Missing { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether an engine owns it.
    pub(super) fn owner(&self) -> Result<Owner, OpError> {
        match self.journal()? {
            Some(journal) => Ok(journal.owner()?),
            None => Ok(Owner::Nobody),
        }
    }

    /// What is known of it, and who owns it. Nothing is claimed.
    pub(crate) fn look(&self) -> Result<(State, Owner), OpError> {
        let Some(mut journal) = self.journal()? else {
            return Ok((State::default(), Owner::Nobody));
        };
        // The owner first: an engine that has ended by then has told everything.
        let owner = journal.owner()?;
        let state = remembered::fold(&self.directory, &mut journal, self.batch);
        Ok((state.map_err(unreadable)?, owner))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }
}

/// Why a journal cannot be folded.
fn unreadable(failure: Failure) -> OpError {
    OpError::new(ErrorKind::Internal, &failure)
        .hinted("put a copy of the whole directory aside; records before the damage can be read")
}

impl From<JournalError> for OpError {
    fn from(error: JournalError) -> Self {
        let kind = match error {
            JournalError::Missing { .. } => ErrorKind::NotFound,
            JournalError::Newer { .. } | JournalError::Busy { .. } => ErrorKind::Unavailable,
            JournalError::Full { .. } => ErrorKind::Exhausted,
            _ => ErrorKind::Internal,
        };
        let told = Self::new(kind, &error);
        match error.remedy() {
            Some(remedy) => told.hinted(remedy),
            None => told,
        }
    }
}
