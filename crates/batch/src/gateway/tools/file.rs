//! Files of the guest, by their paths there.
//!
//! Those of the repository are read and written by the operations on files; the few
//! others (the packet, what the system has) by programs of the guest.

use std::fmt::Write as _;

use workspace_api::file::{self, TextEncoding};
use workspace_api::path::{LineRange, PathText};

use super::{Answer, TREE};
use crate::engine::Trouble;
use crate::gateway::lane::Lane;

/// Most bytes of a text that is read at once.
const TEXT_BYTES: u32 = 40 * 1024;

/// Most bytes of an image: models take no larger ones.
const IMAGE_BYTES: u32 = 3 * 1024 * 1024;

/// Lines that are read at once unless more are asked for.
const LINES_DEFAULT: u64 = 2000;

/// A path of the guest.
pub(super) enum Place {
    /// In the repository.
    Tree(PathText),
    /// Somewhere else.
    Elsewhere(String),
}

impl Place {
    pub(super) fn of(path: &str) -> Result<Self, Trouble> {
        let is_within =
            path.strip_prefix(TREE).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if is_within || !path.starts_with('/') {
            return Ok(Self::Tree(path.parse()?));
        }
        if path.contains('\0') {
            return Err("a path has no NUL".into());
        }
        Ok(Self::Elsewhere(path.to_owned()))
    }
}

/// A file with the numbers of its lines, or an image as it looks. `first` is the first
/// line, counted from one.
pub(super) async fn read(
    lane: &Lane,
    path: &str,
    first: Option<u64>,
    count: Option<u64>,
) -> Result<Answer, Trouble> {
    let first = first.unwrap_or(1).max(1);
    let last = first.saturating_add(count.unwrap_or(LINES_DEFAULT).max(1) - 1);
    let (content, is_cut) = match Place::of(path)? {
        Place::Tree(path) => {
            let lines = Some(LineRange { first, last: Some(last) });
            let read = in_tree(lane, path.clone(), lines, TEXT_BYTES).await?;
            if read.binary {
                let whole = in_tree(lane, path, None, IMAGE_BYTES).await?;
                return Ok(image(whole.content.0, whole.truncated));
            }
            (read.content.0, read.truncated || read.total_lines.is_some_and(|all| all > last))
        }
        Place::Elsewhere(path) => {
            let content = elsewhere(lane, &path).await?;
            if image_kind(&content).is_some() {
                return Ok(image(content, false));
            }
            let skipped = usize::try_from(first - 1)?;
            let lines = content.split_inclusive(|byte| *byte == b'\n').skip(skipped);
            let wanted = usize::try_from(last - first + 1)?;
            let all = lines.clone().count();
            (lines.take(wanted).flatten().copied().collect(), all > wanted)
        }
    };
    Ok(Answer::text(numbered(&String::from_utf8_lossy(&content), first, is_cut)))
}

/// An image as it looks.
pub(super) async fn view(lane: &Lane, path: &str) -> Result<Answer, Trouble> {
    Ok(match Place::of(path)? {
        Place::Tree(path) => {
            let whole = in_tree(lane, path, None, IMAGE_BYTES).await?;
            image(whole.content.0, whole.truncated)
        }
        Place::Elsewhere(path) => image(elsewhere(lane, &path).await?, false),
    })
}

async fn elsewhere(lane: &Lane, path: &str) -> Result<Vec<u8>, Trouble> {
    let content = lane.cell()?.read(path).await?;
    content.ok_or_else(|| "there is no such file, or it has more than 1 MiB".into())
}

async fn in_tree(
    lane: &Lane,
    path: PathText,
    lines: Option<LineRange>,
    max_bytes: u32,
) -> Result<file::FileContent, Trouble> {
    let read = |workspace| file::Read {
        workspace,
        path,
        lines,
        offset: None,
        max_bytes,
        allow_secrets: false,
    };
    Ok(lane.cell()?.ask(read).await?)
}

/// Lines with their numbers, as `cat -n` prints them.
fn numbered(content: &str, first: u64, is_cut: bool) -> String {
    if content.is_empty() {
        return "(no lines here)".to_owned();
    }
    let mut text = String::with_capacity(content.len() + content.len() / 8);
    for (line, number) in content.lines().zip(first..) {
        let _ = writeln!(text, "{number:6}\t{line}");
    }
    if is_cut {
        text.push_str("[… the file goes on: read on with offset …]\n");
    }
    text
}

fn image(content: Vec<u8>, is_cut: bool) -> Answer {
    match image_kind(&content) {
        Some(_) if is_cut => Answer::Failed("the image has more than 3 MiB".to_owned()),
        Some(kind) => Answer::Image { content, kind },
        None => Answer::Failed("the file is data, and no image that can be shown".to_owned()),
    }
}

/// What kind of image begins like this.
fn image_kind(content: &[u8]) -> Option<&'static str> {
    match content {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

/// Writes a whole file.
pub(super) async fn write(lane: &Lane, path: &str, content: String) -> Result<Answer, Trouble> {
    let told = format!("Wrote {} bytes to {path}", content.len());
    match Place::of(path)? {
        Place::Tree(path) => {
            let text = Some(content);
            let write = |workspace| file::Write {
                workspace,
                path,
                text,
                encoding: TextEncoding::Plain,
                mode: None,
                parents: true,
                create_only: false,
            };
            lane.cell()?.ask(write).await?;
        }
        Place::Elsewhere(path) => lane.cell()?.write(&path, content.into_bytes()).await?,
    }
    Ok(Answer::text(told))
}

/// Puts a text in the place of another one, or of all like it.
pub(super) async fn edit(
    lane: &Lane,
    path: &str,
    (old, new): (String, String),
    all: bool,
) -> Result<Answer, Trouble> {
    let told = path;
    let replaced = match Place::of(path)? {
        Place::Tree(path) => {
            let edit = |workspace| file::Edit { workspace, path, old, new, all };
            lane.cell()?.ask(edit).await?.replaced
        }
        Place::Elsewhere(path) => {
            let content = lane.cell()?.read(&path).await?.ok_or("there is no such file")?;
            let content = String::from_utf8(content).map_err(|_| "the file is no text")?;
            let (edited, replaced) = edited(&content, &old, &new, all)?;
            lane.cell()?.write(&path, edited.into_bytes()).await?;
            replaced
        }
    };
    Ok(Answer::text(format!("Replaced {replaced} in {told}")))
}

/// A content with one text in the place of another, and how often it was replaced.
fn edited(content: &str, old: &str, new: &str, all: bool) -> Result<(String, u64), Trouble> {
    if old.is_empty() {
        return Err("the text to replace is empty".into());
    }
    match content.matches(old).count() {
        0 => Err("the text to replace is not in the file".into()),
        1 => Ok((content.replacen(old, new, 1), 1)),
        several if all => Ok((content.replace(old, new), several as u64)),
        several => Err(format!(
            "the text to replace is in the file {several} times: give more of what is around it"
        )
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_replaced_once_unless_all_of_them_are_meant() {
        assert_eq!(edited("a b a", "b", "c", false).unwrap(), ("a c a".to_owned(), 1));
        assert_eq!(edited("a b a", "a", "c", true).unwrap(), ("c b c".to_owned(), 2));
        for (old, all) in [("a", false), ("", true), ("x", true)] {
            assert!(edited("a b a", old, "c", all).is_err(), "{old}");
        }
    }

    #[test]
    fn only_what_is_in_the_repository_goes_to_the_operations_on_files() {
        for path in ["/workspace", "/workspace/a", "a/b", "."] {
            assert!(matches!(Place::of(path), Ok(Place::Tree(_))), "{path}");
        }
        for path in ["/packet/STATUS.md", "/workspaces/a", "/etc/passwd"] {
            assert!(matches!(Place::of(path), Ok(Place::Elsewhere(_))), "{path}");
        }
    }

    #[test]
    fn lines_bear_their_numbers_in_the_file() {
        assert_eq!(numbered("a\nb\n", 9, true).lines().nth(1), Some("    10\tb"));
    }
}
