//! Which of what is gone and what is new is one thing that was moved.
//!
//! git's idea (`diffcore-rename.c`): equal contents first, then those that share
//! at least half of the larger one. How much two contents share is estimated by
//! cutting both into lines, of 64 bytes at most, and counting the bytes of those
//! that occur in both. Each thing has one origin at most, and is one's origin at
//! most.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hasher as _};

use guest_protocol::tools::tree::ContentId;

/// Least similarity of a thing that was moved, in percent; git's measure.
const SIMILARITY_MIN: u8 = 50;

/// Longest piece of a content, in bytes.
const PIECE_MAX: usize = 64;

/// A thing that is gone or new.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named<'a> {
    /// Its name without its directory.
    pub(crate) name: &'a [u8],
    /// What its content is called.
    pub(crate) id: ContentId,
}

/// One origin and where it went, as places in two lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) gone: usize,
    pub(crate) new: usize,
    pub(crate) similarity: u8,
}

/// The moves of contents that are the same. Of several origins, one that has the
/// same name is preferred.
pub(crate) fn exact(gone: &[Named<'_>], new: &[Named<'_>]) -> Vec<Move> {
    let mut origins: HashMap<ContentId, Vec<usize>> = HashMap::new();
    for (at, one) in gone.iter().enumerate().rev() {
        origins.entry(one.id).or_default().push(at);
    }
    let mut moves = Vec::new();
    let mut taken = vec![false; new.len()];
    for same_name in [true, false] {
        for (at, one) in new.iter().enumerate() {
            let Some(from) = origins.get_mut(&one.id).filter(|_| !taken[at]) else { continue };
            let found = if same_name {
                from.iter().rposition(|&from| gone[from].name == one.name)
            } else {
                from.len().checked_sub(1)
            };
            if let Some(found) = found {
                taken[at] = true;
                moves.push(Move { gone: from.remove(found), new: at, similarity: 100 });
            }
        }
    }
    moves
}

/// Whether contents of these sizes can be similar enough.
pub(crate) fn may_be_similar(one: u64, other: u64) -> bool {
    let (smaller, larger) = (one.min(other), one.max(other));
    smaller > 0 && smaller.saturating_mul(100) >= larger.saturating_mul(SIMILARITY_MIN.into())
}

/// What a content consists of: for each piece how many bytes of it there are,
/// sorted.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    counts: Vec<(u64, u64)>,
    size: u64,
}

impl Pieces {
    pub(crate) fn of(content: &[u8]) -> Self {
        let mut counts: HashMap<u64, u64> = HashMap::new();
        for line in content.split_inclusive(|byte| *byte == b'\n') {
            for piece in line.chunks(PIECE_MAX) {
                let mut hasher = DefaultHasher::new();
                hasher.write(piece);
                *counts.entry(hasher.finish()).or_default() += piece.len() as u64;
            }
        }
        let mut counts: Vec<(u64, u64)> = counts.into_iter().collect();
        counts.sort_unstable();
        Self { counts, size: content.len() as u64 }
    }

    /// How much of the larger one is in both, in percent.
    pub(crate) fn similarity(&self, other: &Self) -> u8 {
        let (mut one, mut two) = (self.counts.as_slice(), other.counts.as_slice());
        let mut shared = 0;
        while let (Some((first, ones)), Some((second, twos))) = (one.first(), two.first()) {
            if first == second {
                shared += ones.min(twos);
            }
            if first <= second {
                one = &one[1..];
            }
            if second <= first {
                two = &two[1..];
            }
        }
        let percent = (shared * 100).checked_div(self.size.max(other.size)).unwrap_or(100);
        u8::try_from(percent).unwrap_or(100)
    }
}

/// Chooses among possible moves: the most similar first, each thing once.
pub(crate) fn choose(mut possible: Vec<Move>) -> Vec<Move> {
    possible.retain(|one| one.similarity >= SIMILARITY_MIN);
    possible.sort_by_key(|one| (std::cmp::Reverse(one.similarity), one.new, one.gone));
    let (mut gone, mut new) = (HashSet::new(), HashSet::new());
    possible.retain(|one| {
        let is_free = !gone.contains(&one.gone) && !new.contains(&one.new);
        is_free && gone.insert(one.gone) && new.insert(one.new)
    });
    possible
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, id: u8) -> Named<'_> {
        Named { name: name.as_bytes(), id: ContentId([id; 20]) }
    }

    #[test]
    fn of_equal_contents_the_one_of_the_same_name_is_the_origin() {
        let gone = [named("x", 1), named("y", 1), named("z", 2)];
        let new = [named("new", 1), named("x", 1), named("third", 1)];
        let moves = exact(&gone, &new);
        let expected = [(0, 1), (1, 0)].map(|(gone, new)| Move { gone, new, similarity: 100 });
        assert_eq!(moves, expected);
    }

    #[test]
    fn similarity_counts_what_is_in_both() {
        let of = |text: &str| Pieces::of(text.as_bytes());
        assert_eq!(of("a\nb\nc\nd\n").similarity(&of("d\nb\nc\na\n")), 100);
        assert_eq!(of("a\nb\nc\nd\n").similarity(&of("a\nb\nx\ny\n")), 50);
        assert_eq!(of("a\na\na\na\n").similarity(&of("a\n")), 25);
        assert_eq!(of("a").similarity(&of("b")), 0);
        assert!(may_be_similar(5, 10) && !may_be_similar(4, 10) && !may_be_similar(0, 0));
    }

    #[test]
    fn each_thing_has_one_origin_and_is_one() {
        let of = |gone, new, similarity| Move { gone, new, similarity };
        let chosen =
            choose(vec![of(0, 0, 60), of(0, 1, 90), of(1, 0, 55), of(1, 1, 80), of(2, 2, 49)]);
        assert_eq!(chosen, [of(0, 1, 90), of(1, 0, 55)]);
    }
}
