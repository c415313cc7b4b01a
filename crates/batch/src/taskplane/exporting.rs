//! `batch.export`: the files wherever somebody wants them.

use std::path::{Path, PathBuf};

use batch_api::BatchId;
use batch_api::export::{Export, Exported};
use operation::{Call, ErrorKind, Handler, NoEvents, OpError};
use serde::Deserialize;

use super::Files;
use super::files::{EVENTS, FilesError, STATE};
use crate::Batches;
use crate::control::{blocking, choose};

/// Most bytes of a state that is looked at.
const STATE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// All that is read of a state: whose it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Whose {
    batch_id: String,
}

impl Handler<Export> for Batches {
    async fn handle(&self, export: Export, _: &mut Call<NoEvents>) -> Result<Exported, OpError> {
        let home = self.home.clone();
        blocking(move || {
            let place = choose(&home, &export.target)?;
            let out = PathBuf::from(export.out);
            let batch = place.batch();
            refuse_others(&out, batch)?;
            let base = place.base()?;
            let mut files = Files::of(batch, place.directory(), base, out.clone())?;
            files.update()?;
            let files_written = [STATE, EVENTS].map(|name| out.join(name).display().to_string());
            Ok(Exported { id: batch, sequence: files.sequence(), files: files_written.to_vec() })
        })
        .await
    }
}

/// Files that are somebody else's stay as they are.
fn refuse_others(out: &Path, batch: BatchId) -> Result<(), OpError> {
    let path = out.join(STATE);
    let theirs = |what: &str| {
        let message = format!("{} is {what}", path.display());
        OpError::plain(ErrorKind::Conflict, message)
            .hinted("name another directory, or move the files that are there away")
    };
    match crate::control::read_file(&path, STATE_BYTES_MAX)? {
        None if out.join(EVENTS).symlink_metadata().is_ok() => {
            Err(theirs("missing, but there are events beside it"))
        }
        None => Ok(()),
        Some(text) => match serde_json::from_slice::<Whose>(&text) {
            Ok(whose) if whose.batch_id == batch.to_string() => Ok(()),
            Ok(_) => Err(theirs("the state of another batch")),
            Err(_) => Err(theirs("no state of a batch")),
        },
    }
}

impl From<FilesError> for OpError {
    fn from(error: FilesError) -> Self {
        match error {
            FilesError::Open(error) => error.into(),
            error => Self::new(ErrorKind::Internal, &error),
        }
    }
}
