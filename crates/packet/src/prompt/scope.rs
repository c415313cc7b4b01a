//! Which files a task changes, and what it reads first.

use super::sections::{Known, Sections};
use crate::document::{Kind, Line};
use crate::field::{label, spans};
use crate::limits::SCOPE_MAX;
use crate::place::Located;
use crate::problem::{Fault, Problems, Quote};
use batch_api::ScopePattern;

pub(super) fn read(
    lines: &[Line],
    sections: &Sections,
    problems: &mut Problems,
) -> Vec<Located<ScopePattern>> {
    let mut found: Vec<Located<ScopePattern>> = Vec::new();
    for line in sections.body(lines, Known::Scope) {
        let entries = match line.kind {
            Kind::Code => vec![line.text.as_str()],
            Kind::Prose | Kind::Item => match entries(&line.text) {
                Ok(entries) => entries,
                Err(why) => {
                    let found = Quote::new(&line.text);
                    problems.add(line.number, Fault::Scope { found, why });
                    continue;
                }
            },
            _ => continue,
        };
        for entry in entries {
            match entry.parse() {
                Ok(pattern) => {
                    if !found.iter().any(|other| other.value == pattern) {
                        found.push(Located::new(pattern, line.number));
                    }
                }
                Err(error) => {
                    let found = Quote::new(entry);
                    problems.add(line.number, Fault::Scope { found, why: error.why });
                }
            }
        }
        if found.len() > SCOPE_MAX {
            problems.add(line.number, Fault::TooMany { what: "files in scope", most: SCOPE_MAX });
            found.truncate(SCOPE_MAX);
            break;
        }
    }
    found
}

/// The paths and patterns of a line.
fn entries(line: &str) -> Result<Vec<&str>, &'static str> {
    let mut text = line;
    if text.starts_with("**")
        && let Some((_, rest)) = label(text)
    {
        text = rest;
    }
    let first = text.split(['(', '.', '—', '–', ' ']).next().unwrap_or_default();
    if text.is_empty() || text.ends_with(':') || first.eq_ignore_ascii_case("none") || text == "n/a"
    {
        return Ok(Vec::new());
    }
    if text.starts_with('`') {
        if text.matches('`').count() % 2 == 1 {
            return Err("its backticks do not pair");
        }
        // `a`, `b` and `c` (why): what is explained is not part of the list.
        let list = text.split(['(', '—', '–']).next().unwrap_or_default();
        return Ok(spans(list).collect());
    }
    let (entry, behind) = text.split_once(' ').unwrap_or((text, ""));
    let behind = behind.trim_start();
    if entry.ends_with(',') {
        return Ok(text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).collect());
    }
    if behind.is_empty() || behind.starts_with(['(', '-', '–', '—', '#']) {
        return Ok(vec![entry]);
    }
    Err("write paths with spaces in backticks, and explanations in parentheses")
}

/// The documents that are read before anything else.
pub(super) fn context(
    lines: &[Line],
    sections: &Sections,
    problems: &mut Problems,
) -> Vec<Located<String>> {
    let mut found = Vec::new();
    for line in sections.body(lines, Known::Context) {
        if !matches!(line.kind, Kind::Prose | Kind::Item | Kind::Row) {
            continue;
        }
        let paths =
            spans(&line.text).filter(|span| span.contains(['/', '.']) && !span.contains(' '));
        found.extend(paths.map(|path| Located::new(path.to_owned(), line.number)));
    }
    if found.len() > SCOPE_MAX {
        let fault = Fault::TooMany { what: "documents to read first", most: SCOPE_MAX };
        problems.add(found[SCOPE_MAX].line, fault);
        found.truncate(SCOPE_MAX);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_paths_and_not_what_is_said_about_them() {
        for (line, expected) in [
            ("`src/a.rs` (new, like `b`)", &["src/a.rs"][..]),
            ("`a`, `b c`", &["a", "b c"]),
            ("src/a.rs — new", &["src/a.rs"]),
            ("src/a.rs - new", &["src/a.rs"]),
            ("a, b", &["a", "b"]),
            ("**New:** `a`", &["a"]),
            ("The files:", &[]),
            ("None", &[]),
        ] {
            assert_eq!(entries(line).unwrap(), expected, "{line}");
        }
        assert!(entries("the parser and its tests").is_err());
        assert!(entries("`a").is_err());
    }
}
