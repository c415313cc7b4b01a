//! What stands before the hunks of a file: names, modes, what happens to it.
//!
//! Git's headers say all of it. Names in `---`, `+++` and `diff --git` lines
//! begin with a part (`a/`, `b/`) that belongs to the patch, and are quoted if
//! they need it. A plain unified diff has the `---` and `+++` lines only.

use guest_protocol::path::unquote_prefix;

use super::PatchError;
use super::parse::{Change, Lines};

/// What a header says.
#[derive(Debug, Default)]
pub(super) struct Names {
    old: Option<Vec<u8>>,
    new: Option<Vec<u8>>,
    fate: Fate,
    is_git: bool,
    pub(super) old_mode: Option<u32>,
    pub(super) new_mode: Option<u32>,
    /// Names of the contents before and afterwards.
    pub(super) ids: Option<(Vec<u8>, Vec<u8>)>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Fate {
    #[default]
    Stays,
    Created,
    Deleted,
    Renamed,
    Copied,
}

impl Names {
    /// What happens to the file, and whether the header is sure of it.
    pub(super) fn change(&self, line: usize) -> Result<(bool, Change), PatchError> {
        let lacking = || PatchError::NoNames { line };
        let old = || self.old.clone().ok_or_else(lacking);
        let new = || self.new.clone().ok_or_else(lacking);
        let change = match self.fate {
            Fate::Stays => {
                old()?;
                Change::Modify(new()?)
            }
            Fate::Created => Change::Create(new()?),
            Fate::Deleted => Change::Delete(old()?),
            Fate::Renamed => Change::Rename { from: old()?, to: new()? },
            Fate::Copied => Change::Copy { from: old()?, to: new()? },
        };
        Ok((self.is_git, change))
    }

    /// Takes a name over, which must be the one that is known already.
    fn agree(
        known: &mut Option<Vec<u8>>,
        said: Option<Vec<u8>>,
        is_absent: bool,
        line: usize,
    ) -> Result<(), PatchError> {
        let inconsistent = PatchError::Inconsistent { line };
        match (&known, said) {
            // A file that is not there has no name.
            (_, None) => return if is_absent { Ok(()) } else { Err(inconsistent) },
            (_, Some(_)) if is_absent => return Err(inconsistent),
            (Some(known), Some(said)) if *known != said => return Err(inconsistent),
            (Some(_), Some(_)) => {}
            (None, said) => *known = said,
        }
        Ok(())
    }
}

/// Reads a header that begins with `diff --git`; `None` if nothing of a header
/// follows.
pub(super) fn git(lines: &mut Lines<'_>) -> Result<Option<Names>, PatchError> {
    let begin = lines.number;
    let mut ahead = *lines;
    let first = ahead.next().unwrap_or_default();
    let common = common_name(first.strip_prefix(b"diff --git ").unwrap_or_default());
    let mut names = Names { is_git: true, ..Names::default() };
    while let Some(line) = ahead.peek() {
        let at = ahead.number;
        let Some(rest) = extended(line, &mut names, &common, at)? else { break };
        ahead.next();
        if rest == Last::Yes {
            break;
        }
    }
    if ahead.number == begin + 1 {
        return Ok(None);
    }
    if names.old.is_none() && names.new.is_none() {
        let common = common.ok_or(PatchError::NoNames { line: begin })?;
        if names.fate != Fate::Created {
            names.old = Some(common.clone());
        }
        if names.fate != Fate::Deleted {
            names.new = Some(common);
        }
    }
    *lines = ahead;
    Ok(Some(names))
}

/// Whether a line is the last one of a header.
#[derive(PartialEq, Eq)]
enum Last {
    Yes,
    No,
}

/// Reads a line of a git header; `None` if it is no part of one.
fn extended(
    line: &[u8],
    names: &mut Names,
    common: &Option<Vec<u8>>,
    at: usize,
) -> Result<Option<Last>, PatchError> {
    let corrupt = || PatchError::Corrupt { line: at };
    let after = |word: &str| line.strip_prefix(word.as_bytes());
    if let Some(rest) = after("--- ") {
        let said = stripped(rest, 1, Ends::AtTab);
        let said = if is_dev_null(rest) && names.fate == Fate::Created { None } else { said };
        Names::agree(&mut names.old, said, names.fate == Fate::Created, at)?;
    } else if let Some(rest) = after("+++ ") {
        let said = stripped(rest, 1, Ends::AtTab);
        let said = if is_dev_null(rest) && names.fate == Fate::Deleted { None } else { said };
        Names::agree(&mut names.new, said, names.fate == Fate::Deleted, at)?;
        return Ok(Some(Last::Yes));
    } else if let Some(rest) = after("old mode ") {
        names.old_mode = Some(mode(rest).ok_or_else(corrupt)?);
    } else if let Some(rest) = after("new mode ") {
        names.new_mode = Some(mode(rest).ok_or_else(corrupt)?);
    } else if let Some(rest) = after("deleted file mode ") {
        names.fate = Fate::Deleted;
        names.old_mode = Some(mode(rest).ok_or_else(corrupt)?);
        names.old.clone_from(common);
    } else if let Some(rest) = after("new file mode ") {
        names.fate = Fate::Created;
        names.new_mode = Some(mode(rest).ok_or_else(corrupt)?);
        names.new.clone_from(common);
    } else if let Some(rest) = after("copy from ") {
        names.fate = Fate::Copied;
        names.old = stripped(rest, 0, Ends::AtLineEnd);
    } else if let Some(rest) = after("copy to ") {
        names.fate = Fate::Copied;
        names.new = stripped(rest, 0, Ends::AtLineEnd);
    } else if let Some(rest) = after("rename from ").or_else(|| after("rename old ")) {
        names.fate = Fate::Renamed;
        names.old = stripped(rest, 0, Ends::AtLineEnd);
    } else if let Some(rest) = after("rename to ").or_else(|| after("rename new ")) {
        names.fate = Fate::Renamed;
        names.new = stripped(rest, 0, Ends::AtLineEnd);
    } else if let Some(rest) = after("index ") {
        index(rest, names);
    } else if after("similarity index ").is_none() && after("dissimilarity index ").is_none() {
        return Ok(None);
    }
    Ok(Some(Last::No))
}

/// `old..new mode`. What is no such line is left alone, as git does.
fn index(rest: &[u8], names: &mut Names) {
    let rest = rest.strip_suffix(b"\n").unwrap_or(rest);
    let (ids, said_mode) = match rest.iter().position(|byte| *byte == b' ') {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    let Some(dots) = memchr::memmem::find(ids, b"..") else { return };
    names.ids = Some((ids[..dots].to_vec(), ids[dots + 2..].to_vec()));
    if let Some(mode) = said_mode.and_then(mode) {
        names.old_mode = Some(mode);
    }
}

/// Reads the `---` and `+++` lines of a plain diff that a hunk follows; `None`
/// if there are none here.
pub(super) fn plain(lines: &mut Lines<'_>) -> Result<Option<Names>, PatchError> {
    let begin = lines.number;
    let mut ahead = *lines;
    let (Some(first), Some(second), Some(third)) = (ahead.next(), ahead.next(), ahead.peek())
    else {
        return Ok(None);
    };
    let (Some(first), Some(second)) = (first.strip_prefix(b"--- "), second.strip_prefix(b"+++ "))
    else {
        return Ok(None);
    };
    if !third.starts_with(b"@@ -") {
        return Ok(None);
    }
    // Names without any directory have nothing that belongs to the patch.
    let has_directory = |name: &[u8]| {
        !is_dev_null(name)
            && stripped(name, 0, Ends::AtTab).is_some_and(|name| name.contains(&b'/'))
    };
    let depth = usize::from(has_directory(first) || has_directory(second));
    let name =
        |line: &[u8]| stripped(line, depth, Ends::AtTab).ok_or(PatchError::NoNames { line: begin });
    let mut names = Names::default();
    if is_dev_null(first) || is_epoch(first) {
        names.fate = Fate::Created;
        names.new = Some(name(second)?);
    } else if is_dev_null(second) || is_epoch(second) {
        names.fate = Fate::Deleted;
        names.old = Some(name(first)?);
    } else {
        let (old, new) = (name(first)?, name(second)?);
        // `file.orig` and `file~` are names of copies.
        let name = if new.starts_with(&old) { old } else { new };
        names.old = Some(name.clone());
        names.new = Some(name);
    }
    *lines = ahead;
    Ok(Some(names))
}

/// Where a name ends that is not quoted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    AtTab,
    AtLineEnd,
}

/// The name without its first `depth` parts.
fn stripped(line: &[u8], depth: usize, ends: Ends) -> Option<Vec<u8>> {
    let name = match unquote_prefix(line) {
        Some((name, _)) => name,
        None => {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let end = match ends {
                Ends::AtTab => memchr::memchr(b'\t', line),
                Ends::AtLineEnd => None,
            };
            line[..end.unwrap_or(line.len())].to_vec()
        }
    };
    let mut rest = name.as_slice();
    for _ in 0..depth {
        let slash = memchr::memchr(b'/', rest)?;
        rest = &rest[slash + 1..];
    }
    (!rest.is_empty()).then(|| rest.to_vec())
}

/// The name in `a/NAME b/NAME`, if it is one and the same.
fn common_name(line: &[u8]) -> Option<Vec<u8>> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let strip = |name: &[u8]| -> Option<Vec<u8>> {
        let slash = memchr::memchr(b'/', name)?;
        let name = &name[slash + 1..];
        (!name.is_empty()).then(|| name.to_vec())
    };
    let second = |rest: &[u8]| match unquote_prefix(rest) {
        Some((name, _)) => strip(&name),
        None => strip(rest),
    };
    if let Some((first, length)) = unquote_prefix(line) {
        let first = strip(&first)?;
        let rest = line.get(length..)?.strip_prefix(b" ")?;
        return (second(rest)? == first).then_some(first);
    }
    memchr::memchr2_iter(b' ', b'\t', line).find_map(|at| {
        let first = strip(&line[..at])?;
        (second(&line[at + 1..])? == first).then_some(first)
    })
}

fn is_dev_null(line: &[u8]) -> bool {
    line.strip_prefix(b"/dev/null")
        .is_some_and(|rest| rest.first().is_none_or(u8::is_ascii_whitespace))
}

/// Whether a plain diff says with a time stamp that the file does not exist.
fn is_epoch(line: &[u8]) -> bool {
    let Some(tab) = memchr::memchr(b'\t', line) else { return false };
    let stamp = &line[tab + 1..];
    stamp.starts_with(b"1970-01-01 00:00:00") && stamp.trim_ascii_end().ends_with(b"+0000")
}

/// Octal digits up to the end of the line.
fn mode(text: &[u8]) -> Option<u32> {
    let digits = text.trim_ascii_end();
    if digits.is_empty() || digits.len() > 7 {
        return None;
    }
    digits.iter().try_fold(0, |sum, digit| match digit {
        b'0'..=b'7' => Some(sum * 8 + u32::from(digit - b'0')),
        _ => None,
    })
}
