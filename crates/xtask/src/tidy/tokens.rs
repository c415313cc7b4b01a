//! Tells code, comments and string literals of a Rust source apart. It knows
//! as much of the language as that takes and no more.

/// A part of a source, and the line on which it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) line: usize,
    pub(super) kind: Kind,
    pub(super) text: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A word: an identifier, keyword or number.
    Word,
    /// The inside of a string literal, escapes as they are written.
    Literal,
    /// A comment, documentation included.
    Comment,
}

/// The words, literals and comments of a source, in its order.
pub(super) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let line = 1 + source[..source.len() - rest.len()].matches('\n').count();
        let (kind, start, end, length) = if rest.starts_with("//") {
            let end = rest.find('\n').unwrap_or(rest.len());
            (Some(Kind::Comment), 0, end, end)
        } else if rest.starts_with("/*") {
            let end = block_comment(rest);
            (Some(Kind::Comment), 0, end, end)
        } else if first == '"' {
            let end = quoted(rest);
            (Some(Kind::Literal), 1, end - 1, end)
        } else if let Some((start, end, length)) = raw_string(rest) {
            (Some(Kind::Literal), start, end, length)
        } else if first == '\'' {
            let length = character(rest);
            (None, 0, 0, length)
        } else if is_word(first) {
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            (Some(Kind::Word), 0, end, end)
        } else {
            (None, 0, 0, first.len_utf8())
        };
        found.extend(kind.map(|kind| Token { line, kind, text: &rest[start..end] }));
        rest = &rest[length..];
    }
    found
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Length of the nested block comment that `text` begins with.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// Length of the string literal that `text` begins with.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Where the raw string literal that `text` begins with starts and ends inside,
/// and its length.
fn raw_string(text: &str) -> Option<(usize, usize, usize)> {
    let prefix = ["r", "br", "cr"].into_iter().find(|prefix| {
        text.strip_prefix(prefix).is_some_and(|rest| rest.trim_start_matches('#').starts_with('"'))
    })?;
    let hashes = text[prefix.len()..].bytes().take_while(|byte| *byte == b'#').count();
    let start = prefix.len() + hashes + 1;
    let close = format!("\"{}", "#".repeat(hashes));
    let end = start + text[start..].find(&close)?;
    Some((start, end, end + close.len()))
}

/// Length of the character literal that `text` begins with, or of the quote of
/// a lifetime.
fn character(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match characters.next() {
        Some((_, '\\')) => text[3..].find('\'').map_or(1, |at| at + 4),
        _ => match characters.next() {
            Some((at, '\'')) => at + 1,
            _ => 1,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: Kind, source: &str) -> Vec<&str> {
        let all = tokens(source).into_iter();
        all.filter(|token| token.kind == kind).map(|token| token.text).collect()
    }

    #[test]
    fn the_three_kinds_are_told_apart() {
        let source = "let a: &'a str = \"x \\\" y\"; // \"no\"\n/* /* */ \"no\" */ f('\"', '\\'', r#\"raw \"z\"\"#);";
        assert_eq!(of(Kind::Literal, source), ["x \\\" y", "raw \"z\""]);
        assert_eq!(of(Kind::Comment, source), ["// \"no\"", "/* /* */ \"no\" */"]);
        assert_eq!(of(Kind::Word, source), ["let", "a", "a", "str", "f"]);
    }

    #[test]
    fn lines_are_counted_from_one() {
        let all = tokens("a\n\"b\n\"\nc");
        assert_eq!(all.iter().map(|token| token.line).collect::<Vec<_>>(), [1, 2, 4]);
    }
}
