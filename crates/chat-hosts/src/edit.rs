//! Edits of configuration files, as pure functions from bytes to bytes.
//!
//! Everything that an edit does not concern keeps its bytes: comments, order,
//! spaces. The libraries below promise that, and are not trusted with it: after
//! every edit the result is parsed again, and unless it means exactly what the
//! file meant before plus the edit, nothing is returned ([`Refusal::Unfaithful`]).
//!
//! A file is somebody else's, so whatever is in it is refused or understood, and
//! never guessed at: a table that stands in it twice, or is no table, is refused.

use serde_json::{Map, Value};

mod jsonc;
mod toml;

/// A file larger than this is no configuration, in bytes.
pub const FILE_MAX_BYTES: usize = 16 << 20;

/// What some editors write in front of a text.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON, with comments and trailing commas if somebody has written them.
    Jsonc,
    /// TOML.
    Toml,
}

/// Why a file is not read or edited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is too large.
    #[error("it has more than {} MiB", FILE_MAX_BYTES >> 20)]
    TooLarge,
    /// It is no text.
    #[error("it is no text in UTF-8")]
    NotText,
    /// It is not in the format that its program reads.
    #[error("{0}")]
    Syntax(String),
    /// Something on the way to the entry is no table.
    #[error("`{0}` in it is no table of names and values")]
    NotATable(String),
    /// Something on the way to the entry stands there twice.
    #[error("`{0}` stands in it twice")]
    Twice(String),
    /// The edit would have changed more than it should.
    #[error("it is written in a way that cannot be edited without changing its meaning")]
    Unfaithful,
}

/// What a file holds at `path`; `None` if there is nothing.
///
/// # Errors
///
/// If the file makes no sense.
pub fn read(format: Format, bytes: &[u8], path: &[&str]) -> Result<Option<Value>, Refusal> {
    let (_, text) = text(bytes)?;
    let mut value = whole(format, text)?;
    for (depth, key) in path.iter().enumerate() {
        let Value::Object(mut table) = value else {
            return Err(Refusal::NotATable(path[..depth].join(".")));
        };
        match table.remove(*key) {
            Some(inner) => value = inner,
            None => return Ok(None),
        }
    }
    Ok(Some(value))
}

/// The file with these fields set in the table at `path`, which is made if it is
/// missing; the table's other fields stay.
///
/// # Errors
///
/// If the file makes no sense, or cannot be edited faithfully.
pub fn put(
    format: Format,
    bytes: &[u8],
    path: &[&str],
    fields: &Map<String, Value>,
) -> Result<Vec<u8>, Refusal> {
    let (mark, text) = text(bytes)?;
    let mut expected = whole(format, text)?;
    table_at(&mut expected, path)?.extend(fields.clone());
    let edited = match format {
        Format::Jsonc => jsonc::put(text, path, fields)?,
        Format::Toml => toml::put(text, path, fields)?,
    };
    if whole(format, &edited) != Ok(expected) {
        return Err(Refusal::Unfaithful);
    }
    Ok([mark, &edited].concat().into_bytes())
}

/// The file without what it holds at `path`, and without the tables around that
/// which are empty then.
///
/// # Errors
///
/// If the file makes no sense, or cannot be edited faithfully.
pub fn take(format: Format, bytes: &[u8], path: &[&str]) -> Result<Vec<u8>, Refusal> {
    let (mark, text) = text(bytes)?;
    let mut expected = whole(format, text)?;
    if !prune(&mut expected, path) {
        return Ok(bytes.to_vec());
    }
    let edited = match format {
        Format::Jsonc => jsonc::take(text, path)?,
        Format::Toml => toml::take(text, path)?,
    };
    if whole(format, &edited) != Ok(expected) {
        return Err(Refusal::Unfaithful);
    }
    Ok([mark, &edited].concat().into_bytes())
}

fn text(bytes: &[u8]) -> Result<(&str, &str), Refusal> {
    if bytes.len() > FILE_MAX_BYTES {
        return Err(Refusal::TooLarge);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Refusal::NotText)?;
    Ok(match text.strip_prefix(BYTE_ORDER_MARK) {
        Some(rest) => text.split_at(text.len() - rest.len()),
        None => ("", text),
    })
}

/// What a whole file means; an empty one is an empty table.
fn whole(format: Format, text: &str) -> Result<Value, Refusal> {
    match format {
        Format::Jsonc => jsonc::value(text),
        Format::Toml => toml::value(text),
    }
}

/// The table at `path`, made if it is missing.
fn table_at<'v>(root: &'v mut Value, path: &[&str]) -> Result<&'v mut Map<String, Value>, Refusal> {
    let mut value = root;
    for (depth, key) in path.iter().enumerate() {
        let Value::Object(table) = value else {
            return Err(Refusal::NotATable(path[..depth].join(".")));
        };
        value = table.entry(*key).or_insert_with(|| Value::Object(Map::new()));
    }
    value.as_object_mut().ok_or_else(|| Refusal::NotATable(path.join(".")))
}

/// Removes what is at `path` and what is empty around it; whether there was
/// anything.
fn prune(value: &mut Value, path: &[&str]) -> bool {
    let (Some(table), [key, rest @ ..]) = (value.as_object_mut(), path) else { return false };
    if rest.is_empty() {
        return table.remove(*key).is_some();
    }
    let Some(inner) = table.get_mut(*key) else { return false };
    let found = prune(inner, rest);
    if found && inner.as_object().is_some_and(Map::is_empty) {
        table.remove(*key);
    }
    found
}

#[cfg(test)]
mod tests;
