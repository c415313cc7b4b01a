//! Creates directories, gives things other places, and removes them.

use guest_protocol::tools::file::{
    Delete, Depth, Entry, Existing, Kind, Mkdir, Move, Parents, Removed,
};
use rustix::fs::{AtFlags, RenameFlags};

use super::copy;
use crate::error::ToolError;
use crate::root::{DIRECTORY_MODE, Place, Root, kind_name, kind_of, sync};
use crate::staging::Staging;

pub(crate) fn mkdir(root: &Root, mkdir: &Mkdir) -> Result<Entry, ToolError> {
    let place = root.place(&mkdir.path, mkdir.parents, "created")?;
    match rustix::fs::mkdirat(&place.directory, &place.name, DIRECTORY_MODE) {
        Err(rustix::io::Errno::EXIST) if mkdir.parents == Parents::Create => {
            // A link to a directory is as good.
            root.open_directory(&mkdir.path)?;
        }
        made => made.map_err(ToolError::at("create", &mkdir.path))?,
    }
    sync(&place.directory, &place.path)?;
    place.entry()
}

pub(crate) fn move_(root: &Root, request: &Move) -> Result<Entry, ToolError> {
    let mut staging = Staging::begin(root)?;
    staging.lock()?;
    let from = root.place(&request.from, Parents::Require, "moved")?;
    let stat = from.stat()?.ok_or_else(|| ToolError::Missing(request.from.clone()))?;
    let to = target(root, &from, &request.to, request.parents, request.existing)?;
    if kind_of(&stat) == Kind::Directory && to.stat()?.is_some() {
        return Err(ToolError::Exists(to.path));
    }
    let flags = match request.existing {
        Existing::Keep => RenameFlags::NOREPLACE,
        Existing::Replace => RenameFlags::empty(),
    };
    rustix::fs::renameat_with(&from.directory, &from.name, &to.directory, &to.name, flags)
        .map_err(ToolError::at("move to", &to.path))?;
    sync(&to.directory, &to.path)?;
    sync(&from.directory, &from.path)?;
    to.entry()
}

/// Where something is to be put that comes from another place.
pub(super) fn target(
    root: &Root,
    from: &Place,
    to: &guest_protocol::path::WorkspacePath,
    parents: Parents,
    existing: Existing,
) -> Result<Place, ToolError> {
    // Before any directory is made for it.
    if to.is_within(&from.path) {
        return Err(ToolError::IntoItself { from: from.path.clone(), to: to.clone() });
    }
    let place = root.place(to, parents, "replaced")?;
    if place.path.is_within(&from.path) {
        return Err(ToolError::IntoItself { from: from.path.clone(), to: to.clone() });
    }
    match (place.stat()?, existing) {
        (None, _) => {}
        (Some(_), Existing::Keep) => return Err(ToolError::Exists(to.clone())),
        (Some(stat), Existing::Replace) if kind_of(&stat) == Kind::Directory => {
            let is = kind_name(Kind::Directory);
            return Err(ToolError::WrongKind { path: to.clone(), is, wanted: "a file" });
        }
        (Some(_), Existing::Replace) => {}
    }
    Ok(place)
}

pub(crate) fn delete(root: &Root, delete: &Delete) -> Result<Removed, ToolError> {
    let mut staging = Staging::begin(root)?;
    staging.lock()?;
    let place = root.place(&delete.path, Parents::Require, "deleted")?;
    let stat = place.stat()?.ok_or_else(|| ToolError::Missing(delete.path.clone()))?;
    if kind_of(&stat) != Kind::Directory {
        rustix::fs::unlinkat(&place.directory, &place.name, AtFlags::empty())
            .map_err(ToolError::at("delete", &delete.path))?;
        sync(&place.directory, &place.path)?;
        return Ok(Removed { entries: 1 });
    }
    match delete.depth {
        Depth::Shallow => {
            rustix::fs::unlinkat(&place.directory, &place.name, AtFlags::REMOVEDIR)
                .map_err(ToolError::at("delete", &delete.path))?;
            sync(&place.directory, &place.path)?;
            Ok(Removed { entries: 1 })
        }
        Depth::Deep => {
            let entries = copy::census(&root.absolute(&place.path), &place.path)?;
            // Gone at once for everybody else; then the directory of this tool
            // is removed with all that is in it.
            staging.take(&place)?;
            sync(&place.directory, &place.path)?;
            Ok(Removed { entries })
        }
    }
}
