//! The files on disk, brought up to what the journal says.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use batch_api::BatchId;
use batch_core::drive::Failure;
use batch_core::fact::Fact;
use batch_core::journal::{Chain, Journal as _};

use super::Projection;
use crate::engine::replace;
use crate::journal::{JournalError, SqliteJournal};

/// The state's name, as Taskplane has it.
pub(super) const STATE: &str = "batch-state.json";

/// The events' name, as Taskplane has it.
pub(super) const EVENTS: &str = "events.jsonl";

/// How many records are read at once.
const PAGE: usize = 1024;

/// Why the files cannot be brought up to date.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilesError {
    /// The journal cannot be opened.
    #[error("cannot open the journal of the batch")]
    Open(#[from] JournalError),
    /// The journal cannot be read, or is not whole.
    #[error("cannot read the journal of the batch")]
    Read(#[from] Failure),
    /// A file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Files in a directory, and how far in the journal they are.
#[derive(Debug)]
pub(crate) struct Files {
    directory: PathBuf,
    journal: SqliteJournal,
    chain: Chain,
    projection: Projection,
    /// Bytes of the events that are written; none before the first time.
    written: Option<u64>,
}

impl Files {
    /// Files in `directory`, of the batch whose journal is in `batch_directory`. Nothing
    /// is written yet.
    pub(crate) fn of(
        batch: BatchId,
        batch_directory: &Path,
        base: String,
        directory: PathBuf,
    ) -> Result<Self, FilesError> {
        let journal = SqliteJournal::open(batch_directory, batch)?;
        let (chain, projection) = (Chain::of(batch), Projection::of(batch, base));
        Ok(Self { directory, journal, chain, projection, written: None })
    }

    /// The last record that the files tell of.
    pub(super) const fn sequence(&self) -> u64 {
        self.chain.last().0
    }

    /// Brings both files up to the end of the journal. What is not as it was left is
    /// written anew, from the beginning.
    pub(crate) fn update(&mut self) -> Result<(), FilesError> {
        let path = self.directory.join(EVENTS);
        let length = fs::metadata(&path).map(|found| found.len()).ok();
        if self.written.is_none() || length != self.written {
            let Projection { batch, base, .. } = &self.projection;
            let (batch, base) = (*batch, base.clone());
            self.chain = Chain::of(batch);
            self.projection = Projection::of(batch, base);
            self.written = None;
        }
        let mut events = String::new();
        loop {
            let page = self.journal.read(self.chain.last(), PAGE).map_err(Failure::from)?;
            for line in &page {
                let record = self.chain.check::<Fact>(line).map_err(Failure::from)?;
                for event in self.projection.fold(&record) {
                    events.push_str(&event);
                    events.push('\n');
                }
            }
            if page.len() < PAGE {
                break;
            }
        }
        self.write(&path, &events).map_err(|source| FilesError::Write { path, source })?;
        let path = self.directory.join(STATE);
        let state = serde_json::to_vec_pretty(&self.projection.batch_state());
        let state = state.map_err(io::Error::from).and_then(|state| replace(&path, &state));
        state.map_err(|source| FilesError::Write { path, source })
    }

    fn write(&mut self, path: &Path, events: &str) -> io::Result<()> {
        let length = u64::try_from(events.len()).unwrap_or(u64::MAX);
        match self.written {
            None => {
                fs::create_dir_all(&self.directory)?;
                replace(path, events.as_bytes())?;
                self.written = Some(length);
            }
            Some(_) if events.is_empty() => {}
            Some(before) => {
                // Until it is whole nobody knows how long it is.
                self.written = None;
                let mut file: File = OpenOptions::new().append(true).open(path)?;
                file.write_all(events.as_bytes())?;
                self.written = Some(before + length);
            }
        }
        Ok(())
    }
}
