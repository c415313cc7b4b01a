//! The small forms within a line: fields, labels, boxes, spans of code.

/// The fields of a line: `**Name:** value`, several of them on one line if there are,
/// the colon inside or outside of the stars.
pub(crate) fn fields(line: &str) -> Vec<(&str, &str)> {
    let stars = stars(line);
    let mut found: Vec<(&str, &str)> = Vec::new();
    let mut at = 0;
    while let [open, close, ..] = stars[at..] {
        let (name, behind) = (&line[open + 2..close], &line[close + 2..]);
        let named = match (name.strip_suffix(':'), behind.strip_prefix(':')) {
            (Some(name), _) => Some((name, behind)),
            (None, Some(value)) => Some((name, value)),
            (None, None) => None,
        };
        at += 2;
        let Some((name, value)) = named else { continue };
        let end = stars.get(at).map_or(line.len(), |next| *next);
        let value = &value[..end - (line.len() - value.len())];
        found.push((name.trim(), value.trim_end_matches(['|', '·', ' ']).trim()));
    }
    found
}

/// Where `**` stands in a line. What stands in code is an example.
fn stars(line: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(next) = line[at..].find(['*', '`']) {
        at += next;
        if line[at..].starts_with("**") {
            found.push(at);
            at += 2;
        } else if line[at..].starts_with('`') {
            let behind = &line[at + 1..];
            at += 1 + behind.find('`').map_or(0, |end| end + 1);
        } else {
            at += 1;
        }
    }
    found
}

/// A line that begins with a label: `**Label:** rest`, or `Label: rest`.
pub(crate) fn label(line: &str) -> Option<(&str, &str)> {
    const LENGTH_MAX: usize = 40;
    let line = line.trim();
    if line.starts_with("**") {
        return fields(line).first().map(|(name, _)| {
            let at = line.find(name).unwrap_or_default() + name.len();
            (*name, line[at..].trim_start_matches(['*', ':', ' ']).trim())
        });
    }
    let (name, rest) = line.split_once(':')?;
    let is_label = !name.is_empty()
        && name.len() <= LENGTH_MAX
        && !rest.starts_with("//")
        && name.chars().all(|c| c.is_alphabetic() || c == ' ' || c == '-');
    is_label.then(|| (name.trim(), rest.trim()))
}

/// A box to check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark<'t> {
    /// `[ ]` and what follows.
    Open(&'t str),
    /// `[x]` and what follows.
    Checked(&'t str),
    /// `[~]`, say.
    Unclear(&'t str),
}

/// The box that an item begins with. The mark of the item may be missing its space
/// (`-[ ] text`), which one of Taskplane's parsers takes.
pub(crate) fn mark(item: &str) -> Option<Mark<'_>> {
    let inner = item.strip_prefix('[')?;
    let (inside, rest) = inner.split_once(']')?;
    match inside {
        " " | "" if inside == " " || rest.starts_with(' ') => Some(Mark::Open(rest.trim())),
        "x" | "X" => (!rest.starts_with(['(', '[', ':'])).then(|| Mark::Checked(rest.trim())),
        other if other.chars().count() == 1 => {
            (!rest.starts_with(['(', '[', ':'])).then_some(Mark::Unclear(item))
        }
        _ => None,
    }
}

/// What stands in backticks in a line.
pub(crate) fn spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2).map(str::trim).filter(|span| !span.is_empty())
}

/// A text without the marks of emphasis and code around it.
pub(crate) fn unmarked(text: &str) -> &str {
    text.trim().trim_matches(['*', '_', '`']).trim()
}

/// A text in which `[text](target)` is only `text`.
pub(crate) fn unlinked(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        let link = after.split_once("](").and_then(|(name, target)| {
            let (_, behind) = target.split_once(')')?;
            (!name.contains(['[', ']'])).then_some((name, behind))
        });
        plain.push_str(before);
        match link {
            Some((name, behind)) => {
                plain.push_str(name);
                rest = behind;
            }
            None => {
                plain.push('[');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_alone_or_together() {
        assert_eq!(fields("**Size:** M"), [("Size", "M")]);
        assert_eq!(fields("**Size**: M (2 h)"), [("Size", "M (2 h)")]);
        assert_eq!(fields("**A:** 1 | **B:** 2"), [("A", "1"), ("B", "2")]);
        assert_eq!(fields("a **bold** word, **B:** 2"), [("B", "2")]);
        assert!(fields("as in `**Size:** L`").is_empty());
        assert_eq!(
            fields("**A:** as in `**Size:** L` **B:** 2"),
            [("A", "as in `**Size:** L`"), ("B", "2")]
        );
        assert!(fields("** ** ** x").is_empty());
    }

    #[test]
    fn labels_and_boxes() {
        assert_eq!(label("**Task:** TP-1 (x)"), Some(("Task", "TP-1 (x)")));
        assert_eq!(label("Requires: `TP-1`"), Some(("Requires", "`TP-1`")));
        assert_eq!(label("see http://x"), None);
        assert_eq!(mark("[ ] a"), Some(Mark::Open("a")));
        assert_eq!(mark("[x]a"), Some(Mark::Checked("a")));
        assert_eq!(mark("[~] a"), Some(Mark::Unclear("[~] a")));
        assert_eq!(mark("[x](link)"), None);
        assert_eq!(mark("[link](x)"), None);
        assert_eq!(unlinked("[TP-1](../x/PROMPT.md), [a] b"), "TP-1, [a] b");
        assert_eq!(spans("- `a`, `b/*`").collect::<Vec<_>>(), ["a", "b/*"]);
    }
}
