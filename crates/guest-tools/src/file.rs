//! The tool `file`: what lies in `/workspace`, one request per process.

mod change;
mod copy;
mod edit;
mod list;
mod read;
mod write;

use std::io::{Read, Write};

use guest_protocol::tools::file::FileRequest;

use crate::error::ToolError;
use crate::root::Root;
use crate::wire;

/// Reads a request and answers it.
///
/// # Errors
///
/// If the request is not understood or the answer cannot be told; a failure to
/// do what is asked is an answer.
pub fn serve(
    root: Result<Root, ToolError>,
    input: &mut impl Read,
    output: &mut impl Write,
) -> Result<(), ToolError> {
    let request: FileRequest = wire::request(input)?;
    let root = match root {
        Ok(root) => root,
        Err(error) => return wire::answer::<()>(output, Err(error)),
    };
    match request {
        FileRequest::List(list) => wire::answer(output, list::list(&root, &list)),
        FileRequest::Stat(stat) => wire::answer(output, read::stat(&root, &stat)),
        FileRequest::Read(read) => read::read(&root, &read, output),
        FileRequest::Write(write) => wire::answer(output, write::write(&root, &write, input)),
        FileRequest::Edit(edit) => wire::answer(output, edit::edit(&root, &edit, input)),
        FileRequest::Mkdir(mkdir) => wire::answer(output, change::mkdir(&root, &mkdir)),
        FileRequest::Move(request) => wire::answer(output, change::move_(&root, &request)),
        FileRequest::Copy(copy) => wire::answer(output, copy::copy(&root, &copy)),
        FileRequest::Delete(delete) => wire::answer(output, change::delete(&root, &delete)),
    }
}
