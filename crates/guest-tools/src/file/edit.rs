//! Replaces a text in a file by another.

use std::io::{self, Read};

use guest_protocol::tools::file::{
    EDIT_MAX, Edit, Edited, Existing, LINES_MAX, Occurrences, Parents,
};
use memchr::memmem;

use crate::error::ToolError;
use crate::root::{PERMISSIONS, Root};
use crate::staging::Staging;
use crate::wire;

pub(crate) fn edit(root: &Root, edit: &Edit, input: &mut impl Read) -> Result<Edited, ToolError> {
    let old = text(input, edit.old_bytes, edit)?;
    let new = text(input, edit.new_bytes, edit)?;
    if old.is_empty() {
        return Err(ToolError::EmptyText);
    }
    let mut staging = Staging::begin(root)?;
    // From here on nobody else changes the file.
    staging.lock()?;
    let place = root.followed_place(&edit.path, Parents::Require, "edited")?;
    let (mut file, stat) = place.open_file()?;
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    if size > EDIT_MAX {
        let path = place.path;
        return Err(ToolError::TooLarge { path, size, max: EDIT_MAX });
    }
    let mut content = Vec::new();
    (&mut file)
        .take(EDIT_MAX)
        .read_to_end(&mut content)
        .map_err(ToolError::at("read", &edit.path))?;
    let found: Vec<usize> = memmem::find_iter(&content, &old).collect();
    let lines = lines_of(&content, found.iter().take(LINES_MAX).copied());
    match (found.len(), edit.occurrences) {
        (0, _) => {
            let near = nearly(&content, &old);
            return Err(ToolError::NoOccurrence { path: edit.path.clone(), near });
        }
        (1, _) | (_, Occurrences::All) => {}
        (count, Occurrences::One) => {
            let count = count as u64;
            return Err(ToolError::SeveralOccurrences { path: edit.path.clone(), count, lines });
        }
    }
    let mut result = Vec::with_capacity(content.len());
    let mut at = 0;
    for &begin in &found {
        result.extend_from_slice(&content[at..begin]);
        result.extend_from_slice(&new);
        at = begin + old.len();
    }
    result.extend_from_slice(&content[at..]);
    let owner = Some((stat.st_uid, stat.st_gid));
    let slot = staging.finished_file(&result, stat.st_mode & PERMISSIONS, owner)?;
    staging.put(slot, &place, Existing::Replace)?;
    Ok(Edited { entry: place.entry()?, replaced: found.len() as u64, lines })
}

fn text(input: &mut impl Read, length: u32, edit: &Edit) -> Result<Vec<u8>, ToolError> {
    if u64::from(length) > EDIT_MAX {
        let (path, size) = (edit.path.clone(), u64::from(length));
        return Err(ToolError::TooLarge { path, size, max: EDIT_MAX });
    }
    let length = usize::try_from(length)
        .map_err(|_| ToolError::Input(io::ErrorKind::InvalidInput.into()))?;
    wire::exactly(input, length)
}

/// Numbers of the lines in which these places lie; the places are in order.
fn lines_of(content: &[u8], places: impl Iterator<Item = usize>) -> Vec<u64> {
    let (mut line, mut at) = (1, 0);
    places
        .map(|place| {
            line += memchr::memchr_iter(b'\n', &content[at..place]).count() as u64;
            at = place;
            line
        })
        .collect()
}

/// The first line from which on the lines are those of `old`, but for white
/// space.
fn nearly(content: &[u8], old: &[u8]) -> Option<u64> {
    let trimmed = |bytes: &[u8]| -> Vec<Vec<u8>> {
        bytes
            .split(|byte| *byte == b'\n')
            .map(|line| line.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect())
            .collect()
    };
    let (content, mut wanted) = (trimmed(content), trimmed(old));
    while wanted.last().is_some_and(Vec::is_empty) {
        wanted.pop();
    }
    if wanted.is_empty() {
        return None;
    }
    let at = content.windows(wanted.len()).position(|lines| lines == wanted.as_slice())?;
    Some(at as u64 + 1)
}
