//! Which task it is: from the first heading, or else from the folder's name.

use crate::document::{Kind, Line};
use crate::place::Located;
use crate::problem::{Fault, Problems, Quote};
use batch_api::TaskId;

/// Id and name.
pub(super) fn read(
    lines: &[Line],
    folder: &str,
    problems: &mut Problems,
) -> Option<(Located<TaskId>, Located<String>)> {
    let mut titles = lines.iter().filter(|line| line.kind == Kind::Heading(1));
    let mut named: Option<(Located<TaskId>, Located<String>)> = None;
    let mut unnamed: Option<Located<String>> = None;
    let mut is_unclear = false;
    for line in titles.by_ref() {
        let title = line.text.replace(['`', '*'], "");
        let rest = without_word(title.trim());
        let mut readings = readings(rest);
        match (readings.next(), readings.next()) {
            (Some((first, _)), Some((second, _))) => {
                let found = Quote::new(&line.text);
                problems.add(line.number, Fault::TwoReadings { found, first, second });
                is_unclear = true;
            }
            (Some((id, name)), None) => match &named {
                Some((other, _)) if other.value != id => {
                    let (other, other_line) = (other.value.clone(), other.line);
                    problems.add(line.number, Fault::TwoIds { found: id, other, other_line });
                }
                Some(_) => {}
                None => {
                    let name = if name.is_empty() { id.as_str() } else { name };
                    let name = Located::new(name.to_owned(), line.number);
                    named = Some((Located::new(id, line.number), name));
                }
            },
            (None, _) => {
                unnamed.get_or_insert_with(|| Located::new(rest.to_owned(), line.number));
            }
        }
    }
    let folder_id = beginning(folder);
    if is_unclear {
        return None;
    }
    match (named, folder_id) {
        (Some((id, name)), Some(folder)) => {
            if id.value == folder {
                return Some((id, name));
            }
            problems.add(id.line, Fault::OtherFolder { found: id.value, folder });
            None
        }
        (Some(title), None) => Some(title),
        (None, Some(id)) => {
            let name = unnamed.filter(|name| !name.value.is_empty());
            let name = name.unwrap_or_else(|| Located::new(id.to_string(), 0));
            Some((Located::new(id, 0), name))
        }
        (None, None) => {
            problems.add(unnamed.map_or(0, |title| title.line), Fault::NoId);
            None
        }
    }
}

fn without_word(title: &str) -> &str {
    const WORD: &str = "task:";
    let has_word = title.get(..WORD.len()).is_some_and(|it| it.eq_ignore_ascii_case(WORD));
    if has_word { title[WORD.len()..].trim() } else { title }
}

/// Every way in which a title can be read as id and name.
fn readings(title: &str) -> impl Iterator<Item = (TaskId, &str)> {
    const LONGEST: usize = TaskId::LENGTH_MAX;
    let ends = title.char_indices().map(|(at, _)| at).chain([title.len()]);
    ends.take_while(|end| *end <= LONGEST).filter_map(|end| {
        let (id, rest) = title.split_at(end);
        let id: TaskId = task_id(id)?;
        let after = rest.trim_start();
        let name = after.strip_prefix(['-', '–', '—', ':']);
        let is_end = name.is_some() || after.is_empty();
        is_end.then(|| (id, name.unwrap_or_default().trim()))
    })
}

/// The id that a text is: words of letters, digits and `_` with `-` between them, the
/// last a number. Its case does not matter; it is kept in capitals.
pub(crate) fn task_id(text: &str) -> Option<TaskId> {
    let (words, number) = text.rsplit_once('-')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let is_id = is_number && words.split('-').all(|word| !word.is_empty());
    is_id.then(|| text.to_ascii_uppercase().parse().ok())?
}

/// The id that a folder's name begins with: words in capitals, and a number. Other
/// names are names.
pub(crate) fn beginning(folder: &str) -> Option<TaskId> {
    // `TP-014-2-fast` is task TP-014: what follows is a name, however it begins.
    let mut end = 0;
    for part in folder.split('-') {
        let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let is_word = part
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
        end += part.len();
        if is_number && end > part.len() {
            return task_id(&folder[..end]);
        }
        if !is_word {
            return None;
        }
        end += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_read_in_every_form_in_use() {
        for (title, id, name) in [
            ("TP-1 - Name", "TP-1", "Name"),
            ("TP-1: Name: more", "TP-1", "Name: more"),
            ("TP-1 — Name", "TP-1", "Name"),
            ("TP-1–Name", "TP-1", "Name"),
            ("tp-1", "TP-1", ""),
            ("MY-APP-7 - 2-3 things", "MY-APP-7", "2-3 things"),
        ] {
            let found: Vec<_> = readings(title).collect();
            assert_eq!(found, [(id.parse().unwrap(), name)], "{title}");
        }
        assert_eq!(readings("AB-12-34: x").count(), 2);
        assert_eq!(readings("Fix the parser").count(), 0);
        assert_eq!(beginning("TP-014-parser").unwrap().as_str(), "TP-014");
        for bad in ["", "TP", "TP-", "-1", "TP-1a", "1-2", "TP--1", "TP-1 ", "TÄ-1", "a/TP-1"] {
            assert_eq!(task_id(bad), None, "{bad}");
        }
        assert_eq!(beginning("MY-APP-7-x").unwrap().as_str(), "MY-APP-7");
        for bad in ["TP-14a", "phase-2-cleanup", "2024-notes", "TP", "", "-", "TP--1"] {
            assert_eq!(beginning(bad), None, "{bad}");
        }
    }
}
