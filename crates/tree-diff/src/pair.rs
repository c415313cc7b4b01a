//! What lies at the same place in both trees, as far as it may differ.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::slice::Iter;

use guest_protocol::tools::file::Kind;
use guest_protocol::tools::tree::TreeEntry;

/// What lies at one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pair<'a> {
    pub(crate) before: Option<&'a TreeEntry>,
    pub(crate) after: Option<&'a TreeEntry>,
    pub(crate) content: Knowledge,
}

/// What is known of two contents without looking at them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Knowledge {
    /// They are the same, or there is nothing to compare.
    Same,
    /// They differ, or there is only one.
    Differ,
    /// They have to be looked at.
    Unknown,
}

/// All places whose entries are not known to be the same. A directory that holds
/// something is named by what it holds.
pub(crate) fn pairs<'a>(before: &'a [TreeEntry], after: &'a [TreeEntry]) -> Vec<Pair<'a>> {
    let (mut before, mut after) = (before.iter().peekable(), after.iter().peekable());
    let mut pairs = Vec::new();
    loop {
        let order = match (before.peek(), after.peek()) {
            (None, None) => return pairs,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => one.path.cmp(&other.path),
        };
        let one = if order.is_le() { before.next() } else { None };
        let other = if order.is_ge() { after.next() } else { None };
        pairs.extend(pair(one, leaf(one, &mut before), other, leaf(other, &mut after)));
    }
}

/// The entry, unless it is a directory with something in it.
fn leaf<'a>(
    entry: Option<&'a TreeEntry>,
    rest: &mut Peekable<Iter<'a, TreeEntry>>,
) -> Option<&'a TreeEntry> {
    entry.filter(|entry| {
        entry.kind != Kind::Directory
            || rest.peek().is_none_or(|next| !next.path.is_within(&entry.path))
    })
}

fn pair<'a>(
    before: Option<&'a TreeEntry>,
    before_leaf: Option<&'a TreeEntry>,
    after: Option<&'a TreeEntry>,
    after_leaf: Option<&'a TreeEntry>,
) -> Option<Pair<'a>> {
    let (Some(one), Some(other)) = (before, after) else {
        return lone(before_leaf, after_leaf);
    };
    match (one.kind, other.kind) {
        (Kind::Directory, Kind::Directory) | (Kind::Special, Kind::Special) => {
            (one.mode != other.mode).then_some(Pair { before, after, content: Knowledge::Same })
        }
        (one_kind, other_kind) if one_kind != other_kind => lone(before_leaf, after_leaf),
        _ if one.stamp == other.stamp && one.size == other.size && one.mode == other.mode => None,
        _ if one.size != other.size => Some(Pair { before, after, content: Knowledge::Differ }),
        _ => Some(Pair { before, after, content: Knowledge::Unknown }),
    }
}

fn lone<'a>(before: Option<&'a TreeEntry>, after: Option<&'a TreeEntry>) -> Option<Pair<'a>> {
    (before.is_some() || after.is_some()).then_some(Pair {
        before,
        after,
        content: Knowledge::Differ,
    })
}

#[cfg(test)]
mod tests {
    use guest_protocol::tools::tree::Stamp;

    use super::*;

    fn entry(path: &str, kind: Kind, mode: u32, size: u64, changed_ns: i64) -> TreeEntry {
        let stamp = Stamp { inode: 1, modified_ns: 0, changed_ns };
        TreeEntry { path: path.parse().unwrap(), kind, mode, size, stamp }
    }

    fn told(before: &[TreeEntry], after: &[TreeEntry]) -> Vec<(String, &'static str)> {
        let word = |pair: &Pair<'_>| match (pair.before, pair.after, pair.content) {
            (None, _, _) => "added",
            (_, None, _) => "deleted",
            (_, _, Knowledge::Same) => "same content",
            (_, _, Knowledge::Differ) => "differ",
            (_, _, Knowledge::Unknown) => "unknown",
        };
        pairs(before, after)
            .iter()
            .map(|pair| (pair.after.or(pair.before).unwrap().path.to_string(), word(pair)))
            .collect()
    }

    #[test]
    fn only_what_may_differ_is_named() {
        let file = |path, size, time| entry(path, Kind::File, 0o644, size, time);
        let directory = |path| entry(path, Kind::Directory, 0o755, 0, 0);
        let before = [
            directory("d"),
            file("d/same", 1, 1),
            file("d/touched", 1, 1),
            directory("empty"),
            file("gone", 1, 1),
            file("longer", 1, 1),
        ];
        let after = [
            directory("d"),
            file("d/same", 1, 1),
            file("d/touched", 1, 2),
            file("empty", 0, 2),
            file("longer", 2, 2),
            directory("new"),
            directory("new/empty"),
        ];
        let expected = [
            ("d/touched", "unknown"),
            ("empty", "differ"),
            ("gone", "deleted"),
            ("longer", "differ"),
            ("new/empty", "added"),
        ];
        assert_eq!(told(&before, &after), expected.map(|(path, how)| (path.to_owned(), how)));
    }

    #[test]
    fn a_mode_is_a_difference_of_its_own() {
        let before =
            [entry("a", Kind::File, 0o644, 1, 1), entry("d", Kind::Directory, 0o700, 0, 1)];
        let after = [entry("a", Kind::File, 0o755, 1, 2), entry("d", Kind::Directory, 0o755, 0, 2)];
        let expected = [("a", "unknown"), ("d", "same content")];
        assert_eq!(told(&before, &after), expected.map(|(path, how)| (path.to_owned(), how)));
    }
}
