//! What has to be done before.

use super::sections::{Known, Sections};
use super::title::{beginning, task_id};
use super::{Dependency, Head};
use crate::document::{Kind, Line};
use crate::field::{label, unlinked, unmarked};
use crate::limits::DEPENDENCIES_MAX;
use crate::place::Located;
use crate::problem::{Fault, Problems, Quote};
use batch_api::TaskId;

/// What a line under dependencies says.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    None,
    Tasks(Vec<Dependency>),
    External(String),
    /// An id that may be a dependency.
    Unclear(TaskId),
    Nothing,
}

pub(super) fn read(
    lines: &[Line],
    sections: &Sections,
    head: &Head,
    problems: &mut Problems,
) -> (Vec<Located<Dependency>>, Vec<Located<String>>) {
    let (mut tasks, mut external) = (Vec::<Located<Dependency>>::new(), Vec::new());
    let mut none_at = None;
    let body = sections.body(lines, Known::Dependencies).iter();
    let body = body.filter(|line| matches!(line.kind, Kind::Prose | Kind::Item));
    let said = body.map(|line| (line.text.as_str(), line.number));
    let field = head.dependencies.iter().map(|field| (field.value.as_str(), field.line));
    for (text, line) in field.chain(said) {
        match understood(text) {
            Said::None => none_at = Some(line),
            Said::External(text) => external.push(Located::new(text, line)),
            Said::Nothing => problems.add(line, Fault::Dependency(Quote::new(text))),
            Said::Unclear(task) => {
                problems.add(line, Fault::UnclearDependency { found: Quote::new(text), task });
            }
            Said::Tasks(found) => {
                for task in found {
                    if !tasks.iter().any(|other| other.value == task) {
                        tasks.push(Located::new(task, line));
                    }
                }
            }
        }
    }
    if let Some(line) = none_at.filter(|_| !tasks.is_empty()) {
        problems.add(line, Fault::NoneAndSome);
    }
    if tasks.len() > DEPENDENCIES_MAX {
        let fault = Fault::TooMany { what: "dependencies", most: DEPENDENCIES_MAX };
        problems.add(tasks[DEPENDENCIES_MAX].line, fault);
        tasks.truncate(DEPENDENCIES_MAX);
    }
    external.truncate(DEPENDENCIES_MAX);
    (tasks, external)
}

fn understood(text: &str) -> Said {
    const NONE: &[&str] = &["none", "n/a", "nothing", "no dependencies", "-", "–", "—"];
    let plain = unlinked(text).replace(['`', '*'], "");
    let plain = unmarked(&plain);
    let first = plain.split(['(', '.', ',', ';', '—', '–']).next().unwrap_or_default().trim();
    let first = first.split(" - ").next().unwrap_or_default();
    if NONE.iter().any(|none| first.eq_ignore_ascii_case(none)) || plain == "—" {
        return Said::None;
    }
    match label(plain) {
        Some((name, rest)) => match name.to_ascii_lowercase().as_str() {
            "external" | "externals" => match understood(rest) {
                Said::None => Said::None,
                _ => Said::External(rest.to_owned()),
            },
            "task" | "tasks" | "requires" | "require" | "required" | "depends on"
            | "dependency" | "dependencies" | "blocked by" | "after" => match understood(rest) {
                Said::External(_) => Said::Nothing,
                said => said,
            },
            _ => Said::Nothing,
        },
        None => tasks(plain),
    }
}

/// A list of ids, and an explanation behind it.
fn tasks(text: &str) -> Said {
    const WORDS: &[&str] = &["requires", "depends on", "needs", "after"];
    let mut rest = text.trim();
    for word in WORDS {
        let head = rest.get(..word.len()).filter(|head| head.eq_ignore_ascii_case(word));
        if head.is_some() && rest[word.len()..].starts_with(' ') {
            rest = rest[word.len()..].trim_start();
        }
    }
    let mut found = Vec::new();
    while let Some((task, behind)) = reference(rest) {
        found.push(task);
        rest = behind.trim_start();
        let next = rest.strip_prefix([',', ';', '&', '+']).or_else(|| rest.strip_prefix("and "));
        let Some(next) = next else { break };
        rest = next.trim_start();
        rest = rest.strip_prefix("and ").unwrap_or(rest).trim_start();
    }
    if found.is_empty() {
        return Said::Nothing;
    }
    if rest.is_empty() || rest.starts_with(['(', '-', '–', '—', ':', '.']) {
        return Said::Tasks(found);
    }
    match rest.split_whitespace().find_map(|word| reference(word.trim_start_matches('('))) {
        Some((Dependency { task, .. }, _)) => Said::Unclear(task),
        None => Said::Tasks(found),
    }
}

/// The task that a text begins with: `TP-014`, `area/TP-014`, or the name of its folder.
fn reference(text: &str) -> Option<(Dependency, &str)> {
    let belongs = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
    let word = text[..end].trim_end_matches(['.', '/', '-']);
    let behind = &text[word.len()..];
    let (area, name) = match word.split_once('/') {
        Some((area, name)) => (Some(area.parse().ok()?), name),
        None => (None, word),
    };
    let task = task_id(name).or_else(|| beginning(name))?;
    Some((Dependency { area, task }, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        match understood(text) {
            Said::Tasks(tasks) => {
                let name = |it: &Dependency| match &it.area {
                    Some(area) => format!("{area}/{}", it.task),
                    None => it.task.to_string(),
                };
                tasks.iter().map(name).collect::<Vec<_>>().join(" ")
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn every_form_in_use_is_read_and_no_other_is_guessed() {
        for (text, expected) in [
            ("None", "None"),
            ("**None**", "None"),
            ("None (the first one)", "None"),
            ("None. It comes first", "None"),
            ("n/a", "None"),
            ("TP-1", "TP-1"),
            ("`tp-1`", "TP-1"),
            ("**Task:** TP-1 (what TP-9 said)", "TP-1"),
            ("**Requires:** core/TP-1, TP-2 and web/TP-3", "core/TP-1 TP-2 web/TP-3"),
            ("TP-1 — because TP-9 wants it", "TP-1"),
            ("TP-1: the parser", "TP-1"),
            ("Requires TP-1, TP-2.", "TP-1 TP-2"),
            ("Depends on TP-1 and TP-2", "TP-1 TP-2"),
            ("[TP-1](../TP-1-x/PROMPT.md)", "TP-1"),
            ("TP-1-parser", "TP-1"),
            ("**External:** a server", "External(\"a server\")"),
            ("**Task:** None", "None"),
            ("This is the first task", "Nothing"),
            ("TP-1 then TP-2", "Unclear(TaskId(\"TP-2\"))"),
            ("../TP-1", "Nothing"),
            ("a/b/TP-1", "Nothing"),
        ] {
            assert_eq!(told(text), expected, "{text}");
        }
    }
}
