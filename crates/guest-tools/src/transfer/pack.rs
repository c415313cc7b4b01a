//! A file, a link or a directory as an archive.

use std::io::Write;

use file_tree::archive::Writer;
use file_tree::{Directories, Entry, TreeError, walk};
use guest_protocol::path::{STAGING, quote};
use guest_protocol::tools::file::Parents;
use guest_protocol::tools::transfer::{ENTRIES_MAX, LEFT_OUT_MAX, Pack, Packed};

use super::{kind, to_tree, to_tree_path, to_workspace_path};
use crate::error::ToolError;
use crate::root::{Root, kind_name};
use crate::wire;

/// What is packed: a tree, which files of it, and what is told of them.
struct Parcel {
    tree: file_tree::Root,
    entries: Vec<Entry>,
    packed: Packed,
}

/// Answers with an archive.
pub(super) fn pack(root: &Root, request: &Pack, output: &mut impl Write) -> Result<(), ToolError> {
    let Parcel { tree, entries, packed } = match gather(root, request) {
        Ok(parcel) => parcel,
        Err(error) => return wire::answer::<Packed>(output, Err(error)),
    };
    wire::answer(output, Ok(packed))?;
    let mut archive = Writer::new(output);
    file_tree::pack(&tree, &entries, &mut archive, &mut |_, error| Err(error))?;
    archive.finish()?;
    Ok(())
}

fn gather(root: &Root, request: &Pack) -> Result<Parcel, ToolError> {
    let max = usize::try_from(request.entries_max).unwrap_or(usize::MAX).min(ENTRIES_MAX);
    if request.path.is_root() || request.only.is_some() {
        let (directory, _) = root.open_directory(&request.path)?;
        return content(to_tree(directory), String::new(), request, max);
    }
    let place = root.place(&request.path, Parents::Require, "sent")?;
    let name = quote(place.name.as_encoded_bytes());
    let entry = place.entry()?;
    match entry.kind {
        guest_protocol::tools::file::Kind::Directory => {
            let (directory, _) = root.open_directory(&place.path)?;
            content(to_tree(directory), name, request, max)
        }
        guest_protocol::tools::file::Kind::Special => Err(ToolError::WrongKind {
            path: place.path.clone(),
            is: kind_name(entry.kind),
            wanted: "a file, a directory or a symbolic link",
        }),
        _ => {
            let path = file_tree::TreePath::parse(place.name.as_encoded_bytes())
                .map_err(TreeError::from)?;
            let tree = to_tree(place.directory);
            let entries = vec![tree.entry(path)?];
            let packed = told(&entries, entry.kind, name);
            Ok(Parcel { tree, entries, packed })
        }
    }
}

/// The content of a directory, or what of it is asked for.
fn content(
    tree: file_tree::Root,
    name: String,
    request: &Pack,
    max: usize,
) -> Result<Parcel, ToolError> {
    let entries = match &request.only {
        Some(only) => chosen(&tree, only)?,
        None => {
            let mut enter = |entry: &Entry| entry.path.as_bytes() != STAGING.as_bytes();
            walk(&tree, max, &mut enter)?.entries
        }
    };
    let packed = told(&entries, guest_protocol::tools::file::Kind::Directory, name);
    Ok(Parcel { tree, entries, packed })
}

fn chosen(
    tree: &file_tree::Root,
    only: &[guest_protocol::path::WorkspacePath],
) -> Result<Vec<Entry>, ToolError> {
    let mut directories = Directories::new(tree);
    let mut entries = Vec::with_capacity(only.len());
    for path in only {
        match directories.entry(to_tree_path(path)?) {
            Ok(entry) => entries.push(entry),
            Err(TreeError::BehindLink { .. }) => {}
            Err(error)
                if matches!(
                    error.io_kind(),
                    Some(std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
                ) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(entries)
}

fn told(entries: &[Entry], outer: guest_protocol::tools::file::Kind, name: String) -> Packed {
    let others = || entries.iter().filter(|entry| entry.kind == file_tree::Kind::Other);
    Packed {
        kind: outer,
        name,
        entries: entries.len() as u64,
        bytes: entries
            .iter()
            .filter(|entry| kind(entry.kind) == guest_protocol::tools::file::Kind::File)
            .map(|entry| entry.bytes.min(entry.disk_bytes))
            .fold(0, u64::saturating_add),
        left_out: others().take(LEFT_OUT_MAX).map(|entry| to_workspace_path(&entry.path)).collect(),
        left_out_total: others().count() as u64,
    }
}
