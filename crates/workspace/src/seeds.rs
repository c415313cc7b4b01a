//! Images of trees that workspaces start with.

use std::fs::File;
use std::path::{Path, PathBuf};

use environment::{Cancel, IMAGE_VIRTUAL_BYTES, tree};
use operation::OpError;
use uuid::Uuid;

use crate::home::{FileError, Home};
use crate::trouble::environment_error;

/// The image of an empty `/workspace`, made once.
pub(crate) fn empty(home: &Home) -> Result<PathBuf, OpError> {
    let path = home.seeds().join("empty.ext4");
    if path.exists() {
        return Ok(path);
    }
    let temporary = home.seeds().join(format!("empty.ext4.tmp-{}", Uuid::new_v4()));
    let made = tree::empty(&temporary, IMAGE_VIRTUAL_BYTES, &Cancel::new())
        .map_err(environment_error)
        .and_then(|()| {
            // An image that a power loss has emptied must not bear the name.
            File::open(&temporary)
                .and_then(|file| file.sync_all())
                .map_err(FileError::at("sync", &temporary))?;
            std::fs::rename(&temporary, &path).map_err(FileError::at("finish", &path))?;
            Ok(())
        });
    if made.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    made.map(|()| path)
}

/// Makes `image` of the tree in the host directory `source`.
pub(crate) fn from_directory(source: &Path, image: &Path, cancel: &Cancel) -> Result<(), OpError> {
    tree::from_directory(source, image, IMAGE_VIRTUAL_BYTES, cancel).map_err(|error| {
        environment_error(error)
            .during(format!("cannot copy {} into the workspace", source.display()))
    })
}
