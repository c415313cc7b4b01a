//! What was moved: the questions to both trees that tell it.

use std::collections::{HashMap, HashSet};

use guest_protocol::path::WorkspacePath;
use guest_protocol::tools::file::Kind;
use guest_protocol::tools::tree::{ContentId, TreeEntry};

use crate::Tree;
use crate::rename::{Move, Named, Pieces, choose, exact, may_be_similar};

/// Largest file that may turn out to have been moved and changed, in bytes.
const SIZE_MAX: u64 = 1 << 20;

/// Most bytes of each side that are read to find what was moved and changed.
const BYTES_MAX: u64 = 32 << 20;

/// Most pairs of files that are compared for that: git's limit of 1,000 files on
/// each side.
const PAIRS_MAX: usize = 1_000_000;

/// What was moved.
#[derive(Debug)]
pub(crate) struct Moves<'a> {
    /// By the place it has now.
    pub(crate) origins: HashMap<&'a WorkspacePath, Moved<'a>>,
    /// Whether all was looked at.
    pub(crate) all_sought: bool,
}

/// Where something was.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moved<'a> {
    pub(crate) origin: &'a TreeEntry,
    /// In percent.
    pub(crate) similarity: u8,
    /// Whether the contents have the same name.
    pub(crate) is_exact: bool,
}

/// Finds out what of that which is gone is something that is new. Nothing that is
/// empty has an origin.
pub(crate) fn find<'a, E>(
    gone: &[&'a TreeEntry],
    new: &[&'a TreeEntry],
    before: &mut dyn Tree<Error = E>,
    after: &mut dyn Tree<Error = E>,
) -> Result<Moves<'a>, E> {
    let mut moves = Moves { origins: HashMap::new(), all_sought: true };
    for kind in [Kind::File, Kind::Symlink] {
        let of_kind = |entries: &[&'a TreeEntry]| -> Vec<&'a TreeEntry> {
            entries.iter().copied().filter(|one| one.kind == kind && one.size > 0).collect()
        };
        let (gone, new) = (of_kind(gone), of_kind(new));
        // Only what has the size of another one can have its content.
        let gone_sizes: HashSet<u64> = gone.iter().map(|one| one.size).collect();
        let new: Vec<_> = new.into_iter().filter(|one| gone_sizes.contains(&one.size)).collect();
        let new_sizes: HashSet<u64> = new.iter().map(|one| one.size).collect();
        let gone: Vec<_> = gone.into_iter().filter(|one| new_sizes.contains(&one.size)).collect();
        if new.is_empty() {
            continue;
        }
        let found = exact(&named(&gone, before)?, &named(&new, after)?);
        moves.keep(&gone, &new, &found, true);
    }
    moves.find_similar(gone, new, before, after)?;
    Ok(moves)
}

impl<'a> Moves<'a> {
    fn keep(
        &mut self,
        gone: &[&'a TreeEntry],
        new: &[&'a TreeEntry],
        found: &[Move],
        is_exact: bool,
    ) {
        for Move { gone: from, new: to, similarity } in found {
            let moved = Moved { origin: gone[*from], similarity: *similarity, is_exact };
            self.origins.insert(&new[*to].path, moved);
        }
    }

    fn find_similar<E>(
        &mut self,
        gone: &[&'a TreeEntry],
        new: &[&'a TreeEntry],
        before: &mut dyn Tree<Error = E>,
        after: &mut dyn Tree<Error = E>,
    ) -> Result<(), E> {
        let taken: HashSet<_> = self.origins.values().map(|moved| &moved.origin.path).collect();
        let is_file =
            |one: &&TreeEntry| one.kind == Kind::File && (1..=SIZE_MAX).contains(&one.size);
        let gone: Vec<&TreeEntry> =
            gone.iter().copied().filter(|one| is_file(one) && !taken.contains(&one.path)).collect();
        let new: Vec<&TreeEntry> = new
            .iter()
            .copied()
            .filter(|one| is_file(one) && !self.origins.contains_key(&one.path))
            .collect();
        if gone.len().saturating_mul(new.len()) > PAIRS_MAX {
            self.all_sought = false;
            return Ok(());
        }
        let mut possible: Vec<(usize, usize)> = Vec::new();
        for (from, one) in gone.iter().enumerate() {
            let partners = new.iter().enumerate();
            let partners = partners.filter(|(_, other)| may_be_similar(one.size, other.size));
            possible.extend(partners.map(|(to, _)| (from, to)));
        }
        let gone_wanted = wanted(&gone, possible.iter().map(|(from, _)| *from));
        let new_wanted = wanted(&new, possible.iter().map(|(_, to)| *to));
        let bytes = |wanted: &HashMap<usize, &TreeEntry>| -> u64 {
            wanted.values().map(|one| one.size).sum()
        };
        if bytes(&gone_wanted).max(bytes(&new_wanted)) > BYTES_MAX {
            self.all_sought = false;
            return Ok(());
        }
        let gone_pieces = pieces(&gone_wanted, before)?;
        let new_pieces = pieces(&new_wanted, after)?;
        let possible = possible.into_iter().filter_map(|(from, to)| {
            let similarity = gone_pieces.get(&from)?.similarity(new_pieces.get(&to)?);
            Some(Move { gone: from, new: to, similarity })
        });
        let found = choose(possible.collect());
        self.keep(&gone, &new, &found, false);
        Ok(())
    }
}

fn named<'a, E>(
    entries: &[&'a TreeEntry],
    tree: &mut dyn Tree<Error = E>,
) -> Result<Vec<Named<'a>>, E> {
    let paths: Vec<WorkspacePath> = entries.iter().map(|entry| entry.path.clone()).collect();
    let ids = tree.ids(&paths)?;
    let named = |(entry, id): (&&'a TreeEntry, ContentId)| Named {
        name: entry.path.parts().next_back().unwrap_or_default(),
        id,
    };
    Ok(entries.iter().zip(ids).map(named).collect())
}

fn wanted<'a>(
    entries: &[&'a TreeEntry],
    places: impl Iterator<Item = usize>,
) -> HashMap<usize, &'a TreeEntry> {
    places.map(|at| (at, entries[at])).collect()
}

fn pieces<E>(
    wanted: &HashMap<usize, &TreeEntry>,
    tree: &mut dyn Tree<Error = E>,
) -> Result<HashMap<usize, Pieces>, E> {
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let (places, paths): (Vec<usize>, Vec<WorkspacePath>) =
        wanted.iter().map(|(at, entry)| (*at, entry.path.clone())).unzip();
    let contents = tree.contents(&paths)?;
    Ok(places.into_iter().zip(contents.iter().map(|content| Pieces::of(content))).collect())
}
