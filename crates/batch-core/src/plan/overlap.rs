//! Whether two entries of file scopes may mean the same file.
//!
//! An entry means the paths that match it, and everything below these, as a path may be
//! a directory; one whose last part has an extension (`*.rs`, `README.md`) is taken for
//! a file, unless the other entry goes on below it. Both entries are read as automata over characters, and the question is
//! whether some path is accepted by both: a search in the product of the two, exact for
//! `*`, `**`, `?`, `[…]` and `{…}`. (Hopcroft and Ullman, *Introduction to Automata
//! Theory*, 1979, theorem 3.3.) What is too much to be searched, or no pattern that is
//! understood, counts as the same files if the plain beginnings of both agree.

use batch_api::ScopePattern;
use batch_api::plan::ScopeOverlap;

/// Most alternatives that the braces of a pattern stand for.
const ALTERNATIVES_MAX: usize = 64;

/// Most steps of the searches of one plan.
const STEPS_MAX: usize = 20_000_000;

/// Compares entries, as long as its steps last.
#[derive(Debug)]
pub(super) struct Comparer {
    steps: usize,
}

impl Comparer {
    pub(super) const fn new() -> Self {
        Self { steps: STEPS_MAX }
    }

    /// How two entries come to mean the same files, if they do.
    pub(super) fn compare(
        &mut self,
        one: &ScopePattern,
        two: &ScopePattern,
    ) -> Option<ScopeOverlap> {
        let (one, two) = (one.as_str(), two.as_str());
        if one == two {
            return Some(ScopeOverlap::Same);
        }
        if !beginnings_agree(one, two) {
            return None;
        }
        if is_around(one, two) || is_around(two, one) {
            return Some(ScopeOverlap::Inside);
        }
        if is_plain(one) && is_plain(two) {
            return None;
        }
        let (Some(ones), Some(twos)) = (automata(one), automata(two)) else {
            return Some(ScopeOverlap::Undecided);
        };
        for one in &ones {
            for two in &twos {
                match self.meet(one, two) {
                    Some(true) => return Some(ScopeOverlap::Patterns),
                    Some(false) => {}
                    None => return Some(ScopeOverlap::Undecided),
                }
            }
        }
        None
    }

    /// Whether some path is accepted by both; nothing if there were too many steps.
    fn meet(&mut self, one: &Automaton, two: &Automaton) -> Option<bool> {
        // Behind the last token: 0 is the path itself, 1 is something below it.
        let (width, height) = (two.tokens.len() + 2, one.tokens.len() + 2);
        let mut seen = vec![false; width * height];
        let mut open = vec![(0, 0)];
        seen[0] = true;
        while let Some((i, j)) = open.pop() {
            if i >= one.tokens.len() && j >= two.tokens.len() {
                return Some(true);
            }
            let mut reach = |i: usize, j: usize| {
                if !std::mem::replace(&mut seen[i * width + j], true) {
                    open.push((i, j));
                }
            };
            if one.tokens.get(i).is_some_and(Token::may_be_empty) {
                reach(i + 1, j);
            }
            if two.tokens.get(j).is_some_and(Token::may_be_empty) {
                reach(i, j + 1);
            }
            for (set, i) in moves(one, i) {
                for (other, j) in moves(two, j) {
                    self.steps = self.steps.checked_sub(1)?;
                    if set.meets(&other) {
                        reach(i, j);
                    }
                }
            }
        }
        Some(false)
    }
}

/// Whether the characters before the first wildcard of each agree as far as both go.
fn beginnings_agree(one: &str, two: &str) -> bool {
    let (one, two) = (beginning(one), beginning(two));
    one.bytes().zip(two.bytes()).all(|(one, two)| one == two)
}

fn beginning(pattern: &str) -> &str {
    &pattern[..pattern.find(WILDCARDS).unwrap_or(pattern.len())]
}

const WILDCARDS: [char; 4] = ['*', '?', '[', '{'];

fn is_plain(pattern: &str) -> bool {
    !pattern.contains(WILDCARDS)
}

/// Whether one is a path and the other goes on below it.
fn is_around(outer: &str, inner: &str) -> bool {
    let rest = beginning(inner).strip_prefix(outer);
    is_plain(outer) && rest.is_some_and(|rest| rest.starts_with('/'))
}

/// Whether what matches is taken for a file.
fn is_file(pattern: &str) -> bool {
    let last = pattern.rsplit('/').next().unwrap_or_default();
    last.char_indices().any(|(at, c)| at > 0 && c == '.')
}

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    One(Set),
    /// `*`
    Star,
    /// `**`
    Deep,
    /// `**/`: nothing, or whole directories.
    Directories,
}

impl Token {
    const fn may_be_empty(&self) -> bool {
        !matches!(self, Self::One(_))
    }
}

/// Some characters.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Set {
    Exactly(char),
    NoSlash,
    All,
    /// Those in one of these ranges, or those in none of them; never a slash.
    Class(Vec<(char, char)>, bool),
}

impl Set {
    fn has(&self, c: char) -> bool {
        match self {
            Self::Exactly(one) => *one == c,
            Self::NoSlash => c != '/',
            Self::All => true,
            Self::Class(ranges, is_negated) => {
                c != '/'
                    && ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != *is_negated
            }
        }
    }

    /// Whether some character is in both. Of two classes, one of which says what is not
    /// in it, some character always is, as far as anybody cares.
    fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exactly(c), other) | (other, Self::Exactly(c)) => other.has(*c),
            (Self::Class(ones, false), Self::Class(twos, false)) => {
                ones.iter().any(|one| twos.iter().any(|two| one.0 <= two.1 && two.0 <= one.1))
            }
            _ => true,
        }
    }
}

/// What a pattern without braces accepts.
#[derive(Debug)]
struct Automaton {
    tokens: Vec<Token>,
    /// Whether what matches is no directory.
    is_file: bool,
}

/// What may come next at a position, and where that leads.
fn moves(Automaton { tokens, is_file }: &Automaton, at: usize) -> Vec<(Set, usize)> {
    match tokens.get(at) {
        Some(Token::One(set)) => vec![(set.clone(), at + 1)],
        Some(Token::Star) => vec![(Set::NoSlash, at)],
        Some(Token::Deep) => vec![(Set::All, at)],
        Some(Token::Directories) => vec![(Set::All, at), (Set::Exactly('/'), at + 1)],
        None if at == tokens.len() && *is_file => Vec::new(),
        None if at == tokens.len() => vec![(Set::Exactly('/'), at + 1)],
        None => vec![(Set::All, at)],
    }
}

/// The automata that a pattern stands for, one for each way through its braces.
fn automata(pattern: &str) -> Option<Vec<Automaton>> {
    let mut flat = Vec::new();
    expand(pattern.to_owned(), &mut flat)?;
    let automaton =
        |pattern: &String| Some(Automaton { tokens: tokens(pattern)?, is_file: is_file(pattern) });
    flat.iter().map(automaton).collect()
}

/// All ways through the braces of a pattern.
fn expand(pattern: String, flat: &mut Vec<String>) -> Option<()> {
    let Some(open) = pattern.find('{') else {
        flat.push(pattern);
        return (flat.len() <= ALTERNATIVES_MAX).then_some(());
    };
    let (mut depth, mut start, mut parts) = (0_u32, open + 1, Vec::new());
    for (at, c) in pattern.char_indices().skip_while(|(at, _)| *at < open) {
        match c {
            '{' => depth += 1,
            ',' if depth == 1 => {
                parts.push(&pattern[start..at]);
                start = at + 1;
            }
            '}' if depth == 1 => {
                parts.push(&pattern[start..at]);
                for part in parts {
                    expand(format!("{}{part}{}", &pattern[..open], &pattern[at + 1..]), flat)?;
                }
                return Some(());
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn tokens(pattern: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("**") {
            let begins_part = rest.len() == pattern.len() || tokens.last() == Some(&SLASH);
            rest = rest.trim_start_matches('*');
            match rest.strip_prefix('/').filter(|_| begins_part) {
                Some(behind) => {
                    tokens.push(Token::Directories);
                    rest = behind;
                }
                None => tokens.push(Token::Deep),
            }
            continue;
        }
        rest = &rest[c.len_utf8()..];
        tokens.push(match c {
            '*' => Token::Star,
            '?' => Token::One(Set::NoSlash),
            '[' => {
                let (class, behind) = class(rest)?;
                rest = behind;
                Token::One(class)
            }
            c => Token::One(Set::Exactly(c)),
        });
    }
    Some(tokens)
}

const SLASH: Token = Token::One(Set::Exactly('/'));

/// A class, without its first bracket.
fn class(text: &str) -> Option<(Set, &str)> {
    let negated = text.strip_prefix(['!', '^']);
    let body = negated.unwrap_or(text);
    // A bracket that comes first is one of the characters.
    let first = body.chars().next()?;
    let end = body[first.len_utf8()..].find(']')? + first.len_utf8();
    let mut ranges = Vec::new();
    let mut characters = body[..end].chars().peekable();
    while let Some(from) = characters.next() {
        let mut to = from;
        if characters.peek() == Some(&'-') {
            characters.next();
            match characters.next() {
                Some(end) => to = end,
                None => ranges.push(('-', '-')),
            }
        }
        ranges.push((from, to));
    }
    Some((Set::Class(ranges, negated.is_some()), &body[end + 1..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn compared(one: &str, two: &str) -> Option<ScopeOverlap> {
        let (one, two) = (one.parse().unwrap(), two.parse().unwrap());
        let found = Comparer::new().compare(&one, &two);
        assert_eq!(found, Comparer::new().compare(&two, &one), "{one} {two}");
        found
    }

    #[test]
    fn patterns_are_compared_exactly() {
        use ScopeOverlap::*;
        for (one, two, expected) in [
            ("src/a.rs", "src/a.rs", Some(Same)),
            ("src", "src/a.rs", Some(Inside)),
            ("src/", "src/deep/a.rs", Some(Patterns)),
            ("docs.v2", "docs.v2/*.md", Some(Inside)),
            ("docs.v2/", "**/*.md", Some(Patterns)),
            ("README.md", "**/*.rs", None),
            (".github", "**/*.yml", Some(Patterns)),
            ("src", "srcs/a.rs", None),
            ("src/a", "src/ab", None),
            ("src/*.rs", "src/a.rs", Some(Patterns)),
            ("src/*.rs", "src/a.toml", None),
            ("src/*.rs", "src/deep/a.rs", None),
            // What matches may be a directory.
            ("src/*", "src/deep/a.rs", Some(Patterns)),
            ("src/**", "src/deep/a.rs", Some(Patterns)),
            ("**/*.rs", "src/deep/*.rs", Some(Patterns)),
            ("**/*.rs", "docs/*.md", None),
            ("src/**/a.rs", "src/a.rs", Some(Patterns)),
            ("src/**/a.rs", "lib/a.rs", None),
            ("*/a", "b/*", Some(Patterns)),
            ("a*c", "ab*", Some(Patterns)),
            ("a*c/x", "ab", None),
            ("src/{a,b}.rs", "src/b.rs", Some(Patterns)),
            ("src/{a,b}.rs", "src/c.rs", None),
            ("{src,lib}/**", "{lib,docs}/x", Some(Patterns)),
            ("[a-c].rs", "[c-e].rs", Some(Patterns)),
            ("[a-b].rs", "[c-e].rs", None),
            ("[!a].rs", "a.rs", None),
            ("?.rs", "ab.rs", None),
            ("**", "anything/at/all", Some(Patterns)),
            ("a{b", "a{c", Some(Undecided)),
            ("x/a{b", "y/a{c", None),
        ] {
            assert_eq!(compared(one, two), expected, "{one} {two}");
        }
    }

    #[test]
    fn what_is_too_much_counts_as_the_same_files() {
        let braces = "{a,b}".repeat(7);
        assert_eq!(compared(&braces, "*x"), Some(ScopeOverlap::Undecided));
        let mut tired = Comparer { steps: 3 };
        let found = tired.compare(&"a*b*c".parse().unwrap(), &"a*c*b".parse().unwrap());
        assert_eq!(found, Some(ScopeOverlap::Undecided));
    }

    /// Whether a path matches, by trying everything: slow, and plainly right.
    fn matches(pattern: &[char], path: &[char], begins_part: bool) -> bool {
        match pattern {
            [] => path.is_empty() || path[0] == '/',
            ['*', '*', '/', rest @ ..] if begins_part => {
                let ends = (0..path.len()).filter(|&at| path[at] == '/');
                matches(rest, path, true)
                    || ends.into_iter().any(|at| matches(rest, &path[at + 1..], true))
            }
            ['*', '*', rest @ ..] => (0..=path.len()).any(|at| matches(rest, &path[at..], false)),
            ['*', rest @ ..] => {
                let most = path.iter().position(|&c| c == '/').unwrap_or(path.len());
                (0..=most).any(|at| matches(rest, &path[at..], false))
            }
            ['?', rest @ ..] => {
                !path.is_empty() && path[0] != '/' && matches(rest, &path[1..], false)
            }
            [c, rest @ ..] => path.first() == Some(c) && matches(rest, &path[1..], *c == '/'),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn a_path_that_matches_both_is_never_missed(
            one in "([ab*?]|\\*\\*/|/[ab]){1,5}",
            two in "([ab*?]|\\*\\*/|/[ab]){1,5}",
            path in "[ab]{1,2}(/[ab]{1,2}){0,3}",
        ) {
            let characters = |text: &str| text.chars().collect::<Vec<char>>();
            let (Ok(first), Ok(second)) = (one.parse::<ScopePattern>(), two.parse::<ScopePattern>()) else {
                return Ok(());
            };
            let path = characters(&path);
            let both = [&first, &second].iter().all(|it| matches(&characters(it.as_str()), &path, true));
            if both {
                prop_assert!(Comparer::new().compare(&first, &second).is_some());
            }
        }
    }
}
