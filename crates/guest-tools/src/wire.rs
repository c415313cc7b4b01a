//! Requests in and answers out, see [`guest_protocol::tools`].

use std::io::{self, Read, Write};

use guest_protocol::tools::{self, Answer};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::ToolError;

/// Reads a request's header.
pub(crate) fn request<M: DeserializeOwned>(input: &mut impl Read) -> Result<M, ToolError> {
    let length = tools::header_length(prefix(input)?)?;
    tools::parse(&exactly(input, length)?).map_err(ToolError::Unknown)
}

/// Reads so many bytes; the caller has bounded them.
pub(crate) fn exactly(input: &mut impl Read, length: usize) -> Result<Vec<u8>, ToolError> {
    let mut bytes = vec![0; length];
    input.read_exact(&mut bytes).map_err(ToolError::Input)?;
    Ok(bytes)
}

/// Hands each chunk of the input to `take`.
pub(crate) fn chunks(
    input: &mut impl Read,
    mut take: impl FnMut(&[u8]) -> Result<(), ToolError>,
) -> Result<(), ToolError> {
    loop {
        match tools::chunk_length(prefix(input)?)? {
            0 => return Ok(()),
            length => take(&exactly(input, length)?)?,
        }
    }
}

fn prefix(input: &mut impl Read) -> Result<[u8; 4], ToolError> {
    let mut prefix = [0; 4];
    input.read_exact(&mut prefix).map_err(ToolError::Input)?;
    Ok(prefix)
}

/// Writes an answer's header. One that is too long is answered by its failure.
pub(crate) fn answer<T: Serialize>(
    output: &mut impl Write,
    result: Result<T, ToolError>,
) -> Result<(), ToolError> {
    let answer = match result {
        Ok(done) => Answer::Done(done),
        Err(error) => Answer::Failed(error.failure()),
    };
    let bytes = match tools::header(&answer) {
        Ok(bytes) => bytes,
        Err(too_long) => {
            tools::header(&Answer::<T>::Failed(ToolError::TooLong(too_long).failure()))?
        }
    };
    write(output, &bytes)
}

/// Writes bulk.
pub(crate) fn write(output: &mut impl Write, bytes: &[u8]) -> Result<(), ToolError> {
    output.write_all(bytes).and_then(|()| output.flush()).map_err(ToolError::Output)
}

/// Copies bulk of a known length; a source that has become shorter is a failure.
pub(crate) fn copy(
    output: &mut impl Write,
    source: &mut impl Read,
    length: u64,
) -> Result<(), ToolError> {
    let copied = io::copy(&mut source.take(length), output).map_err(ToolError::Output)?;
    if copied < length {
        return Err(ToolError::Output(io::ErrorKind::UnexpectedEof.into()));
    }
    output.flush().map_err(ToolError::Output)
}
