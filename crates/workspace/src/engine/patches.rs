//! Patches.

use std::io;
use std::path::Path;

use guest_protocol::tools::patch::{self, Action, Intent};
use operation::{Call, ErrorKind, Handler, Input, NoEvents, OpError};
use workspace_api::ledger::LedgerEvent;
use workspace_api::patch::{Applied, Apply, PatchAction, PatchedFile};

use super::Engine;
use super::tools::{Bulk, place};
use crate::files::FileError;

impl Handler<Apply> for Engine {
    async fn handle(&self, apply: Apply, call: &mut Call<NoEvents>) -> Result<Applied, OpError> {
        let record = self.store.find(&apply.workspace)?;
        let intent = if apply.check { Intent::Check } else { Intent::Apply };
        let request = patch::Apply { directory: place(&apply.directory)?, intent };
        let mut file: Input;
        let bulk = match (&apply.patch, &apply.patch_file) {
            (Some(_), Some(_)) => {
                let message = "a patch is given as text or as a file, not both";
                return Err(OpError::plain(ErrorKind::InvalidRequest, message));
            }
            (Some(text), None) => Bulk::Chunks(text.as_bytes()),
            (None, Some(path)) => {
                let path = Path::new(path);
                file = Box::new(tokio::fs::File::open(path).await.map_err(unreadable(path))?);
                Bulk::Input(&mut file)
            }
            (None, None) => Bulk::Input(&mut call.input),
        };
        let (applied, _): (patch::Applied, _) =
            self.tool(&record, patch::TOOL, &request, bulk, 0, &call.cancel).await?;
        let files: Vec<PatchedFile> = applied.files.into_iter().map(told).collect();
        if !apply.check {
            let paths = files.iter().map(|file| file.path.clone()).collect();
            let event = LedgerEvent::PatchApplied { paths, files: files.len() as u64 };
            self.note(&record, event).await;
        }
        Ok(Applied { files, checked_only: apply.check })
    }
}

/// The error of a file of the host that the caller named.
fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> OpError {
    move |source| {
        let kind = match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ErrorKind::NotFound,
            io::ErrorKind::PermissionDenied => ErrorKind::Denied,
            _ => ErrorKind::Internal,
        };
        OpError::new(kind, &FileError { action: "open", path: path.to_owned(), source })
    }
}

fn told(file: patch::PatchedFile) -> PatchedFile {
    PatchedFile {
        path: file.path.to_string(),
        action: match file.action {
            Action::Added => PatchAction::Added,
            Action::Modified => PatchAction::Modified,
            Action::Deleted => PatchAction::Deleted,
            Action::Renamed => PatchAction::Renamed,
            Action::Copied => PatchAction::Copied,
        },
        from: file.from.map(|from| from.to_string()),
        added_lines: file.added_lines,
        removed_lines: file.removed_lines,
        binary: file.binary,
        moved_hunks: file.moved_hunks.len() as u64,
    }
}
