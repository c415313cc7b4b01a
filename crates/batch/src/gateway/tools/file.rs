//! Files of the guest, by their paths there.
//!
//! Those of the repository are read and written by the operations on files; the few
//! others (the packet, what the system has) by programs of the guest.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Deserialize;
use workspace_api::file::{self, TextEncoding};
use workspace_api::path::{LineRange, PathText};

use super::{Answer, TREE, Tool};
use crate::engine::Trouble;
use crate::gateway::lane::Lane;

/// Most bytes of a text that is read at once.
const TEXT_BYTES: u32 = 40 * 1024;

/// Most bytes of an image: models take no larger ones.
const IMAGE_BYTES: u32 = 3 * 1024 * 1024;

/// Lines that are read at once unless more are asked for.
const LINES_DEFAULT: u64 = 2000;

/// A path of the guest.
enum Place {
    /// In the repository.
    Tree(PathText),
    /// Somewhere else.
    Elsewhere(String),
}

impl Place {
    fn of(path: &str) -> Result<Self, Trouble> {
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

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Read {
    /// The file: /workspace/… for the repository, /packet/… for the task.
    file_path: String,
    /// The first line, counted from 1.
    offset: Option<u64>,
    /// How many lines.
    limit: Option<u64>,
}

impl Tool for Read {
    const NAME: &'static str = "Read";
    const ABOUT: &'static str = "Reads a file of your machine with line numbers, 2000 lines unless you ask for \
                                 others. Images (PNG, JPEG, GIF, WebP) are shown to you.";

    async fn call(self, lane: &Lane) -> Result<Answer, Trouble> {
        let first = self.offset.unwrap_or(1).max(1);
        let last = first.saturating_add(self.limit.unwrap_or(LINES_DEFAULT).max(1) - 1);
        let (content, is_cut) = match Place::of(&self.file_path)? {
            Place::Tree(path) => {
                let lines = Some(LineRange { first, last: Some(last) });
                let read = read(lane, path.clone(), lines, TEXT_BYTES).await?;
                if read.binary {
                    let whole = self::read(lane, path, None, IMAGE_BYTES).await?;
                    return Ok(image(whole.content.0, whole.truncated));
                }
                (read.content.0, read.truncated || read.total_lines.is_some_and(|all| all > last))
            }
            Place::Elsewhere(path) => {
                let content = lane.cell()?.read(&path).await?;
                let content = content.ok_or("there is no such file, or it has more than 1 MiB")?;
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
}

async fn read(
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

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Write {
    /// The file; directories that are missing are made.
    file_path: String,
    /// All that is to be in it.
    content: String,
}

impl Tool for Write {
    const NAME: &'static str = "Write";
    const ABOUT: &'static str = "Writes a whole file of your machine, replacing one that is there.";

    async fn call(self, lane: &Lane) -> Result<Answer, Trouble> {
        let told = format!("Wrote {} bytes to {}", self.content.len(), self.file_path);
        match Place::of(&self.file_path)? {
            Place::Tree(path) => {
                let text = Some(self.content);
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
            Place::Elsewhere(path) => lane.cell()?.write(&path, self.content.into_bytes()).await?,
        }
        Ok(Answer::text(told))
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Edit {
    /// The file.
    file_path: String,
    /// The text to replace, exactly as it is in the file, without line numbers.
    old_string: String,
    /// What to put in its place.
    new_string: String,
    /// Replace every occurrence.
    #[serde(default)]
    replace_all: bool,
}

impl Tool for Edit {
    const NAME: &'static str = "Edit";
    const ABOUT: &'static str = "Replaces a text in a file of your machine. It has to occur exactly once, unless \
                                 all of its occurrences are to be replaced.";

    async fn call(self, lane: &Lane) -> Result<Answer, Trouble> {
        let Self { file_path, old_string: old, new_string: new, replace_all: all } = self;
        let replaced = match Place::of(&file_path)? {
            Place::Tree(path) => {
                lane.cell()?
                    .ask(|workspace| file::Edit { workspace, path, old, new, all })
                    .await?
                    .replaced
            }
            Place::Elsewhere(path) => {
                let content = lane.cell()?.read(&path).await?.ok_or("there is no such file")?;
                let content = String::from_utf8(content).map_err(|_| "the file is no text")?;
                let (edited, replaced) = edited(&content, &old, &new, all)?;
                lane.cell()?.write(&path, edited.into_bytes()).await?;
                replaced
            }
        };
        Ok(Answer::text(format!("Replaced {replaced} in {file_path}")))
    }
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
