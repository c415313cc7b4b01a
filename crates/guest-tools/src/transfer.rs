//! The tool `transfer`: whole trees, listed, hashed, sent and received.
//!
//! * `list`: what lies below a directory, and what is in some files.
//! * `pack`: a file, a link or a directory as an archive.
//! * `receive`: an archive's files put in place, all or none.

mod list;
mod pack;
mod receive;

use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use guest_protocol::path::WorkspacePath;
use guest_protocol::tools::transfer::TransferRequest;

use crate::error::ToolError;
use crate::root::Root;
use crate::wire;

/// Reads a request and answers it.
///
/// # Errors
///
/// If the request is not understood or the answer cannot be told; a failure to
/// do what is asked is an answer, unless part of the answer was told already.
pub fn serve(
    root: Result<Root, ToolError>,
    input: &mut impl Read,
    output: &mut impl Write,
) -> Result<(), ToolError> {
    let request: TransferRequest = wire::request(input)?;
    let root = match root {
        Ok(root) => root,
        Err(error) => return wire::answer::<()>(output, Err(error)),
    };
    match request {
        TransferRequest::List(list) => list::list(&root, &list, output),
        TransferRequest::Hash(hash) => wire::answer(output, list::hash(&root, &hash)),
        TransferRequest::Pack(pack) => pack::pack(&root, &pack, output),
        TransferRequest::Receive(receive) => {
            wire::answer(output, receive::receive(&root, &receive, input))
        }
    }
}

/// A directory of the workspace as a tree; `None` if nothing is there.
fn tree(root: &Root, path: &WorkspacePath) -> Result<Option<file_tree::Root>, ToolError> {
    match root.open_directory(path) {
        Ok((directory, _)) => Ok(Some(to_tree(directory))),
        Err(ToolError::Missing(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn to_tree(directory: OwnedFd) -> file_tree::Root {
    directory.into()
}

/// A path of a tree, of which there are fewer than of a workspace.
fn to_tree_path(path: &WorkspacePath) -> Result<file_tree::TreePath, ToolError> {
    file_tree::TreePath::parse(path.as_bytes()).map_err(|error| ToolError::Tree(error.into()))
}

/// A path of a workspace: every path of a tree is one.
fn to_workspace_path(path: &file_tree::TreePath) -> WorkspacePath {
    path.names().fold(WorkspacePath::root(), |parent, name| parent.join(name))
}

/// What kind of thing an entry is.
const fn kind(kind: file_tree::Kind) -> guest_protocol::tools::file::Kind {
    use guest_protocol::tools::file::Kind;
    match kind {
        file_tree::Kind::Directory => Kind::Directory,
        file_tree::Kind::File => Kind::File,
        file_tree::Kind::Symlink => Kind::Symlink,
        file_tree::Kind::Fifo | file_tree::Kind::Other => Kind::Special,
    }
}
