//! Writes whole files.

use std::io::{Read, Write as _};

use guest_protocol::tools::file::{Existing, Kind, Parents, Write, Written};

use crate::error::ToolError;
use crate::root::{PERMISSIONS, Place, Root, kind_name, kind_of};
use crate::staging::{Staging, finish};
use crate::wire;

/// Permission bits of new files.
const FILE_MODE: u32 = 0o644;

pub(crate) fn write(
    root: &Root,
    write: &Write,
    input: &mut impl Read,
) -> Result<Written, ToolError> {
    refuse_early(root, write)?;
    let mut staging = Staging::begin(root)?;
    let (slot, mut file) = staging.file()?;
    // The content may come slowly: nobody waits for it.
    wire::chunks(input, |chunk| file.write_all(chunk).map_err(ToolError::staging("write into")))?;
    staging.lock()?;
    let place = root.followed_place(&write.path, write.parents, "written")?;
    let existing = replaceable(&place, write.existing)?;
    let (mode, owner) = match &existing {
        Some(Replaced { mode, owner }) => (write.mode.unwrap_or(*mode), Some(*owner)),
        None => (write.mode.unwrap_or(FILE_MODE), None),
    };
    finish(&file, mode & PERMISSIONS, owner)?;
    staging.put(slot, &place, write.existing)?;
    Ok(Written { entry: place.entry()?, created: existing.is_none() })
}

/// What can be known to fail before any content is read.
fn refuse_early(root: &Root, write: &Write) -> Result<(), ToolError> {
    match root.followed_place(&write.path, Parents::Require, "written") {
        Ok(place) => replaceable(&place, write.existing).map(|_| ()),
        Err(ToolError::Missing(_)) if write.parents == Parents::Create => Ok(()),
        Err(error) => Err(error),
    }
}

/// What stays of a file that is replaced.
struct Replaced {
    mode: u32,
    owner: (u32, u32),
}

/// The file that may be replaced; `None` if nothing is there.
fn replaceable(place: &Place, existing: Existing) -> Result<Option<Replaced>, ToolError> {
    let Some(stat) = place.stat()? else { return Ok(None) };
    if existing == Existing::Keep {
        return Err(ToolError::Exists(place.path.clone()));
    }
    match kind_of(&stat) {
        Kind::File => {
            let owner = (stat.st_uid, stat.st_gid);
            Ok(Some(Replaced { mode: stat.st_mode & PERMISSIONS, owner }))
        }
        kind => Err(ToolError::WrongKind {
            path: place.path.clone(),
            is: kind_name(kind),
            wanted: "a file",
        }),
    }
}
